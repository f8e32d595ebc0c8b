"""What one replica carries within the SLO: the load test that whoever sets a peer up makes beforehand."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from autoscaler.simulation.arrivals import poisson_arrivals
from autoscaler.simulation.serving import ServingModel, ServingPool

SECONDS = 4000
WARM_UP_RATIO = 0.025
STEPS = 9
# A server of ten thousand a second is known as well after a few minutes.
MOST_REQUESTS = 4_000_000


@cache
def carried_rps(model: ServingModel, threshold_s: float, goal_ratio: float, seed: int = 0) -> float:
    """The highest Poisson rate at which one server answers `goal_ratio` of the requests within the threshold.

    Found by bisection, to 1/500 of the server's capacity; a server that misses even when idle is taken at a tenth.
    """

    seconds = math.ceil(min(SECONDS, MOST_REQUESTS / model.capacity_rps))

    def holds(share: float) -> bool:
        rates = np.full(seconds, share * model.capacity_rps)
        due = poisson_arrivals(rates, np.random.default_rng(seed))
        pool = ServingPool(model, due, max_servers=1, seed=seed)
        pool.add_server(0.0)
        pool.run_until(2.0 * seconds)
        late = np.asarray(pool.latencies_s)[due >= WARM_UP_RATIO * seconds]
        return bool((late <= threshold_s).mean() >= goal_ratio)

    low, high = 0.1, 1.0
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low * model.capacity_rps
