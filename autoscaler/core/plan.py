"""Step 9: from decisions to actions, and what becomes of a decision that others cut or an error ends."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from autoscaler.core import fault, victims
from autoscaler.core.behavior import ScaleEvent
from autoscaler.core.reasons import Reason
from autoscaler.core.state import WorkloadState, Written
from autoscaler.core.types import (
    ActionResult,
    Decision,
    DecisionStep,
    Finding,
    Mode,
    Outcome,
    SetReplicas,
    WorkloadId,
    WorkloadInput,
)


def acknowledged(state: WorkloadState, result: ActionResult, now_s: float) -> WorkloadState:
    """The memory after a write: only what was applied is remembered as written."""
    action = result.action
    if result.outcome is Outcome.UNKNOWN:
        return replace(state, written=None)
    if result.outcome not in (Outcome.APPLIED, Outcome.UNCHANGED):
        return state
    written = Written(replicas=action.replicas, before=action.observed, at_s=now_s)
    change = action.replicas - action.observed
    event = ScaleEvent(at_s=now_s, change=change)
    return replace(state, written=written, events=(*state.events, event))


def actions(
    inputs: Sequence[WorkloadInput],
    decided: Sequence[Decision],
    *,
    emptied: Collection[str] = (),
    staying: Collection[str] = (),
) -> tuple[SetReplicas, ...]:
    """One write for each number that is to change and is forescale's to write; `emptied` are nodes to be emptied,
    `staying` those that no autoscaler takes.
    """
    given = {item.spec.id: item for item in inputs}
    steered = any(item.spec.steer_victims for item in inputs)
    load = victims.loads(inputs) if steered else {}
    return tuple(
        SetReplicas(
            workload=d.workload,
            api_version=given[d.workload].spec.api_version,
            observed=d.current,
            replicas=d.target,
            reason=d.reason,
            message=d.message,
            victims=victims.victims(
                given[d.workload], d.target, load, emptied, {item.pod for item in d.sick}, staying
            )
            if d.target < d.current
            else (),
        )
        for d in decided
        if d.mode is Mode.AUTO and d.target != d.current
    )


def cut_down(
    decided: Sequence[Decision], cuts: Mapping[WorkloadId, tuple[int, Reason, str]]
) -> list[Decision]:
    """The decisions, with those of the fleet that are named set to another number."""
    result = []
    for decision in decided:
        cut = cuts.get(decision.workload)
        if cut is not None:
            target, reason, message = cut
            decision = decision.then("fleet", target, reason, message)
        result.append(decision)
    return result


def as_they_are(decided: Sequence[Decision], reason: Reason, message: str) -> list[Decision]:
    """None of them moves."""
    moving = [d for d in decided if d.target != d.current]
    return cut_down(decided, {d.workload: (d.current, reason, message) for d in moving})


def failed(given: WorkloadInput, error: Exception) -> Decision:
    """Of a workload whose decision ended in an error: as it is."""
    current = given.replicas.desired
    message = f"held: {fault.told(error)}"
    step = DecisionStep(
        stage="error", before=current, after=current, reason=Reason.INTERNAL_ERROR, message=message
    )
    return Decision(
        workload=given.spec.id,
        current=current,
        target=current,
        reason=Reason.INTERNAL_ERROR,
        message=message,
        mode=given.spec.mode,
        steps=(step,),
        findings=(Finding(reason=Reason.INTERNAL_ERROR, message=message),),
    )
