"""Runs one workload under each policy: a trial of its own, with a cluster and an engine of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autoscaler.config.settings import ForecastSettings
from autoscaler.core.settings import EngineConfig
from autoscaler.engine import DecisionEngine
from autoscaler.forecasts import FleetForecaster
from autoscaler.simulation.demo.workloads import Workload
from autoscaler.simulation.forecasts import FittedForecasts
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
from autoscaler.simulation.scenario import Scenario

NAMES = ("forescale", "HPA on requests/s", "HPA on GPU busy", "static peak")
"""In the order of the table; the second is what forescale is drawn beside."""
Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """One workload under the policies that it is compared with."""

    target_rps: float
    runs: tuple[Run, ...]
    """One for each of NAMES but the first."""


def run_ours(workload: Workload, seed: int, told: Progress) -> Run:
    """forescale, with forecasts of the model that new workloads get: it learns this day as it comes."""
    scenario = workload.scenario
    # One of its own takes a day of history, and minutes to fit.
    forecaster = FleetForecaster(ForecastSettings(own_models=0, quick_models=0))
    policy = Forescale(DecisionEngine(EngineConfig()), forecasts=FittedForecasts(forecaster))
    policy.name = NAMES[0]
    return _run(scenario, policy, seed, lambda share: told(NAMES[0], share))


def run_others(workload: Workload, seed: int, told: Progress) -> Others:
    """The peers, one after the other, under the same requests and start-ups."""
    scenario = workload.scenario
    told("static peak: searching", 0.0)
    peak = static_peak(
        scenario.batching,
        scenario.demand.arrivals(seed),
        threshold_s=scenario.threshold_s,
        goal=scenario.goal_ratio,
    )
    capacity_rps = carried_rps(scenario.batching, scenario.threshold_s, scenario.goal_ratio)
    known = known_of(scenario, capacity_rps)
    hpas: list[Policy] = [RulePolicy(rule, known) for rule in (KEDA_REQUESTS, GPU_UTILISATION)]
    if scenario.spec.schedule:
        hpas = [WithCron(hpa, scenario.spec.schedule) for hpa in hpas]
    policies = (*hpas, Static(peak))
    runs = []
    for place, (name, policy) in enumerate(zip(NAMES[1:], policies, strict=True)):

        def done(share: float, name: str = name, place: int = place) -> None:
            told(name, (place + share) / len(policies))

        policy.name = name
        first = peak if isinstance(policy, Static) else None
        runs.append(_run(scenario, policy, seed, done, first=first))
    return Others(target_rps=KEDA_REQUESTS.default * capacity_rps, runs=tuple(runs))


def day_of(workload: Workload, seed: int, ours: Run, others: Others) -> Day:
    """Both together."""
    arrivals_s = workload.scenario.demand.arrivals(seed)
    steps = steps_of(workload.scenario.demand.duration_s)
    return Day(
        workload=workload,
        steps=steps,
        requests=int(arrivals_s.size),
        demand_rps=demand_rps(arrivals_s, steps),
        target_rps=others.target_rps,
        runs=(ours, *others.runs),
    )


def _run(
    scenario: Scenario,
    policy: Policy,
    seed: int,
    told: Callable[[float], None],
    *,
    first: int | None = None,
) -> Run:
    duration_s = scenario.demand.duration_s
    return record(
        scenario,
        policy,
        scenario.demand.arrivals(seed),
        steps_of(duration_s),
        first=first,
        told=lambda now_s: told(now_s / duration_s),
    )
