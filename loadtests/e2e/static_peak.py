"""What the same peak costs without an autoscaler: found by simulating the servers request by request."""

from __future__ import annotations

import numpy as np

from autoscaler.core.service_time import ServiceTimes
from autoscaler.simulation.serving import Routing, ServingModel, ServingPool

MOST = 64


def fewest(
    times: ServiceTimes,
    *,
    rate_rps: float,
    threshold_s: float,
    goal: float,
    routing: Routing = Routing.LEAST_OUTSTANDING,
) -> int:
    """The fewest replicas with which `goal` of 200,000 Poisson requests stay within the threshold.

    Raises ValueError where not even 64 do.
    """
    arrivals_s = np.cumsum(np.random.default_rng(1).exponential(1.0 / rate_rps, 200_000))
    model = ServingModel(
        max_batch_size=times.max_batch_size,
        instances=times.instances,
        batch_service_s=times.batch_s,
    )
    for replicas in range(max(1, int(rate_rps * times.work_s)), MOST + 1):
        pool = ServingPool(model, arrivals_s, routing)
        for _ in range(replicas):
            pool.add_server(0.0)
        pool.run_until(float(arrivals_s[-1]) + 60.0)
        if float((np.asarray(pool.latencies_s) <= threshold_s).mean()) >= goal:
            return replicas
    raise ValueError(
        f"{rate_rps:g} rps: not even {MOST} replicas hold {goal:.0%} < {threshold_s * 1000:.0f} ms"
    )
