"""What a journal tells of each workload: what was there, how the objective fared, and what was recommended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from autoscaler.core.compliance import WindowCompliance, of_step
from autoscaler.core.ledger import Account, Step, advance, target_ratio
from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import (
    Decision,
    LatencyObjective,
    Slo,
    WorkloadId,
    WorkloadInput,
    WorkloadSpec,
)
from autoscaler.simulation.backtest import Watched, watch
from autoscaler.simulation.explained import Explained, explained
from autoscaler.simulation.journal_file import records_of
from autoscaler.simulation.recorder import Known, Steps, steps_of

# Ticks further apart were not ticks of one process: what was there meanwhile is not known.
LONGEST_TICK_S = 60.0
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One workload. Tuples have a place for each step; None: not seen."""

    spec: WorkloadSpec
    start_s: float
    duration_s: float
    steps: Steps
    known_s: float
    """Time for which the number of pods was known."""
    gpu_hours: float
    """Of all pods that were there, start-up and drain included, in the known time."""
    replica_hours: float
    recommended_replica_hours: float
    """Of what the controller said at each tick, for what it found then."""
    objective: LatencyObjective
    """That is judged: of several the one that spent most of its budget; of several on latency the first, since that is
    the one that an estimate is made for."""
    compliance: WindowCompliance
    """Of that objective over the whole time."""
    wanted: Known
    ready: Known
    starting: Known
    gpu_hours_by_step: Known
    budget_left: Known
    """Of the budget that the whole time allows: 1 untouched, 0 spent."""
    explained: Explained
    replicas: tuple[tuple[float, int], ...]
    """(seconds since the start, spec.replicas) at every change."""
    pods: tuple[tuple[float, int], ...]
    """(seconds since the start, pods that were there, start-up and drain included) at every change."""
    held_by: str | None
    """Who scaled it last, as `HorizontalPodAutoscaler ns/name`; None: nobody that forescale knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one or several journals told."""

    where: str
    config: EngineConfig
    observed: tuple[Observed, ...]
    watched: tuple[Watched, ...]
    """In the same order: what a scenario is made of."""


@dataclass(slots=True)
class _Tick:
    at_s: float
    wanted: int
    pods: int | None
    ready: int | None
    starting: int | None
    gpu_s: float
    totals: tuple[Step, ...]
    """Of each objective."""


@dataclass
class _Seen:
    """One workload, record by record."""

    spec: WorkloadSpec
    held_by: str | None = None
    account: Account | None = None
    ticks: list[_Tick] = field(default_factory=list)
    decisions: list[tuple[float, Decision]] = field(default_factory=list)
    known_s: float = 0.0
    gpu_s: float = 0.0
    replica_s: float = 0.0
    recommended_s: float = 0.0


def read(
    paths: list[Path],
    workload: str | None = None,
    *,
    told: Callable[[str], None] = lambda _path: None,
) -> Told:
    """Reads journals, oldest first; `workload` (`namespace/name`) leaves the others out. `told` hears each path.

    Raises:
        JournalInvalid: one can't be read. A torn last line is left out.
    """
    seen: dict[WorkloadId, _Seen] = {}
    watched: dict[WorkloadId, Watched] = {}
    config = EngineConfig()
    for its_config, record in records_of(paths, told):
        config = its_config
        decisions = {item.workload: item for item in record.result.decisions}
        mine = tuple(
            item for item in record.input.workloads if workload in (None, str(item.spec.id))
        )
        watch(watched, replace(record, input=replace(record.input, workloads=mine)))
        for item in mine:
            one = seen.setdefault(item.spec.id, _Seen(spec=item.spec))
            _take(one, item, decisions.get(item.spec.id), record.input.now_s, config)
    names = sorted(key for key, item in seen.items() if len(item.ticks) > 1)
    return Told(
        where=str(paths[0] if len(paths) == 1 else paths[0].parent),
        config=config,
        observed=tuple(_observed(seen[key]) for key in names),
        watched=tuple(watched[key] for key in names),
    )


def _take(
    seen: _Seen, given: WorkloadInput, decision: Decision | None, now_s: float, config: EngineConfig
) -> None:
    if seen.ticks and now_s <= seen.ticks[-1].at_s:
        return
    seen.spec, seen.held_by = given.spec, given.replicas.held_by
    seen.account = advance(seen.account, given, now_s, stale_after_s=config.signals.stale_after_s)
    span_s = now_s - seen.ticks[-1].at_s if seen.ticks else 0.0
    ready = starting = None
    if given.pods_known:
        there = [pod for pod in given.pods if pod.deleted_s is None]
        ready = sum(1 for pod in there if pod.ready_s is not None)
        starting = len(there) - ready
        if span_s <= LONGEST_TICK_S:
            seen.known_s += span_s
            seen.gpu_s += span_s * len(given.pods) * given.spec.gpus_per_replica
            seen.replica_s += span_s * given.replicas.desired
            target = given.replicas.desired if decision is None else decision.target
            seen.recommended_s += span_s * target
    seen.ticks.append(
        _Tick(
            at_s=now_s,
            wanted=given.replicas.desired,
            pods=len(given.pods) if given.pods_known else None,
            ready=ready,
            starting=starting,
            gpu_s=seen.gpu_s,
            totals=tuple(ledger.total for ledger in seen.account.ledgers),
        )
    )
    if decision is not None:
        seen.decisions.append((now_s, replace(decision, steps=(), findings=(), counterfactual="")))


def _observed(seen: _Seen) -> Observed:
    start_s = seen.ticks[0].at_s
    duration_s = seen.ticks[-1].at_s - start_s
    steps = steps_of(duration_s)
    last: list[_Tick | None] = [None] * steps.count
    for tick in seen.ticks:
        last[min(steps.count - 1, int((tick.at_s - start_s) / steps.step_s))] = tick
    assert seen.account is not None
    slo = seen.spec.slo
    judged = _judged(seen.account, slo)
    total, target = seen.account.ledgers[judged].total, target_ratio(slo.objectives[judged], slo)
    allowed = (1.0 - target) * total.requests
    spent = [
        None if tick is None or judged >= len(tick.totals) else tick.totals[judged] for tick in last
    ]
    return Observed(
        spec=seen.spec,
        start_s=start_s,
        duration_s=duration_s,
        steps=steps,
        known_s=seen.known_s,
        gpu_hours=seen.gpu_s / HOUR_S,
        replica_hours=seen.replica_s / HOUR_S,
        recommended_replica_hours=seen.recommended_s / HOUR_S,
        objective=slo.objectives[judged],
        compliance=_compliance(total, duration_s, target),
        wanted=tuple(None if t is None else float(t.wanted) for t in last),
        ready=tuple(None if t is None or t.ready is None else float(t.ready) for t in last),
        starting=tuple(
            None if t is None or t.starting is None else float(t.starting) for t in last
        ),
        gpu_hours_by_step=tuple(None if t is None else t.gpu_s / HOUR_S for t in last),
        budget_left=tuple(
            None
            if step is None or allowed <= 0.0 or step.requests <= 0.0
            else 1.0 - step.bad / allowed
            for step in spent
        ),
        explained=explained(
            ((at_s - start_s, decision) for at_s, decision in seen.decisions),
            step_s=steps.step_s,
            count=steps.count,
        ),
        replicas=_changes((tick.at_s - start_s, tick.wanted) for tick in seen.ticks),
        pods=_changes(
            (tick.at_s - start_s, tick.pods) for tick in seen.ticks if tick.pods is not None
        ),
        held_by=seen.held_by,
    )


def _judged(account: Account, slo: Slo) -> int:
    """Which of the objectives."""
    if all(one.signal == "latency" for one in slo.objectives):
        return 0
    burnt = [
        ledger.total.bad / ledger.total.requests / (1.0 - target_ratio(one, slo))
        if ledger.total.requests > 0.0
        else 0.0
        for ledger, one in zip(account.ledgers, slo.objectives, strict=True)
    ]
    return burnt.index(max(burnt))


def _compliance(total: Step, duration_s: float, target: float) -> WindowCompliance:
    return of_step(total, window="journal", window_s=duration_s, target=target)


def _changes(told: Iterable[tuple[float, int]]) -> tuple[tuple[float, int], ...]:
    kept: list[tuple[float, int]] = []
    for at_s, number in told:
        if not kept or kept[-1][1] != number:
            kept.append((at_s, number))
    return tuple(kept)
