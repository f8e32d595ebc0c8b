"""A template that forescale has changed, until its rollout has ended: well, or with the slice from before put back.

What was begun is written on the Deployment, so that whoever leads next ends it. It is put back once: a rollout that
does not get on with the slice from before either is a person's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from autoscaler.core.reasons import Reason
from autoscaler.core.slices.template import SetShape, ShapeMark, ShapePhase, ShapeStep
from autoscaler.core.state import WorkloadState, Written
from autoscaler.core.types import Mode, WorkloadInput

SETTLE_S = 30.0
"""What is seen sooner after a write may be from before it."""
UNDER_WAY = frozenset({ShapePhase.ROLLING, ShapePhase.RESTORING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Where it is, and what is to be written."""

    reason: Reason
    message: str
    action: SetShape | None = None
    person: bool = False
    """Somebody has to look."""


def under_way(given: WorkloadInput) -> ShapeMark | None:
    """The change that has begun and not ended; None: there is none."""
    mark = given.template.mark if given.template is not None else None
    return mark if mark is not None and mark.phase in UNDER_WAY else None


def rewritten(state: WorkloadState, given: WorkloadInput) -> WorkloadState:
    """The memory with the number of replicas that came with the template: it is forescale's own, and no one's edit."""
    mark, written = under_way(given), state.written
    if mark is None or written is None or mark.replicas == mark.replicas_before:
        return state
    if given.replicas.desired != mark.replicas or written.replicas != mark.replicas_before:
        return state
    own = Written(replicas=mark.replicas, before=mark.replicas_before, at_s=mark.at_s)
    return replace(state, written=own)


def follow(
    given: WorkloadInput, mark: ShapeMark, *, now_s: float, watchdog_s: float, hold: str | None
) -> Followed:
    """One look at a change that is under way."""
    status = given.template
    assert status is not None
    asked = mark.after if mark.phase is ShapePhase.ROLLING else mark.before
    if status.shape != asked or status.container != mark.container:
        why = f"somebody has changed the template to {status.shape} meanwhile"
        return _settle(given, mark, ShapePhase.FAILED, why, now_s, hold)
    if status.image != mark.image:
        why = f"somebody has changed its image to {status.image} meanwhile"
        return _settle(given, mark, _end(mark), why, now_s, hold)
    passed_s = now_s - mark.at_s
    # Written before the clock was set back: neither new nor overdue.
    passed_s = SETTLE_S if passed_s < -SETTLE_S else max(0.0, passed_s)
    if _finished(given) and passed_s >= SETTLE_S:
        why = mark.why or f"all {given.replicas.desired} replicas are ready on {status.shape}"
        return _settle(given, mark, _end(mark), why, now_s, hold)
    stuck = status.stalled
    if stuck is None and passed_s >= watchdog_s and given.pods_known:
        stuck = f"not all replicas are ready after {passed_s / 60:.0f} minutes"
    if stuck is None or passed_s < SETTLE_S:
        text = f"from {mark.before} to {mark.after}: {mark.phase.value} for {passed_s / 60:.0f} min"
        return Followed(reason=Reason.SHAPE_CHANGING, message=text)
    if mark.phase is ShapePhase.RESTORING:
        return Followed(
            reason=Reason.SHAPE_FAILED,
            message=(
                f"{mark.before} was put back ({mark.why}), and the rollout does not get on with it either: {stuck}; "
                "look at its pods"
            ),
            person=True,
        )
    after = replace(mark, phase=ShapePhase.RESTORING, at_s=now_s, why=stuck)
    text = f"{mark.after} failed: {stuck}; {mark.before} is put back"
    return _write(given, ShapeStep.RESTORE, mark, after, Reason.SHAPE_FAILED, text, hold)


def _end(mark: ShapeMark) -> ShapePhase:
    return ShapePhase.DONE if mark.phase is ShapePhase.ROLLING else ShapePhase.FAILED


def _finished(given: WorkloadInput) -> bool:
    """Every replica is ready and of the newest template."""
    if not given.pods_known or given.replicas.rollout:
        return False
    ready = [
        pod
        for pod in given.pods
        if pod.deleted_s is None
        and pod.ready_s is not None
        and pod.template_hash == given.replicas.template_hash
    ]
    return len(ready) >= given.replicas.desired


def _settle(
    given: WorkloadInput,
    mark: ShapeMark,
    phase: ShapePhase,
    why: str,
    now_s: float,
    hold: str | None,
) -> Followed:
    after = replace(mark, phase=phase, at_s=now_s, why=why)
    well = phase is ShapePhase.DONE
    text = f"from {mark.before} to {mark.after}: {'done' if well else 'given up'}, {why}"
    reason = Reason.SHAPE_CHANGED if well else Reason.SHAPE_FAILED
    return _write(given, ShapeStep.SETTLE, mark, after, reason, text, hold)


def _write(
    given: WorkloadInput,
    step: ShapeStep,
    mark: ShapeMark,
    after: ShapeMark,
    reason: Reason,
    message: str,
    hold: str | None,
) -> Followed:
    if hold is None and given.spec.mode is not Mode.AUTO:
        hold = f"its mode is {given.spec.mode.value}"
    if hold is not None:
        return Followed(reason=reason, message=f"{message}; not written: {hold}", person=True)
    spec, status = given.spec, given.template
    assert status is not None
    action = SetShape(
        namespace=spec.id.namespace,
        name=spec.id.name,
        step=step,
        expected=status.shape,
        observed=given.replicas.desired,
        known=mark,
        mark=after,
        reason=reason,
        message=message,
    )
    return Followed(reason=reason, message=message, action=action)
