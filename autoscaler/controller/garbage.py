"""How often Python looks for cycles in the process that decides.

A tick of 1,000 workloads leaves some 14,000 objects more than it found, and hardly one of them in a cycle: what is no
longer referred to is freed at once in any case. As Python is set, it looks through the young ones after every 700,
twenty times a tick, and every few ticks through all that is remembered of every workload.
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 50_000
"""What may come before the young ones are looked through: a few megabytes at most wait for it."""


def look_seldom() -> None:
    """For this process, from now on."""
    _, middle, old = gc.get_threshold()
    gc.set_threshold(YOUNG_OBJECTS, middle, old)
