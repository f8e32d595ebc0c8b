"""Drives one policy through a modelled fleet and scores what became of each workload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from autoscaler.simulation.fleet.cluster import FleetCluster
from autoscaler.simulation.run import DRAIN_S
from autoscaler.simulation.score import Score, minutes_of, score
from autoscaler.simulation.scraped import Reads


class FleetPolicy(Protocol):
    """Asked every period; it sets what it wants set."""

    name: str
    period_s: float
    reads: Reads | None

    def act(self, cluster: FleetCluster) -> None:
        """Looks, decides and writes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetScore:
    """What a policy achieved over a run."""

    policy: str
    workloads: tuple[tuple[str, Score], ...]
    """By name; of a group as a whole. GPU-hours are its own, slices as parts of a GPU."""
    node_gpu_hours: float
    """Of all nodes that were there."""
    used_node_gpu_hours: float
    """Of the nodes with a pod on them: what a fixed pool is used for."""
    cuts: int
    """Changes of a node's slices that were begun, the way back from one that failed included, and of them"""
    failed_cuts: int
    """those that failed or never ended."""


def run_fleet(
    policy: FleetPolicy,
    cluster: FleetCluster,
    *,
    progress: Callable[[float], None] = lambda _: None,
) -> FleetScore:
    """Asks the policy each period until the longest demand is over. `progress` is called with the virtual time."""
    scenario, end_s = cluster.scenario, cluster.scenario.duration_s
    replicas = {one.key: [(0.0, one.deployment.replicas)] for one in cluster.members}
    now_s = 0.0
    while now_s < end_s:
        now_s = min(now_s + policy.period_s, end_s)
        cluster.advance(now_s, reads=policy.reads)
        policy.act(cluster)
        for one in cluster.members:
            if one.deployment.replicas != replicas[one.key][-1][1]:
                replicas[one.key].append((now_s, one.deployment.replicas))
        progress(now_s)
    hours = {one.name: cluster.gpu_hours(one.name) for one in scenario.workloads}
    nodes, used = cluster.node_gpu_hours, cluster.used_gpu_hours
    cluster.advance(end_s + DRAIN_S, reads=None)
    scores = []
    for workload in scenario.workloads:
        told = [replicas[one.key] for one in cluster.members if one.workload is workload]
        alone, arrivals_s = workload.alone, cluster.arrivals_s[workload.name]
        good = np.asarray(cluster.latencies_s(workload.name)) <= alone.threshold_s
        found = score(
            policy.name,
            minutes_of(good, arrivals_s, alone.demand.duration_s),
            goal=alone.goal_ratio,
            gpu_hours=hours[workload.name],
            replicas=_together(told),
            changes=sum(len(one) - 1 for one in told),
        )
        scores.append((workload.name, found))
    return FleetScore(
        policy=policy.name,
        workloads=tuple(scores),
        node_gpu_hours=nodes,
        used_node_gpu_hours=used,
        cuts=sum(manager.changes for manager in cluster.managers.values()),
        failed_cuts=sum(manager.failures for manager in cluster.managers.values()),
    )


def _together(told: list[list[tuple[float, int]]]) -> tuple[tuple[float, int], ...]:
    """Replicas of all of a workload's Deployments, at the start and at every change."""
    times = sorted({at_s for one in told for at_s, _ in one})
    return tuple(
        (at_s, sum(max((t, n) for t, n in one if t <= at_s)[1] for one in told)) for at_s in times
    )
