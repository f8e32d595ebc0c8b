"""Looks at the real stack until it is as it should be."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")


def wait_for(look: Callable[[], T | None], what: str, *, within_s: float) -> T:
    """What `look` found. Fails with `what` at the deadline."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        found = look()
        if found:
            return found
        time.sleep(0.5)
    pytest.fail(f"{what}: not within {within_s:.0f} s")
