"""Runs one workload under each policy: a trial of its own, with a cluster and an engine of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.settings import EngineConfig
from autoscaler.engine import DecisionEngine
from autoscaler.simulation.cluster import EPOCH_S, ModelledCluster
from autoscaler.simulation.demo.recorder import (
    Budget,
    Change,
    Known,
    Recorder,
    Steps,
    budget,
    demand_rps,
    latency_s,
    steps_of,
)
from autoscaler.simulation.demo.workloads import Workload
from autoscaler.simulation.explained import Explained, explained
from autoscaler.simulation.load_test import carried_rps
from autoscaler.simulation.peers.cron import WithCron
from autoscaler.simulation.peers.forescale import Forescale
from autoscaler.simulation.peers.hpa import GPU_UTILISATION, KEDA_REQUESTS
from autoscaler.simulation.peers.policy import Policy
from autoscaler.simulation.peers.rule import RulePolicy, known_of
from autoscaler.simulation.peers.static import Static
from autoscaler.simulation.run import run, static_peak
from autoscaler.simulation.score import Score, minutes_of

NAMES = ("forescale", "HPA on requests/s", "HPA on GPU busy", "static peak")
"""In the order of the table; the second is what forescale is drawn beside."""
Progress = Callable[[str, float], None]
"""Called with what is being done and the share of the workload's work that is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One policy over the day. The tuples have a place for each step."""

    score: Score
    budget: Budget
    wanted: tuple[int, ...]
    ready: tuple[int, ...]
    starting: tuple[int, ...]
    gpu_hours: tuple[float, ...]
    served_rps: Known
    latency_s: Known
    changes: tuple[Change, ...]
    explained: Explained | None
    """What forescale says of itself; None: the policy gives no reasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One workload under every policy."""

    workload: Workload
    steps: Steps
    requests: int
    demand_rps: Known
    target_rps: float
    """What HPA is told to give each replica."""
    runs: tuple[Run, ...]
    """One for each of NAMES."""

    @property
    def ours(self) -> Run:
        """forescale's."""
        return self.runs[0]

    @property
    def theirs(self) -> Run:
        """That of the HPA which is drawn."""
        return self.runs[1]

    @property
    def static(self) -> Run:
        """That of the static peak."""
        return self.runs[-1]


def run_day(workload: Workload, seed: int, progress: Progress = lambda _what, _share: None) -> Day:
    """All policies, one after the other, under the same requests and start-ups."""
    scenario = workload.scenario
    arrivals_s = scenario.demand.arrivals(seed)
    progress("static peak: searching", 0.0)
    peak = static_peak(
        scenario.server, arrivals_s, threshold_s=scenario.threshold_s, goal=scenario.goal_ratio
    )
    capacity_rps = carried_rps(scenario.server, scenario.threshold_s, scenario.goal_ratio)
    known = known_of(scenario, capacity_rps)
    hpas: list[Policy] = [RulePolicy(rule, known) for rule in (KEDA_REQUESTS, GPU_UTILISATION)]
    if scenario.spec.schedule:
        hpas = [WithCron(hpa, scenario.spec.schedule) for hpa in hpas]
    steps = steps_of(scenario.demand.duration_s)
    policies = (Forescale(DecisionEngine(EngineConfig())), *hpas, Static(peak))
    runs = []
    for place, (name, policy) in enumerate(zip(NAMES, policies, strict=True)):

        def told(now_s: float, name: str = name, place: int = place) -> None:
            progress(name, (place + now_s / scenario.demand.duration_s) / len(NAMES))

        policy.name = name
        first = peak if isinstance(policy, Static) else None
        runs.append(_run(workload, policy, arrivals_s, steps, first, told))
    return Day(
        workload=workload,
        steps=steps,
        requests=int(arrivals_s.size),
        demand_rps=demand_rps(arrivals_s, steps),
        target_rps=KEDA_REQUESTS.default * capacity_rps,
        runs=tuple(runs),
    )


def _run(
    workload: Workload,
    policy: Policy,
    arrivals_s: NDArray[np.float64],
    steps: Steps,
    first: int | None,
    told: Callable[[float], None],
) -> Run:
    scenario = workload.scenario
    cluster = ModelledCluster(scenario, arrivals_s, replicas=first)
    recorder = Recorder(cluster, steps)
    duration_s = scenario.demand.duration_s
    score = run(
        policy, cluster, arrivals_s, duration_s=duration_s, progress=recorder.while_told(told)
    )
    latencies_s = np.asarray(cluster.latencies_s)
    minutes = minutes_of(latencies_s <= scenario.threshold_s, arrivals_s, duration_s)
    objective = scenario.spec.slo.objectives[0]
    told_of = None
    if isinstance(policy, Forescale):
        kept = ((now_s - EPOCH_S, decision) for now_s, decision in policy.decisions)
        told_of = explained(kept, step_s=steps.step_s, count=steps.count)
    return Run(
        score=score,
        budget=budget(minutes, scenario.spec.slo, steps),
        wanted=tuple(recorder.wanted),
        ready=tuple(recorder.ready),
        starting=tuple(recorder.starting),
        gpu_hours=tuple(recorder.gpu_hours),
        served_rps=tuple(recorder.served_rps),
        latency_s=latency_s(latencies_s, arrivals_s, objective.ratio, steps),
        changes=tuple(recorder.changes),
        explained=told_of,
    )
