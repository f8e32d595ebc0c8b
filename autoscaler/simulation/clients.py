"""Clients as a simulation is told of them: how long they wait, how often they ask again, and users in a closed loop.

Open arrivals come whatever happened to those before. A user of a closed loop, as in perf_analyzer, k6 or Locust, sends
the next request only when the last was answered, so that servers which are slow are asked less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.types import HistoryPoint
from autoscaler.simulation.serving_model import require

# The last of so many waits for six days, by half a second doubled each time.
MOST_RETRIES = 20
# The event loop tells their requests apart by 2**20.
MOST_USERS = 1_000_000
DAY_S = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """What whoever waits for an answer does. Raises ValueError where the numbers can't be."""

    timeout_s: float | None = None
    """After so long a client leaves; what it asked for is served all the same. None: it waits to the end."""
    retries: int = 0
    """How often it asks again, after a timeout, a failure or a rejection."""
    backoff_s: float = 0.5
    """Before the first retry; each further one waits twice as long, times 0.5 to 1.5 by chance."""

    def __post_init__(self) -> None:
        timeout_s = self.timeout_s
        known = timeout_s is None or 0.0 < timeout_s < math.inf
        require(known, "timeout_s", timeout_s, "more than 0, or null")
        allowed = f"0 to {MOST_RETRIES}"
        require(0 <= self.retries <= MOST_RETRIES, "retries", self.retries, allowed)
        require(0.0 <= self.backoff_s <= DAY_S, "backoff_s", self.backoff_s, f"0 to {DAY_S:.0f}")

    @property
    def are_patient(self) -> bool:
        """They wait to the end and ask once."""
        return self.timeout_s is None and self.retries == 0


PATIENT = Clients()


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """How many there are, by second, from 0 on; at the end all stop. Raises ValueError where the numbers can't be."""

    name: str
    counts: NDArray[np.int64]
    think_s: float = 1.0
    """Mean time from an answer to a user's next request, exponential; a user that comes begins with it."""

    def __post_init__(self) -> None:
        counts = self.counts
        some = bool(counts.size and counts.min() >= 0 and counts.max() > 0)
        require(some, "users", self.name, "at least one user at some time, never fewer than none")
        require(int(counts.max()) <= MOST_USERS, "users", int(counts.max()), f"up to {MOST_USERS}")
        require(0.0 <= self.think_s < math.inf, "think_s", self.think_s, "0 or more")

    @property
    def duration_s(self) -> float:
        """How long it goes on."""
        return float(self.counts.size)

    def arrivals(self, seed: int) -> NDArray[np.float64]:
        """None is known beforehand: when users ask follows from the answers."""
        return np.zeros(0)

    def backfill(self, epoch_s: float, work: float = 1.0) -> tuple[HistoryPoint, ...]:
        """They have no past."""
        return ()

    def levels(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(when their number changes, to how many), the first at 0, the last the end."""
        places = np.concatenate(([0], np.flatnonzero(np.diff(self.counts)) + 1))
        times_s = np.append(places.astype(np.float64), self.duration_s)
        return times_s, np.append(self.counts[places], 0)
