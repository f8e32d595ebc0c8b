"""What can't be beaten: a clairvoyant without start-ups, and the least that pays them.

The clairvoyant sees the arrivals of the next 30 s and sets the replicas every 15 s, at once: as many as the queue and
those arrivals need over the 30 s, times one factor. The factor is the smallest that attains the goal over the run. It
is the denominator of all ratios, not a bound in the strict sense: another way to spend the allowed misses may be
cheaper.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from autoscaler.simulation.peers.policy import Seen
from autoscaler.simulation.scraped import Reads

LEAST_FACTOR, MOST_FACTOR = 0.5, 4.0
STEPS = 10
AHEAD_S = 30.0
TICK_S = 15.0


class Clairvoyant:
    """Under the request-level simulator, where a start-up of 0 s makes its wishes come true at once.

    A replica serves `replica_rps` at most, `at_once` requests in all its batches.
    """

    period_s = TICK_S
    reads: Reads | None = Reads.TOTALS

    def __init__(
        self,
        arrivals_s: NDArray[np.float64],
        *,
        factor: float,
        replica_rps: float,
        at_once: int,
        least: int,
        most: int,
        end_s: float,
    ) -> None:
        self.name = f"clairvoyant ({factor:.3g})"
        self._arrivals_s = arrivals_s
        self._factor, self._replica_rps, self._end_s = factor, replica_rps, end_s
        self._at_once = at_once
        self._bounds = (least, most)

    def replicas(self, seen: Seen) -> int:
        """As many as serve what waits and what comes within 30 s."""
        if seen.now_s >= self._end_s:
            return seen.replicas
        totals = seen.totals()
        # What is being served is no queue.
        waiting = (
            0.0 if totals is None else max(0.0, totals.ongoing - totals.scraped * self._at_once)
        )
        return self.needed(seen.now_s, waiting)

    def needed(self, now_s: float, waiting: float) -> int:
        """For so many that wait, and what comes within 30 s of a time before the end."""
        span_s = min(AHEAD_S, self._end_s - now_s)
        first, last = np.searchsorted(self._arrivals_s, (now_s, now_s + span_s))
        due = float(last - first) + waiting
        wanted = int(np.ceil(self._factor * due / (span_s * self._replica_rps) - 1e-9))
        return min(max(wanted, self._bounds[0]), self._bounds[1])


def least_factor(attained: Callable[[float], float], goal: float) -> float:
    """The smallest factor whose attainment reaches the goal, by bisection; `attained` rises with the factor.

    Raises ValueError where not even the largest does.
    """
    low, high = LEAST_FACTOR, MOST_FACTOR
    if attained(high) < goal:
        raise ValueError(f"clairvoyant: {high} times what is needed does not attain {goal:.1%}")
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if attained(middle) >= goal else (middle, high)
    return high


def gpu_hours_with_startups(
    ready_at: NDArray[np.float64], *, tick_s: float, startup_s: float
) -> float:
    """The least GPU-hours that hold at least `ready_at` ready replicas in each tick, every start paid for `startup_s`.

    Exact, for a constant start-up and these replicas: the cost is that of independent layers (replica number k is
    needed while at least k are), and a layer bridges a gap exactly when the gap is shorter than a start-up. That other
    replicas, with the misses elsewhere, would attain the same for less is not excluded.
    """
    total_s = 0.0
    for layer in range(1, int(ready_at.max(initial=0.0)) + 1):
        needed = np.flatnonzero(ready_at >= layer)
        gaps_s = (np.diff(needed) - 1.0) * tick_s
        # What is needed from the first tick on has been there before.
        first_s = startup_s if needed[0] > 0 else 0.0
        total_s += needed.size * tick_s + first_s + float(np.minimum(gaps_s, startup_s).sum())
    return total_s / 3600.0
