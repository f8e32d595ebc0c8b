"""What the serving model is told about a server, and what a scrape of one shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Of a batch. What is faster has its unit wrong, and would ask for more requests than a machine holds.
LEAST_SERVICE_S, MOST_SERVICE_S = 1e-5, 86400.0
SERVICE_ALLOWED = "0.00001 to 86400 seconds"


def require(holds: bool, where: str, given: object, allowed: str) -> None:
    """Raise ValueError unless `holds`."""
    if not holds:
        raise ValueError(f"{where}: {given}, {allowed}")


def require_time(where: str, at_s: float, now_s: float) -> None:
    """Raise ValueError for a time that has passed, or none."""
    require(now_s <= at_s < float("inf"), where, at_s, f"finite and not before {now_s} s")


class Routing(StrEnum):
    """How a request is given to a server."""

    ROUND_ROBIN = "round-robin"
    RANDOM = "random"
    LEAST_OUTSTANDING = "least-outstanding"
    """Fewest requests queued or running; the next in rotation wins a tie."""
    TWO_CHOICES = "two-choices"
    """The less loaded of two servers drawn at random."""
    PINNED = "pinned"
    """By connection, which stays with the server that was next in rotation when it opened."""


class Status(IntEnum):
    """What became of a request."""

    UNFINISHED = 0
    """Not yet arrived, or somewhere in the system."""
    DONE = 1
    REJECTED = 2
    """The server's queue was full."""
    TIMED_OUT = 3
    """No server took traffic for `hold_timeout_s`."""
    FAILED = 4
    """Its server ended without draining."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingModel:
    """How one server serves. Raises ValueError where the numbers can't be."""

    max_batch_size: int
    """Items that fit into one batch, 1 to 255."""
    instances: int = 1
    batch_service_s: tuple[float, ...]
    """Mean service time of a batch of 1, 2, … `max_batch_size` items."""
    max_queue_delay_s: float = 0.0
    """How long a batch that is not full may wait for more; 0 takes what is there."""
    service_cv: float = 0.0
    """Coefficient of variation of a batch's service time, gamma distributed; 1 is exponential."""
    max_queue_size: int | None = None
    """Requests that may wait in a server's queue before it rejects; None is no limit."""

    def __post_init__(self) -> None:
        require(1 <= self.max_batch_size <= 255, "max_batch_size", self.max_batch_size, "1 to 255")
        require(self.instances >= 1, "instances", self.instances, "at least 1")
        times = self.batch_service_s
        require(
            len(times) == self.max_batch_size and all(0.0 < s < float("inf") for s in times),
            "batch_service_s",
            times,
            f"{self.max_batch_size} positive times, one for each batch size",
        )
        require(
            all(LEAST_SERVICE_S <= s <= MOST_SERVICE_S for s in times),
            "batch_service_s",
            times,
            SERVICE_ALLOWED,
        )
        delay_s = self.max_queue_delay_s
        require(0.0 <= delay_s < float("inf"), "max_queue_delay_s", delay_s, "0 or more")
        require(0.0 <= self.service_cv < 100.0, "service_cv", self.service_cv, "0 to 100")
        size = self.max_queue_size
        require(size is None or size >= 1, "max_queue_size", size, "at least 1, or None")

    def service_s(self, batch_size: int) -> float:
        """Mean service time of a batch of `batch_size` items."""
        return self.batch_service_s[batch_size - 1]

    @property
    def capacity_rps(self) -> float:
        """Items a second that one server carries with its best batch size, all instances busy."""
        rates = (size / time_s for size, time_s in enumerate(self.batch_service_s, start=1))
        return self.instances * max(rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCounters:
    """One server's cumulative counters and gauges at an instant, as Triton's /metrics shows them.

    Requests count when their batch has finished. Each request adds its batch's whole compute time,
    so `compute_infer_duration_us` is the time of the batches weighted by their requests.
    """

    request_success: int
    request_failure: int
    inference_count: int
    """Items, of all finished batches."""
    exec_count: int
    """Finished batches."""
    request_duration_us: int
    queue_duration_us: int
    compute_infer_duration_us: int
    pending: int
    """Requests in the queue now."""
    outstanding: int
    """Requests in the queue or running now."""
    busy_s: float
    """Time in which at least one instance ran, running batches included: as a GPU's utilisation."""
    instance_busy_s: float
    """Time in which instances ran, running batches included, divided by the number of instances."""


class Scrape(NamedTuple):
    """Counters and gauges of several servers at one instant, a place for each: as `ServerCounters`, in seconds."""

    success: NDArray[np.int64]
    failure: NDArray[np.int64]
    inferences: NDArray[np.int64]
    executions: NDArray[np.int64]
    request_s: NDArray[np.float64]
    queue_s: NDArray[np.float64]
    compute_s: NDArray[np.float64]
    pending: NDArray[np.int64]
    outstanding: NDArray[np.int64]
    ongoing_s: NDArray[np.float64]
    """Request-seconds: the integral of `outstanding`."""
    busy_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStatistics:
    """Triton's `batch_stats` of one batch size: finished batches and their compute time."""

    batch_size: int
    exec_count: int
    compute_infer_s: float
