"""Other rules, as they are documented: Kubernetes' HPA, and a static number of replicas."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

from autoscaler.core.behavior import (
    Recommended,
    ScaleEvent,
    forget,
    limit_down,
    limit_up,
    remember,
    stabilized,
)
from autoscaler.core.settings import PolicyType, RatePolicy, ScalingRules
from autoscaler.core.types import (
    ActionResult,
    Decision,
    ModelCounters,
    Outcome,
    TickInput,
    WorkloadInput,
)
from autoscaler.engine import DecisionEngine


class Policy(Protocol):
    """Says how many replicas there should be."""

    name: str
    period_s: float
    """How often it is asked."""

    def replicas(self, given: TickInput) -> int:
        """The number to set now."""
        ...


class Static:
    """Always the same number."""

    period_s = 60.0

    def __init__(self, replicas: int) -> None:
        self.name = f"static peak ({replicas})"
        self._replicas = replicas

    def replicas(self, given: TickInput) -> int:
        """The number."""
        return self._replicas


class Forescale:
    """The engine, driven as the controller drives it; every action is carried out at once."""

    name = "forescale"

    def __init__(self, engine: DecisionEngine) -> None:
        self.engine = engine
        self.period_s = engine.config.tick_s
        self.decisions: list[tuple[float, Decision]] = []

    def replicas(self, given: TickInput) -> int:
        """The engine's target."""
        result = self.engine.tick(given)
        self.engine.acknowledge(
            tuple(ActionResult(action=a, outcome=Outcome.APPLIED) for a in result.plan.actions)
        )
        decision = result.decisions[0]
        self.decisions.append((given.now_s, decision))
        return decision.target


def hpa_replicas(
    usages: list[float], *, missing: int = 0, pending: int = 0, current: int, tolerance: float = 0.1
) -> int:
    """HPA's calculation for a metric of pods: `usages` is the metric over its target, of each pod that has one.

    ceil(pods x mean usage), unless the mean is within the tolerance of 1. `missing` pods run and show no metric: they
    count as idle on the way up and as exactly at the target on the way down. `pending` pods don't run yet: idle on the
    way up, ignored on the way down. If that turns the direction, or brings it within the tolerance, nothing changes;
    nor does it where no pod has a metric. Bounds are the caller's.
    """
    if not usages:
        return current
    mean = sum(usages) / len(usages)
    counted = [*usages, *([1.0 if mean < 1.0 else 0.0] * missing)]
    if mean > 1.0:
        counted += [0.0] * pending
    careful = sum(counted) / len(counted)
    if abs(careful - 1.0) <= tolerance or (mean - 1.0) * (careful - 1.0) < 0.0:
        return current
    # Rounded at the ninth digit, so that 10 * 1.3 is 13 and not 14.
    wanted = math.ceil(round(sum(counted), 9))
    return max(wanted, current) if careful > 1.0 else min(wanted, current)


# HPA's own defaults.
HPA_UP = ScalingRules(
    policies=(
        RatePolicy(type=PolicyType.PERCENT, value=100.0, period_s=15.0),
        RatePolicy(type=PolicyType.PODS, value=4.0, period_s=15.0),
    )
)
HPA_DOWN = ScalingRules(
    stabilization_window_s=300.0,
    policies=(RatePolicy(type=PolicyType.PERCENT, value=100.0, period_s=15.0),),
)


@dataclass(slots=True)
class HpaMemory:
    """What HPA keeps between syncs."""

    recommended: tuple[Recommended, ...] = ()
    events: tuple[ScaleEvent, ...] = ()
    counters: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)
    """By pod: (time, queue seconds, compute seconds), of the last minute."""


class HpaQueueComputeRatio:
    """HPA v2 on NVIDIA's metric for Triton: queue time over compute time in the last minute, mean over pods.

    Defaults of both: sync every 15 s, tolerance 0.1, five minutes of stabilisation down, target 1.0. Where the metric
    is missing HPA leaves the replicas as they are.
    """

    period_s = 15.0

    def __init__(
        self, *, target: float = 1.0, min_replicas: int = 1, max_replicas: int = 100
    ) -> None:
        self.name = "HPA queue:compute"
        self._target = target
        self._bounds = (min_replicas, max_replicas)
        self._memory = HpaMemory()

    def replicas(self, given: TickInput) -> int:
        """HPA's order: ratio, stabilisation, rates, bounds."""
        now_s, workload = given.now_s, given.workloads[0]
        current = workload.replicas.desired
        memory = self._memory
        if not memory.recommended:
            # HPA takes what it finds at its first sync for a recommendation, and so holds it for the window.
            memory.recommended = (Recommended(at_s=now_s, replicas=current),)
        usages = [ratio / self._target for ratio in self._ratios(workload, now_s)]
        if not usages:
            return current
        lowest, highest = self._bounds
        live = sum(pod.deleted_s is None for pod in workload.pods)
        # A modelled pod that starts loads its model: it runs, and shows no metric yet.
        wanted = hpa_replicas(usages, missing=max(0, live - len(usages)), current=current)
        wanted = min(max(wanted, lowest), highest)
        after = stabilized(
            memory.recommended, now_s=now_s, current=current, wanted=wanted, up_s=0.0, down_s=300.0
        )
        memory.recommended = remember(
            memory.recommended, Recommended(at_s=now_s, replicas=wanted), down_s=300.0, up_s=0.0
        )
        after = min(after, limit_up(HPA_UP, memory.events, now_s=now_s, current=current))
        after = max(
            after, limit_down(HPA_DOWN, memory.events, now_s=now_s, current=current), lowest
        )
        if after != current:
            event = ScaleEvent(at_s=now_s, change=after - current)
            memory.events = (*forget(memory.events, now_s), event)
        return after

    def _ratios(self, workload: WorkloadInput, now_s: float) -> list[float]:
        ratios = []
        kept = self._memory.counters
        for sample in workload.samples:
            model: ModelCounters = sample.models[0]
            if model.queue_s is None or model.compute_s is None:
                continue
            past = [p for p in kept.get(sample.pod, []) if now_s - p[0] <= 60.0]
            kept[sample.pod] = [*past, (sample.sampled_at_s, model.queue_s, model.compute_s)]
            if past and sample.sampled_at_s > past[0][0]:
                span_s = sample.sampled_at_s - past[0][0]
                queue_us = (model.queue_s - past[0][1]) / span_s * 1e6
                compute_us = (model.compute_s - past[0][2]) / span_s * 1e6
                ratios.append(queue_us / max(compute_us, 1.0))
        return ratios
