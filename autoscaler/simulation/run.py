"""Drives one policy through a modelled cluster and scores what came of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from autoscaler.simulation.cluster import ModelledCluster
from autoscaler.simulation.peers.policy import Policy
from autoscaler.simulation.score import MIN_REQUESTS, Score, minutes_of, score
from autoscaler.simulation.serving import ServingModel, ServingPool

# Requests that have not finished this long after the end are missed.
DRAIN_S = 300.0


def run(
    policy: Policy,
    cluster: ModelledCluster,
    *,
    duration_s: float,
    progress: Callable[[float], None] = lambda _: None,
) -> Score:
    """Asks the policy each period until `duration_s`. `progress` is called with the virtual time."""
    replicas = [(0.0, cluster.replicas)]
    now_s = 0.0
    while now_s < duration_s:
        now_s = min(now_s + policy.period_s, duration_s)
        cluster.advance(now_s, reads=policy.reads)
        wanted = policy.replicas(cluster)
        if wanted != cluster.replicas:
            cluster.set_replicas(wanted)
            replicas.append((now_s, wanted))
        progress(now_s)
    gpu_hours, node_gpu_hours = cluster.gpu_hours, cluster.node_gpu_hours
    cluster.advance(duration_s + DRAIN_S, reads=None)
    scenario = cluster.scenario
    wanted_s = cluster.wanted_s
    good = np.asarray(cluster.answers_s) <= scenario.threshold_s
    asks_again = scenario.clients.retries > 0 and wanted_s.size > 0
    return score(
        policy.name,
        minutes_of(good, wanted_s, duration_s),
        goal=scenario.goal_ratio,
        gpu_hours=gpu_hours,
        node_gpu_hours=node_gpu_hours,
        replicas=tuple(replicas),
        attempts_ratio=cluster.attempts / wanted_s.size if asks_again else None,
    )


def static_peak(
    model: ServingModel,
    arrivals_s: NDArray[np.float64],
    *,
    threshold_s: float,
    goal: float,
    most: int = 256,
) -> int:
    """The fewest replicas that hold the goal in every minute of the whole run, found by bisection.

    Raises ValueError where not even `most` do.
    """
    duration_s = float(arrivals_s[-1]) if arrivals_s.size else 0.0

    def holds(replicas: int) -> bool:
        pool = ServingPool(model, arrivals_s, max_servers=replicas)
        for _ in range(replicas):
            pool.add_server(0.0)
        pool.run_until(duration_s + DRAIN_S)
        good = np.asarray(pool.latencies_s) <= threshold_s
        minutes = minutes_of(good, arrivals_s, duration_s)
        judged = minutes.total >= MIN_REQUESTS
        return bool((minutes.good[judged] >= goal * minutes.total[judged]).all())

    low, high = 0, 1
    while not holds(high):
        low, high = high, 2 * high
        if low >= most:
            raise ValueError(
                f"static peak: not even {low} replicas hold {goal:.1%} in every minute"
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
