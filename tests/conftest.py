"""What every suite shares: the switch that writes golden scenarios anew."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the golden scenarios anew; review the difference before you commit it",
    )
