"""The controller's process is not stopped twenty times a tick to look for cycles that are not there."""

from __future__ import annotations

import gc

from autoscaler.controller.garbage import YOUNG_OBJECTS, look_seldom


def test_only_the_young_ones_wait_longer() -> None:
    before = gc.get_threshold()
    try:
        look_seldom()
        assert gc.get_threshold() == (YOUNG_OBJECTS, *before[1:])
    finally:
        gc.set_threshold(*before)
