"""What every suite shares: the switch that writes golden scenarios anew, and properties without a time limit."""

from __future__ import annotations

import pytest
from hypothesis import settings

# A machine that others use too is slow at times; that is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the golden scenarios anew; review the difference before you commit it",
    )
