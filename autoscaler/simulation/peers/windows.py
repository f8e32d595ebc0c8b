"""Memory of rules in a plain array: the last few values with their times, and how far they reach back.

A ring at place `at` of the array takes `ring(slots)` numbers: how many were ever put in, then pairs of time and value.
"""

from __future__ import annotations

from typing import Any

from autoscaler.simulation.compiled import compilable


def ring(slots: int) -> int:
    """Numbers that a ring of so many slots takes."""
    return 1 + 2 * slots


@compilable
def remember(memory: Any, at: Any, slots: Any, now_s: Any, value: Any) -> None:
    """Puts a value in, over the oldest."""
    place = at + 1 + 2 * (int(memory[at]) % slots)
    memory[place] = now_s
    memory[place + 1] = value
    memory[at] += 1.0


@compilable
def highest(memory: Any, at: Any, slots: Any, now_s: Any, window_s: Any, value: Any) -> Any:
    """The highest of `value` and those that are younger than the window."""
    found = float(value)
    for slot in range(min(int(memory[at]), slots)):
        place = at + 1 + 2 * slot
        if now_s - memory[place] < window_s - 1e-6:
            found = max(found, memory[place + 1])
    return int(found)


@compilable
def lowest(memory: Any, at: Any, slots: Any, now_s: Any, window_s: Any, value: Any) -> Any:
    """The lowest of `value` and those that are younger than the window."""
    found = float(value)
    for slot in range(min(int(memory[at]), slots)):
        place = at + 1 + 2 * slot
        if now_s - memory[place] < window_s - 1e-6:
            found = min(found, memory[place + 1])
    return int(found)


@compilable
def total(memory: Any, at: Any, slots: Any, now_s: Any, window_s: Any) -> Any:
    """The sum of those that are younger than the window."""
    found = 0.0
    for slot in range(min(int(memory[at]), slots)):
        place = at + 1 + 2 * slot
        if now_s - memory[place] < window_s - 1e-6:
            found += memory[place + 1]
    return found
