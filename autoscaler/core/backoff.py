"""How long something that keeps failing is left alone."""

from __future__ import annotations

# Three weeks of half an hour each are a thousand failures, and 2.0 ** 1024 is no number.
MOST_DOUBLINGS = 30


def doubled_s(first_s: float, failures: int, longest_s: float) -> float:
    """`first_s` after the first failure and twice as long after each further one, no more than `longest_s`.

    `failures` are those before this one.
    """
    return min(first_s * 2.0 ** min(failures, MOST_DOUBLINGS), longest_s)
