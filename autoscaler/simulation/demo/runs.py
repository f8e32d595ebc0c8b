"""Runs one workload under each policy: a trial of its own, with a cluster and an engine of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autoscaler.core.settings import EngineConfig
from autoscaler.engine import DecisionEngine
from autoscaler.simulation.demo.workloads import Workload
from autoscaler.simulation.load_test import carried_rps
from autoscaler.simulation.peers.cron import WithCron
from autoscaler.simulation.peers.forescale import Forescale
from autoscaler.simulation.peers.hpa import GPU_UTILISATION, KEDA_REQUESTS
from autoscaler.simulation.peers.policy import Policy
from autoscaler.simulation.peers.rule import RulePolicy, known_of
from autoscaler.simulation.peers.static import Static
from autoscaler.simulation.recorded import Run, record
from autoscaler.simulation.recorder import Known, Steps, demand_rps, steps_of
from autoscaler.simulation.run import static_peak

NAMES = ("forescale", "HPA on requests/s", "HPA on GPU busy", "static peak")
"""In the order of the table; the second is what forescale is drawn beside."""
Progress = Callable[[str, float], None]
"""Called with what is being done and the share of the workload's work that is done."""


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
        scenario.batching, arrivals_s, threshold_s=scenario.threshold_s, goal=scenario.goal_ratio
    )
    capacity_rps = carried_rps(scenario.batching, scenario.threshold_s, scenario.goal_ratio)
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
        runs.append(record(scenario, policy, arrivals_s, steps, first=first, told=told))
    return Day(
        workload=workload,
        steps=steps,
        requests=int(arrivals_s.size),
        demand_rps=demand_rps(arrivals_s, steps),
        target_rps=KEDA_REQUESTS.default * capacity_rps,
        runs=tuple(runs),
    )
