"""A workload's own template on a cheaper slice: an opt-in of its own, and narrow.

    what each slice carries of the present demand -> the cheapest, for long enough -> may it be, and is there room
      -> one write -> the rollout, or the slice from before

Changed is a template only where everything is known and still, nothing else owns it, and all of its replicas find a
free slice before the old ones go; one at a time, and no template twice within a day. Everything else is said, with the
line that a person may change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoscaler.core.mig.choice import resource_of
from autoscaler.core.need import objective_of
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices import room
from autoscaler.core.slices.offers import WORTH_RATIO, Case, NoOffer, Offer, offered, waited
from autoscaler.core.slices.rollout import follow, under_way
from autoscaler.core.slices.settings import TemplatesMode
from autoscaler.core.slices.state import ShapeState
from autoscaler.core.slices.template import (
    SetShape,
    ShapeDecision,
    ShapeMark,
    ShapePhase,
    ShapeStep,
    TemplateStatus,
    unavailable,
)
from autoscaler.core.slices.tick import SlicesTick
from autoscaler.core.types import (
    Finding,
    Mode,
    Pause,
    Severity,
    WorkloadId,
)

DAY_S = 86400.0
"""No template is written twice within it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is said, done and remembered of one workload's template."""

    workload: WorkloadId
    decision: ShapeDecision
    state: ShapeState
    finding: Finding | None = None
    """What its owner should know."""
    action: SetShape | None = None


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What became of all templates."""

    verdicts: tuple[Verdict, ...] = ()

    @property
    def decisions(self) -> tuple[ShapeDecision, ...]:
        """One of each."""
        return tuple(item.decision for item in self.verdicts)

    @property
    def actions(self) -> tuple[SetShape, ...]:
        """What is to be written."""
        return tuple(item.action for item in self.verdicts if item.action is not None)

    @property
    def states(self) -> tuple[ShapeState, ...]:
        """For the next tick."""
        return tuple(item.state for item in self.verdicts)

    @property
    def findings(self) -> dict[WorkloadId, Finding]:
        """By workload."""
        return {item.workload: item.finding for item in self.verdicts if item.finding is not None}


def review(tick: SlicesTick, states: Sequence[ShapeState]) -> Reviewed:
    """Every workload with `forescale.io/slice-shapes`."""
    if tick.config.slices.templates is TemplatesMode.OFF:
        return Reviewed()
    known = {state.workload: state for state in states}
    cases = _cases(tick)
    busy = next((case.name for case in cases if under_way(case.given)), None)
    verdicts = []
    for case in cases:
        state = _remembered(case, known.get(case.name))
        begun = under_way(case.given)
        if begun is not None:
            verdicts.append(_followed(case, begun, state, tick))
            continue
        verdict = _considered(case, state, busy, tick)
        verdicts.append(verdict)
        if verdict.action is not None:
            busy = case.name
    return Reviewed(tuple(verdicts))


def _remembered(case: Case, state: ShapeState | None) -> ShapeState:
    """With what its mark says of the last change, which whoever led before may have made."""
    state, mark = state or ShapeState(workload=case.name), case.status.mark
    if mark is None:
        return state
    return replace(state, changed_s=max(mark.at_s, state.changed_s or mark.at_s))


def _considered(case: Case, state: ShapeState, busy: str | None, tick: SlicesTick) -> Verdict:
    """One that nothing is under way for; `busy` is the workload whose turn it is."""
    offer, now_s, settings = offered(case, tick.config), tick.now_s, tick.config.slices
    state = waited(state, offer, now_s)
    if isinstance(offer, NoOffer):
        return _verdict(case, None, Reason.SHAPE_STEADY, offer.message, state)
    waited_s = now_s - state.since_s if state.shape else 0.0
    text = f"{offer.message}, for {waited_s / 60:.0f} min"
    if waited_s < settings.template_patience_s or offer.ratio > WORTH_RATIO:
        return _verdict(case, offer.shape, Reason.SHAPE_CHEAPER, text, state)
    # No fewer than now: what is sized with has not been tried yet.
    replicas = max(case.given.replicas.desired, offer.replicas)
    why = _in_the_way(case, offer, replicas, state, busy, tick)
    if why is not None:
        message = f"{text}; {_line(case, offer)}. Not changed: {why}"
        verdict = _verdict(case, offer.shape, Reason.SHAPE_CHEAPER, message, state)
        return _told(verdict, Severity.NORMAL)
    verdict = _verdict(case, offer.shape, Reason.SHAPE_CHANGING, text, state)
    return replace(verdict, action=_change(case, offer, replicas, text, now_s))


def _cases(tick: SlicesTick) -> list[Case]:
    found = []
    for given, decision in zip(tick.tick_input.workloads, tick.decisions, strict=True):
        spec, status = given.spec, given.template
        if status is None or spec.node_needs is None:
            continue
        if not spec.slice_shapes and under_way(given) is None:
            # What was begun is ended, whatever became of the annotation.
            continue
        floor = tick.floors.get(spec.id, spec.min_replicas)
        most = tick.config.most_replicas(spec.max_replicas)
        found.append(
            Case(
                given=given,
                decision=decision,
                status=status,
                needs=spec.node_needs,
                need=tick.needs.get(spec.id),
                floor=floor,
                limit=max(floor, most),
            )
        )
    return sorted(found, key=lambda case: case.name)


def _followed(case: Case, mark: ShapeMark, state: ShapeState, tick: SlicesTick) -> Verdict:
    # Nodes that are not seen are no reason to leave a rollout as it is.
    frozen, settings = tick.tick_input.frozen, tick.config.slices
    hold = None if frozen is None else f"all scaling is frozen: {frozen}"
    if settings.templates is not TemplatesMode.AUTO:
        hold = hold or f"engine.slices.templates is {settings.templates.value}"
    seen = follow(
        case.given, mark, now_s=tick.now_s, watchdog_s=settings.template_watchdog_s, hold=hold
    )
    # How long another slice has been cheaper begins anew with the change.
    state = ShapeState(workload=case.name, changed_s=state.changed_s)
    verdict = _verdict(case, mark.after, seen.reason, seen.message, state)
    if seen.person:
        verdict = _told(verdict, Severity.WARNING)
    return replace(verdict, action=seen.action)


# ---------------------------------------------------------------- whether it may be


def _in_the_way(
    case: Case, offer: Offer, replicas: int, state: ShapeState, busy: str | None, tick: SlicesTick
) -> str | None:
    """Whoever changes it by hand wants to know both: why forescale may not, and what a rollout would meet."""
    reasons = (
        _not_ours(case, tick.config)
        or _too_soon(state, tick.now_s)
        or tick.hold
        or (f"{busy} is being changed, one at a time" if busy is not None else None),
        _unsteady(case)
        or _not_all_there(case.status, replicas, max(offer.replicas, offer.here))
        or _no_room(case, offer.shape, replicas, tick),
    )
    return "; ".join(one for one in reasons if one is not None) or None


def _not_ours(case: Case, config: EngineConfig) -> str | None:
    if config.slices.templates is not TemplatesMode.AUTO:
        return "engine.slices.templates is recommend"
    if case.given.spec.mode is not Mode.AUTO:
        return f"its mode is {case.given.spec.mode.value}"
    if case.given.replicas.held_by is not None:
        return f"{case.given.replicas.held_by} scales it"
    return case.status.owner or case.status.unrollable


def _too_soon(state: ShapeState, now_s: float) -> str | None:
    if state.changed_s is None or now_s - state.changed_s >= DAY_S:
        return None
    hours = max(0.0, now_s - state.changed_s) / 3600.0
    return f"its template was last written {hours:.1f} hours ago, and a day must pass"


def _unsteady(case: Case) -> str | None:
    """Anything that moves, is ill or is not known."""
    given, decision, need = case.given, case.decision, case.need
    facts, replicas = decision.facts, given.replicas
    allowed = 1.0 - objective_of(given).ratio
    missed = facts.violated_ratio is not None and facts.violated_ratio > allowed
    ready = sum(1 for pod in given.pods if pod.ready_s is not None and pod.deleted_s is None)
    checks = (
        (not given.pods_known or given.samples_error is not None, "not all of it is seen"),
        (replicas.desired == 0, "it has no replicas"),
        (replicas.rollout, "a rollout is under way"),
        (replicas.blocked is not None, f"pods can't be made: {replicas.blocked}"),
        (given.spec.pause is not Pause.NONE, f"it is paused: {given.spec.pause.value}"),
        (need is None or need.suffering or missed, "requests miss the objective"),
        (bool(decision.sick), "a replica is sick"),
        (decision.target != decision.current, "its replicas are being scaled"),
        (
            ready != replicas.desired or len(given.pods) != ready,
            "not all of its replicas are ready",
        ),
    )
    return next((why for found, why in checks if found), None)


def _not_all_there(status: TemplateStatus, replicas: int, needed: int) -> str | None:
    """Whether the rollout may take away a replica that the demand needs."""
    missing = unavailable(status, replicas)
    if missing is None:
        return f"maxUnavailable is {status.max_unavailable}, and that can't be read"
    if replicas - missing >= needed:
        return None
    return (
        f"maxUnavailable {status.max_unavailable} lets {missing} of {replicas} replicas be missing, and {needed} are "
        "needed: set it to 0"
    )


def _no_room(case: Case, shape: str, replicas: int, tick: SlicesTick) -> str | None:
    free = room.free(
        replace(case.needs, resource=resource_of(shape)),
        case.given.spec.id,
        tick.tick_input,
        tick.decisions,
        tick.plan,
        config=tick.config,
    )
    if isinstance(free, str):
        return free
    if free >= replicas:
        return None
    return f"{free} free {shape} are there for {replicas} replicas, and the old ones stay until the new are ready"


# ---------------------------------------------------------------- what is said and written


def _line(case: Case, offer: Offer) -> str:
    """What a person changes."""
    return (
        f"in the template's container {case.status.container} put {resource_of(offer.shape)}: 1 in the place of "
        f"{case.needs.resource}: 1"
    )


def _change(case: Case, offer: Offer, replicas: int, message: str, now_s: float) -> SetShape:
    spec, status = case.given.spec, case.status
    mark = ShapeMark(
        before=status.shape,
        after=offer.shape,
        container=status.container,
        image=status.image,
        replicas_before=case.given.replicas.desired,
        replicas=replicas,
        phase=ShapePhase.ROLLING,
        at_s=now_s,
    )
    return SetShape(
        namespace=spec.id.namespace,
        name=spec.id.name,
        step=ShapeStep.CHANGE,
        expected=status.shape,
        observed=case.given.replicas.desired,
        known=status.mark,
        mark=mark,
        reason=Reason.SHAPE_CHANGING,
        message=f"from {status.shape} to {offer.shape}: {message}",
    )


def _verdict(
    case: Case, wanted: str | None, reason: Reason, message: str, state: ShapeState
) -> Verdict:
    decision = ShapeDecision(
        workload=case.name,
        shape=case.status.shape,
        wanted=wanted,
        reason=reason,
        message=message,
    )
    return Verdict(workload=case.given.spec.id, decision=decision, state=state)


def _told(verdict: Verdict, severity: Severity) -> Verdict:
    """Its owner is told what was decided."""
    said = verdict.decision
    finding = Finding(reason=said.reason, message=said.message, severity=severity)
    return replace(verdict, finding=finding)
