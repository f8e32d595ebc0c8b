"""Policies over one fleet side by side: every policy and seed, workload by workload."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from autoscaler.config.settings import ForecastSettings
from autoscaler.core.mig.choice import WHOLE_GPU
from autoscaler.core.settings import EngineConfig
from autoscaler.errors import ConfigError, Problem
from autoscaler.simulation.fleet.cluster import FleetCluster
from autoscaler.simulation.fleet.forescale import FleetForescale
from autoscaler.simulation.fleet.peers import FleetPeer, on_one_shape
from autoscaler.simulation.fleet.run import FleetScore, run_fleet
from autoscaler.simulation.fleet.scenario import FleetScenario
from autoscaler.simulation.forecasts import forecasts_of
from autoscaler.simulation.peers.catalog import FORESCALE, OWN, RULES
from autoscaler.simulation.score import Score
from autoscaler.simulation.trial import parse_policy

Step = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetChoice:
    """A policy by name; a peer's headroom, and the one shape that all of its pods have."""

    name: str
    headroom: float | None = None
    shape: str = WHOLE_GPU


def parse_choice(text: str, scenario: FleetScenario) -> FleetChoice:
    """`forescale`, `keda`, `keda=0.6` or `keda@1g.10gb=0.6`. Raises ConfigError."""
    policy, equals, headroom = text.strip().partition("=")
    name, at, shape = policy.partition("@")
    known, told = parse_policy(f"{name}{equals}{headroom}")
    if known == "static":
        said = "of one workload: how many replicas of each hold is not searched for"
        raise ConfigError((Problem("--policies", known, said),))
    offered = {one.name for workload in scenario.workloads for one in workload.shapes}
    if at and (known in OWN or shape not in {WHOLE_GPU, *offered}):
        allowed = f"a peer's with @ and one of {', '.join(sorted({WHOLE_GPU, *offered}))}"
        raise ConfigError((Problem("--policies", repr(text), allowed),))
    return FleetChoice(name=known, headroom=told, shape=shape or WHOLE_GPU)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadRow:
    """One workload under one policy: means over the seeds, but for the worst, which are the worst of all seeds."""

    policy: str
    workload: str
    goal_ratio: float
    attainment_ratio: float
    gpu_hours: float
    changes: float
    good_windows_ratio: float
    longest_bad_s: float
    worst_window_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesRow:
    """The nodes under one policy: means over the seeds."""

    policy: str
    node_gpu_hours: float
    used_node_gpu_hours: float
    cuts: float
    failed_cuts: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetComparison:
    """What `forescale simulate` tells of a fleet."""

    scenario: str
    requests: float
    duration_s: float
    seeds: int
    rows: tuple[WorkloadRow, ...]
    nodes: tuple[NodesRow, ...]
    scores: tuple[tuple[int, FleetScore], ...]
    """(seed, score) of every run."""


def compare_fleet(
    scenario: FleetScenario,
    policies: Sequence[FleetChoice],
    *,
    seeds: Sequence[int],
    config: EngineConfig | None = None,
    forecast: ForecastSettings | None = None,
    step: Step = lambda _what, _share: None,
) -> FleetComparison:
    """Runs them one after the other."""
    scores: list[tuple[int, FleetScore]] = []
    requests = 0
    for seed in seeds:
        found: list[FleetScore] = []
        for choice in policies:

            def told(now_s: float, what: str = f"{choice.name}, seed {seed}") -> None:
                step(what, now_s / scenario.duration_s)

            cluster, policy = _prepared(scenario, choice, seed, config, forecast)
            found.append(run_fleet(policy, cluster, progress=told))
        requests += sum(one.size for one in cluster.arrivals_s.values())
        scores += [(seed, score) for score in found]
    by_policy = [
        [score for _, score in scores[number :: len(policies)]] for number in range(len(policies))
    ]
    goals = {one.name: one.alone.goal_ratio for one in scenario.workloads}
    return FleetComparison(
        scenario=scenario.name,
        requests=requests / len(seeds),
        duration_s=scenario.duration_s,
        seeds=len(seeds),
        rows=tuple(
            _row(name, goal, [dict(one.workloads)[name] for one in runs])
            for runs in by_policy
            for name, goal in goals.items()
        ),
        nodes=tuple(_nodes(runs) for runs in by_policy),
        scores=tuple(scores),
    )


def _prepared(
    scenario: FleetScenario,
    choice: FleetChoice,
    seed: int,
    config: EngineConfig | None,
    forecast: ForecastSettings | None,
) -> tuple[FleetCluster, FleetForescale | FleetPeer]:
    if choice.name in OWN:
        fits = choice.name == FORESCALE
        forecasts = forecasts_of(forecast or ForecastSettings()) if fits else None
        ours = FleetForescale(scenario, config or EngineConfig(), forecasts=forecasts)
        return FleetCluster(scenario, seed), ours
    alike = on_one_shape(scenario, choice.shape)
    peer = FleetPeer(alike, RULES[choice.name], choice.headroom, shape=choice.shape)
    return FleetCluster(alike, seed), peer


def _row(workload: str, goal_ratio: float, scores: Sequence[Score]) -> WorkloadRow:
    return WorkloadRow(
        policy=scores[0].policy,
        workload=workload,
        goal_ratio=goal_ratio,
        attainment_ratio=fmean(one.attainment_ratio for one in scores),
        gpu_hours=fmean(one.gpu_hours for one in scores),
        changes=fmean(one.changes for one in scores),
        good_windows_ratio=fmean(one.good_windows_ratio for one in scores),
        longest_bad_s=max(one.longest_bad_s for one in scores),
        worst_window_ratio=min(one.worst_window_ratio for one in scores),
    )


def _nodes(scores: Sequence[FleetScore]) -> NodesRow:
    return NodesRow(
        policy=scores[0].policy,
        node_gpu_hours=fmean(one.node_gpu_hours for one in scores),
        used_node_gpu_hours=fmean(one.used_node_gpu_hours for one in scores),
        cuts=fmean(one.cuts for one in scores),
        failed_cuts=fmean(one.failed_cuts for one in scores),
    )
