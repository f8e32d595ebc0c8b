"""Both sides of one workload in figures, and the hours in which they differed most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autoscaler.core.compliance import Bounds
from autoscaler.core.ledger import target_ratio
from autoscaler.core.slo import objective_text
from autoscaler.core.types import WorkloadId
from autoscaler.report.content import Turn
from autoscaler.report.scale import moment
from autoscaler.simulation.recommended.estimate import Estimate
from autoscaler.simulation.recommended.observed import Observed

HOUR_S = 3600.0
MOST_HOURS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """One hour, or what of it the journal has, in which the replicas differed."""

    from_time: str
    there: float
    """Mean of the replicas that were asked for."""
    ours: float
    replica_hours: float
    """forescale's less those that were there: negative saves."""
    why: str
    """What last moved forescale's number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadReport:
    """One workload, as `--json` tells it."""

    workload: WorkloadId
    slo: str
    mode: str
    held_by: str | None
    from_time: str
    hours: float
    known_hours: float
    """Of these the pods were known; GPU-hours are of this time."""
    objective: str
    """Of the SLO's objectives the one that is judged: the one that spent most of its budget."""
    target_ratio: float
    requests: float
    good: Bounds
    """Observed: share of good requests."""
    gpu_hours: float
    replica_hours: float
    recommended_replica_hours: float
    """What the controller said at each tick, for what it found. Followed, it would have found something else."""
    estimated_good: Bounds | None
    estimated_gpu_hours: float | None
    model_good_ratio: float | None
    model_gpu_hours: float | None
    """What the same model says of the replicas that were there: compare with `good` and `gpu_hours`."""
    no_estimate: str | None
    """Why there is none."""
    differed_most: tuple[Hour, ...]

    @property
    def judged(self) -> str:
        """The SLO as it was written; of one with several objectives the one that is judged."""
        return f"{self.objective} (of several)" if "," in self.slo else self.slo

    @property
    def kept(self) -> bool | None:
        """Whether the objective was kept; None: not known for certain."""
        if self.good.low >= self.target_ratio:
            return True
        return False if self.good.high < self.target_ratio else None

    @property
    def would_keep(self) -> bool | None:
        """The same for forescale, by the estimate; None too where there is none."""
        told = self.estimated_good
        if told is None or told.high >= self.target_ratio > told.low:
            return None
        return told.low >= self.target_ratio


def report_of(observed: Observed, found: Estimate | str) -> WorkloadReport:
    """All figures of one workload."""
    estimated = None if isinstance(found, str) else found
    return WorkloadReport(
        workload=observed.spec.id,
        slo=observed.spec.slo.text,
        mode=observed.spec.mode.value,
        held_by=observed.held_by,
        from_time=moment(observed.start_s),
        hours=observed.duration_s / HOUR_S,
        known_hours=observed.known_s / HOUR_S,
        objective=objective_text(observed.objective),
        target_ratio=target_ratio(observed.objective, observed.spec.slo),
        requests=observed.compliance.requests,
        good=observed.compliance.compliance,
        gpu_hours=observed.gpu_hours,
        replica_hours=observed.replica_hours,
        recommended_replica_hours=observed.recommended_replica_hours,
        estimated_good=None
        if estimated is None
        else Bounds(
            low=estimated.low_ratio, estimate=estimated.good_ratio, high=estimated.high_ratio
        ),
        estimated_gpu_hours=None if estimated is None else estimated.gpu_hours,
        model_good_ratio=None if estimated is None else estimated.there_good_ratio,
        model_gpu_hours=None if estimated is None else estimated.there_gpu_hours,
        no_estimate=found if isinstance(found, str) else None,
        differed_most=differed_most(observed, estimated),
    )


def differed_most(observed: Observed, estimated: Estimate | None) -> tuple[Hour, ...]:
    """The hours with the largest difference in replica-hours, largest first.

    forescale's side is the estimate's, else what the controller recommended at each tick.
    """
    steps = observed.steps
    ours = observed.explained.targets if estimated is None else _aligned(observed, estimated)
    per_hour = max(1, round(HOUR_S / steps.step_s))
    hours = []
    for first in range(0, steps.count, per_hour):
        both = [
            (there, mine)
            for there, mine in zip(
                observed.wanted[first : first + per_hour],
                ours[first : first + per_hour],
                strict=True,
            )
            if there is not None and mine is not None
        ]
        change = sum(mine - there for there, mine in both) * steps.step_s / HOUR_S
        if not both or abs(change) < 1e-9:
            continue
        hours.append(
            Hour(
                from_time=moment(observed.start_s + first * steps.step_s),
                there=sum(there for there, _ in both) / len(both),
                ours=sum(mine for _, mine in both) / len(both),
                replica_hours=change,
                why=_why(observed, estimated, (first + per_hour) * steps.step_s),
            )
        )
    return tuple(sorted(hours, key=lambda hour: -abs(hour.replica_hours))[:MOST_HOURS])


def _why(observed: Observed, estimated: Estimate | None, until_s: float) -> str:
    """Of the last turn until then: a number that stays is there for the reason that brought it."""
    told, offset_s = observed.explained, 0.0
    if estimated is not None and estimated.run.explained is not None:
        told, offset_s = estimated.run.explained, estimated.offset_s
    past = [turn for turn in told.turns if turn.at_s + offset_s <= until_s]
    return past[-1].why if past else "it has not moved since the start"


def summed(reports: Sequence[WorkloadReport]) -> tuple[float, float, int]:
    """(GPU-hours that were there, estimated ones, workloads) of those that have an estimate."""
    both = [r for r in reports if r.estimated_gpu_hours is not None]
    return (
        sum(r.gpu_hours for r in both),
        sum(r.estimated_gpu_hours or 0.0 for r in both),
        len(both),
    )


def worse(reports: Sequence[WorkloadReport]) -> tuple[WorkloadReport, ...]:
    """Those whose objective was kept and would, by the whole of the estimate's range, have been missed."""
    return tuple(r for r in reports if r.kept is True and r.would_keep is False)


def percent(bounds: Bounds | None) -> str:
    """`99.52% (99.40 to 99.60)`; `-` where nothing is known."""
    if bounds is None or bounds.estimate is None:
        return "-"
    low, told, high = (f"{100 * value:.2f}" for value in (bounds.low, bounds.estimate, bounds.high))
    return f"{told}%" if low == high else f"{told}% ({low} to {high})"


def _aligned(observed: Observed, estimated: Estimate) -> tuple[float | None, ...]:
    return tuple(
        None if at is None else float(estimated.run.wanted[at])
        for at in places(observed, estimated)
    )


def places(observed: Observed, estimated: Estimate) -> tuple[int | None, ...]:
    """For each step of the journal the step of the model's run; None before its start and after its end."""
    count = len(estimated.run.wanted)
    first = round(estimated.offset_s / observed.steps.step_s)
    return tuple(
        at - first if 0 <= at - first < count else None for at in range(observed.steps.count)
    )


def shifted(turns: tuple[Turn, ...], offset_s: float) -> tuple[Turn, ...]:
    """The model's turns at the journal's times."""
    return tuple(
        Turn(at_s=turn.at_s + offset_s, before=turn.before, after=turn.after, why=turn.why)
        for turn in turns
    )
