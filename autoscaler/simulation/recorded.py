"""One run of a policy with everything that a page shows of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscaler.simulation.cluster import EPOCH_S, ModelledCluster
from autoscaler.simulation.explained import Explained, explained
from autoscaler.simulation.peers.forescale import Forescale
from autoscaler.simulation.peers.policy import Policy
from autoscaler.simulation.recorder import (
    Budget,
    Change,
    Known,
    Recorder,
    Steps,
    budget,
    latency_s,
)
from autoscaler.simulation.run import run
from autoscaler.simulation.scenario import Scenario
from autoscaler.simulation.score import Score, minutes_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One policy over a run. The tuples have a place for each step."""

    score: Score
    budget: Budget
    wanted: tuple[int, ...]
    ready: tuple[int, ...]
    starting: tuple[int, ...]
    gpu_hours: tuple[float, ...]
    served_rps: Known
    latency_s: Known
    changes: tuple[Change, ...]
    pods: tuple[tuple[float, int], ...]
    """(time, pods that hold a GPU, start-up and drain included) at every change."""
    explained: Explained | None
    """What forescale says of itself; None: the policy gives no reasons."""


def record(
    scenario: Scenario,
    policy: Policy,
    arrivals_s: NDArray[np.float64],
    steps: Steps,
    *,
    first: int | None = None,
    told: Callable[[float], None] = lambda _now_s: None,
) -> Run:
    """Runs it. `first`: replicas that are there at the start, where not the scenario's; `told` hears the time."""
    cluster = ModelledCluster(scenario, arrivals_s, replicas=first)
    recorder = Recorder(cluster, steps)
    duration_s = scenario.demand.duration_s
    score = run(policy, cluster, duration_s=duration_s, progress=recorder.while_told(told))
    answers_s, wanted_s = np.asarray(cluster.answers_s), cluster.wanted_s
    minutes = minutes_of(answers_s <= scenario.threshold_s, wanted_s, duration_s)
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
        latency_s=latency_s(answers_s, wanted_s, objective.ratio, steps),
        changes=tuple(recorder.changes),
        pods=tuple(recorder.pods),
        explained=told_of,
    )
