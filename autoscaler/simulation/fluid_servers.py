"""What the fluid model knows of its servers: the batches at a load, and how long requests wait beside a backlog.

Three waits make up a latency there. A backlog, what came above capacity, is a queue of the model itself. What chance
adds to it near saturation is `steady_wait_s`. And where batches are formed, whoever finds all servers running waits for
a running batch to end: `forming_s`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoscaler.simulation.compiled import compilable
from autoscaler.simulation.serving_model import ServingModel

# Batches are looked up at so many loads from 0 to 1.
LOADS = 256


class Plant(NamedTuple):
    """One server, as numba takes it."""

    each_rps: float
    """What it serves at most: all instances, full batches."""
    instances: float
    request_s: float
    """An instance's time for a request of a full batch."""
    request_cv2: float
    """Squared coefficient of variation of the work that a request brings: B batches' worth varies B times as much."""
    cv: float
    alone_s: float
    """Service time of a batch of one."""
    sizes: NDArray[np.float64]
    """Mean batch by load, `LOADS` + 1 places from 0 to 1."""
    times_s: NDArray[np.float64]
    """Service time that a request sees there: more of them are in the larger batches, which follow longer ones."""


def plant_of(server: ServingModel) -> Plant:
    """From how a server serves."""
    largest = server.max_batch_size
    request_s = server.service_s(largest) / largest
    sizes = np.array([_size(server, place / LOADS) for place in range(LOADS + 1)])
    known = np.arange(1.0, largest + 1.0)
    return Plant(
        each_rps=server.instances / request_s,
        instances=float(server.instances),
        request_s=request_s,
        request_cv2=largest * server.service_cv**2,
        cv=server.service_cv,
        alone_s=server.service_s(1),
        sizes=sizes,
        times_s=np.interp(
            np.where(sizes > 1.0, sizes * (1.0 + server.service_cv**2), 1.0),
            known,
            server.batch_service_s,
        ),
    )


def _size(server: ServingModel, load: float) -> float:
    """The mean batch: as many as come while one is served, b = x s(b), at least 1; the smallest that keeps up.

    72 ms + 28 ms a request, to 8: an instance gets x = 13.5 a second at half load, and 0.072 x / (1 - 0.028 x) is 1.56.
    """
    largest = server.max_batch_size
    rate_rps = load * largest / server.service_s(largest)
    candidates = np.linspace(1.0, largest, 100 * (largest - 1) + 1)
    times_s = np.interp(candidates, np.arange(1.0, largest + 1.0), server.batch_service_s)
    enough = np.flatnonzero(rate_rps * times_s <= candidates + 1e-9)
    return float(candidates[enough[0]]) if enough.size else float(largest)


@compilable
def steady_wait_s(load: Any, servers: Any, request_s: Any, request_cv2: Any) -> Any:
    """Mean wait in a queue M/G/n that is `load` busy: Sakasegawa's approximation.

    load ** (sqrt(2 (n + 1)) - 1) / (n (1 - load)) x (1 + cv²) / 2 times a request. For batches of B that take s with a
    spread of cv, a request is s / B and its cv² is B cv²: near saturation, where it matters, a queue grows by the
    variance of what comes and what goes, and full batches go B at a time. Loads above 0.98 count as that: what comes on
    top is in the queue of the model itself.
    """
    busy = min(load, 0.98)
    if busy <= 0.0:
        return 0.0
    waiting = busy ** (math.sqrt(2.0 * (servers + 1.0)) - 1.0) / (servers * (1.0 - busy))
    return request_s * waiting * (1.0 + request_cv2) / 2.0


@compilable
def steady_of(smooth: Any, ready: Any, plant: Any) -> Any:
    """`steady_wait_s` of so many servers at the smoothed rate."""
    load = smooth / (ready * plant.each_rps)
    at_once = ready * plant.instances
    return steady_wait_s(load, at_once, plant.request_s, plant.request_cv2)


@compilable
def batch_of(load: Any, ready: Any, plant: Any) -> Any:
    """(mean batch, service time that a request sees, its wait for the running batch) of so many servers at a load.

    All are running with the probability that a queue M/M/n of batches of one has for a wait, in Sakasegawa's form; then
    what is left of the running batch is waited for, half of it and more where times are spread. Where there are several
    servers it is up to half as much again: the balancer sends most to those that have just begun a batch, since they
    have the fewest. That share is measured; see `tests/simulation/test_fluid_batches.py`.
    """
    place = int(min(max(load, 0.0), 1.0) * LOADS + 0.5)
    size, time_s = plant.sizes[place], plant.times_s[place]
    if plant.sizes[LOADS] <= 1.0:
        return size, time_s, 0.0
    busy = min(1.0, load * plant.each_rps * plant.alone_s / plant.instances)
    if busy <= 0.0:
        return size, time_s, 0.0
    at_once = max(ready, 1) * plant.instances
    all_busy = busy ** (math.sqrt(2.0 * (at_once + 1.0)) - 1.0)
    left_s = time_s * (1.0 + plant.cv * plant.cv) / (2.0 * plant.instances)
    begun = 0.5 * (1.0 - 1.0 / size) * (1.0 - 1.0 / at_once)
    return size, time_s, all_busy * left_s * (1.0 + begun)


@compilable
def spread_of(service_s: Any, forming_s: Any, plant: Any) -> Any:
    """Standard deviation of a batch's time and of what is left of the one before, which is uniform around its mean."""
    return math.sqrt((plant.cv * service_s) ** 2 + forming_s * forming_s / 3.0)
