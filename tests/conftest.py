"""What every suite shares: the switch that writes golden scenarios anew, and properties without a time limit."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# As in the controller's forecast process: two threads that wait for each other on a busy machine spin for minutes over
# a fit that takes a second. Before anything loads OpenMP.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A machine that others use too is slow at times; that is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the golden scenarios anew; review the difference before you commit it",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that only compute give way to real servers, which answer in real time beside them."""
    if os.environ.get("PYTEST_XDIST_WORKER") and not item.get_closest_marker("cluster"):
        os.nice(max(0, 10 - os.nice(0)))
