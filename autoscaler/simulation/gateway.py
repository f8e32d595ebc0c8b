"""A gateway in front of the modelled servers: counts what clients see in a histogram with a bucket at the threshold.

It sees attempts, not what was wanted. A client that leaves ends its request there: it took as long as the client
waited, and it missed.
"""

from __future__ import annotations

import math

import numpy as np

from autoscaler.core.types import ModelCounters, PodSample
from autoscaler.simulation.continuous import ContinuousPool
from autoscaler.simulation.pods import EPOCH_S
from autoscaler.simulation.serving import ServingPool
from autoscaler.simulation.serving_state import DONE, UNFINISHED

# How collectors write +Inf as a bound.
BEYOND_S = 1e308


class Gateway:
    """Cumulative counts of the requests that have come back through it, or whose clients left after `timeout_s`."""

    def __init__(self, threshold_s: float, timeout_s: float | None = None) -> None:
        self._threshold_s = threshold_s
        self._timeout_s = math.inf if timeout_s is None else timeout_s
        self._good = self._slow = self._failed = 0
        self._first = 0
        """Every request before this one has been counted."""
        self._counted = np.zeros(0, dtype=np.bool_)
        """Of those from there on, which have."""

    def sample(self, pool: ServingPool | ContinuousPool, at_s: float) -> PodSample:
        """What it exports at `at_s`, up to which the pool has run."""
        end = pool.arrived
        status = pool.status[self._first : end]
        arrivals_s = pool.arrivals_s[self._first : end]
        latency_s = pool.latencies_between(self._first, end)
        counted = np.zeros(status.size, dtype=np.bool_)
        counted[: self._counted.size] = self._counted
        # A request that is done in the model's future has not come back yet.
        back = (status != DONE) | (arrivals_s + latency_s <= at_s)
        is_waiting = (status == UNFINISHED) | (latency_s > self._timeout_s)
        gone = ~counted & is_waiting & (arrivals_s + self._timeout_s <= at_s)
        new = gone | ~counted & (status != UNFINISHED) & back
        done = new & ~gone & (status == DONE)
        good = int((done & (latency_s <= self._threshold_s)).sum())
        # One that left before the threshold was no slow request, and it has no answer.
        slow = gone if self._timeout_s >= self._threshold_s else np.zeros_like(gone)
        self._good += good
        self._slow += int((done | slow).sum()) - good
        self._failed += int((new & ~done & ~slow).sum())
        counted |= new
        left = int(counted.argmin()) if not counted.all() else counted.size
        self._first, self._counted = self._first + left, counted[left:]
        total = float(self._good + self._slow)
        return PodSample(
            pod="gateway",
            sampled_at_s=EPOCH_S + at_s,
            models=(
                ModelCounters(
                    model="gateway",
                    success=total,
                    failure=float(self._failed),
                    latency_buckets=((self._threshold_s, float(self._good)), (BEYOND_S, total)),
                ),
            ),
        )
