"""What every suite shares: the switch that writes golden scenarios anew, and properties without a time limit."""

from __future__ import annotations

import logging
from collections.abc import Iterator

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


@pytest.fixture(autouse=True)
def _log_of_its_own() -> Iterator[None]:
    """`forescale run` sets up the log of a whole process: in a test that ends with it."""
    root, ours = logging.getLogger(), logging.getLogger("autoscaler")
    handlers, levels = set(root.handlers), (root.level, ours.level)
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
