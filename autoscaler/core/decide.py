"""One workload, one tick: the order in which the steps are taken, and nothing else.

    observe, and who is sick -> learn -> demand -> capacity -> size -> relief or silence -> floors -> (hold)
      -> behave -> gates

Every stage writes what it did into the trace; what it knows it gets as an argument.
"""

from __future__ import annotations

from dataclasses import replace

from autoscaler.core import (
    behave,
    demand,
    external,
    gates,
    learn,
    relief,
    sick,
    size,
    skew,
    unresponsive,
    unstarted,
)
from autoscaler.core.computed import computed
from autoscaler.core.counterfactual import one_fewer
from autoscaler.core.findings import facts, findings
from autoscaler.core.need import Context, Need, assess, forecast_ahead, objective_of
from autoscaler.core.observe import View, observe
from autoscaler.core.rates import number_text, rate_text
from autoscaler.core.reasons import Reason
from autoscaler.core.rehearsal import rebased
from autoscaler.core.state import Minute, WorkloadState, Written
from autoscaler.core.trace import Trace
from autoscaler.core.types import (
    Decision,
    Facts,
    Finding,
    LatencyObjective,
    Mode,
    SloForm,
    WorkloadInput,
)


@computed
class Decided:
    """The decision, the memory it leaves and the minute of history that it finished, if any."""

    decision: Decision
    state: WorkloadState
    finished: Minute | None = None
    need: Need | None = None
    """What sizing worked with; None: nothing is known."""


def decide(given: WorkloadInput, state: WorkloadState, context: Context) -> Decided:
    """The number of replicas of one workload, with everything that led to it."""
    now_s, config = context.now_s, context.config
    if context.clock_stepped_back:
        state = _without_times(state, now_s)
    edit = _edit(given, state, context)
    observed = given.replicas.desired
    current = state.written.replicas if edit.lagging and state.written else observed
    view = _view(given, state, context)
    state = _learned(given, state, view, context)
    lead_s, start_s = _lead_times_s(given, state, context)
    need, spread, state = assess(given, state, view, context, lead_s)
    minute, growth, finished = learn.fill_minute(
        state, now_s=now_s, level_rps=need.level_rps, lead_s=lead_s + config.tick_s
    )
    state = replace(
        state,
        minute=minute,
        growth=growth,
        floor=edit.floor,
        written=state.written if edit.lagging else _seen(state.written, observed, now_s),
    )
    trace = Trace(current)
    notes = [edit.finding] if edit.finding else []
    notes += findings(given, view, need, spread, now_s)
    seed_s = config.seed_s(given.spec.startup_time_s)
    notes += unstarted.findings(given, state.start_times, seed_s=seed_s, now_s=now_s)
    if need.wanted is None:
        _hold(trace, view, context, state)
    else:
        _size(trace, need, view, spread, state, lead_s)
        state, found = relief.apply(trace, state, given, view, need, context)
        notes += found
    state, found = unresponsive.apply(trace, state, given, view, need, context)
    notes += found
    inputs = behave.Inputs(
        given=given,
        current=current,
        view=view,
        lowered=edit.lowered,
        lead_s=lead_s,
        context=context,
        need=need,
    )
    state = behave.apply(trace, state, inputs)
    gates.apply(trace, given, current=current)
    told = facts(view, need, spread, lead_s, start_s)
    decision = _decision(given, trace, current, notes, told, need, view)
    return Decided(decision=decision, state=state, finished=finished, need=need)


def _without_times(state: WorkloadState, now_s: float) -> WorkloadState:
    """What is left of the memory when time itself was wrong: what was learned, and nothing that has a date."""
    return replace(
        state,
        first_seen_s=now_s,
        pods=(),
        gateways=(),
        slots=(),
        minute=None,
        recommended=(),
        events=(),
        panic_until_s=None,
        growth=demand.set_back(state.growth, now_s),
        rehearsal=None if state.rehearsal is None else rebased(state.rehearsal, now_s),
        relief=None,
        useless_until_s=None,
        backlog_at_s=None,
        overspent=0.0,
        silence=None,
        health=sick.rebased(state.health, now_s),
    )


def _edit(given: WorkloadInput, state: WorkloadState, context: Context) -> external.Edit:
    """Edits from outside; where someone else scales anyway every change is theirs, and none is an edit."""
    if given.spec.mode is not Mode.AUTO or given.replicas.held_by is not None:
        return external.Edit(floor=None)
    return external.detect(
        state.written,
        state.floor,
        replicas=given.replicas,
        now_s=context.now_s,
        floor_s=context.config.external_floor_s,
    )


def _seen(written: Written | None, observed: int, now_s: float) -> Written:
    """What was last written, as long as it is what is there; else what is there."""
    if written is not None and written.replicas == observed:
        return written
    return Written(replicas=observed, before=observed, at_s=now_s)


def _view(given: WorkloadInput, state: WorkloadState, context: Context) -> View:
    """What is seen now; after a clock that stepped back nothing that it would be compared with has a date."""
    view = observe(given, state, now_s=context.now_s, settings=context.config.signals)
    if not context.clock_stepped_back:
        return view
    why = "the controller's clock stepped back"
    return replace(view, unknown=Reason.CLOCK_STEPPED_BACK, unknown_message=why)


def _learned(
    given: WorkloadInput, state: WorkloadState, view: View, context: Context
) -> WorkloadState:
    return replace(
        state,
        pods=view.tracks,
        gateways=view.gateways,
        slots=view.slots,
        health=view.judged.health,
        seen_pods=learn.seen_pods(state, given),
        lead_times=learn.lead_times(state.lead_times, given.pods, state.seen_pods),
        start_times=learn.start_times(state.start_times, given.pods, state.seen_pods),
        templates=learn.templates(
            state.templates, given, view, now_s=context.now_s, settings=context.config.signals
        ),
    )


def _lead_times_s(
    given: WorkloadInput, state: WorkloadState, context: Context
) -> tuple[float, float | None]:
    """(P90 from a pod's creation until it is ready, and from when it has its node; None: nodes are not waited for)."""
    seed_s, now_s = context.config.seed_s(given.spec.startup_time_s), context.now_s
    lead_s = learn.lead_p90_s(state, given, context.node_wait, seed_s=seed_s, now_s=now_s)
    if not context.node_wait:
        return lead_s, None
    return lead_s, learn.start_p90_s(state, given, seed_s=seed_s, now_s=now_s)


def _hold(trace: Trace, view: View, context: Context, state: WorkloadState) -> None:
    """Sizes nothing, for something is unknown; only a forecast may raise the number."""
    message = (
        "no service time was measured yet, so the capacity of a replica is unknown"
        if view.unknown is None
        else view.unknown_message
    )
    trace.move("size", trace.value, view.unknown or Reason.CAPACITY_UNKNOWN, f"held: {message}")
    _forecast_when_blind(trace, context, state)


def _size(
    trace: Trace,
    need: Need,
    view: View,
    spread: skew.Skew | None,
    state: WorkloadState,
    lead_s: float,
) -> None:
    """What the demand needs, and in a step of its own what stands in for sick replicas."""
    current, wanted = trace.value, (need.wanted or 0) - need.sick
    if need.carried is None:
        trace.move("size", wanted, Reason.DEMAND_FALLING, "no request arrives")
        return
    reason = Reason.STEADY
    if wanted != current:
        reason = Reason.DEMAND_RISING if wanted > current else Reason.DEMAND_FALLING
    text = (
        f"{_ready_for(need, lead_s)} at {need.rate(need.carried.rps * need.wanted_ratio)} a replica "
        f"({need.carried.utilization_limit_ratio * need.wanted_ratio:.0%} busy{_limited(need)})"
    )
    if state.skew_ratio > 1.0 and spread is not None:
        text += f", times {state.skew_ratio:.2f} for uneven load"
    if view.unseen:
        text += f"; {view.unseen} of {view.ready} pods not seen, taken to be like the others"
    trace.move("size", wanted, reason, f"{text}: {wanted}")
    if need.sick:
        trace.move(
            "sick",
            wanted + need.sick,
            Reason.SICK_REPLICAS,
            f"{need.sick} of {view.ready} ready replicas are sick and count for nothing: {need.sick} more",
        )


def _ready_for(need: Need, lead_s: float) -> str:
    """What is provided for, against what, and at which price."""
    level, upper = need.level_rps or 0.0, need.upper_rps or 0.0
    if need.outlook is None:
        return f"{need.rate(level)} now"
    told = "" if need.outlook.skill is None else f", forecast with {need.outlook.skill:.0%} skill"
    surge = need.outlook.surge_rps
    rising = "" if surge is None else f" and surging, {number_text(surge)} if that goes on"
    return (
        f"{need.rate(upper)} to be ready for ({number_text(level)} now{rising}; more comes within {lead_s:.0f} s "
        f"with a chance of {need.outlook.exceeded_ratio(upper):.1%}{told}; "
        f"a miss is worth {need.price:.3g} of what it costs to serve)"
    )


def _limited(need: Need) -> str:
    """What ends the batch of a token engine: of several objectives, which one it is sized by."""
    tokens = need.carried.tokens if need.carried is not None else None
    return "" if tokens is None else f", limited by {tokens.limited_by}"


def _forecast_when_blind(trace: Trace, context: Context, state: WorkloadState) -> None:
    """Without data a forecast that has not expired may still raise, to twice what is there at most."""
    carried = size.capacity(
        state.templates,
        template_hash=state.templates[-1].template_hash if state.templates else "",
        view=View(ready=0, starting=0, covered=0, tracks=()),
        objective=LatencyObjective(form=SloForm.REQUESTS, ratio=0.95, threshold_s=float("inf")),
    )
    ahead = forecast_ahead(context, 0.0, 0.5)
    if carried is None or ahead is None:
        return
    floor = min(2 * trace.value, size.replicas_for(ahead.rps, carried))
    trace.raise_to(
        "forecast",
        floor,
        Reason.FORECAST_DEMAND,
        f"no data, and {rate_text(ahead.rps, tokens=carried.tokens is not None)} forecast: at least {floor}",
    )


def _decision(
    given: WorkloadInput,
    trace: Trace,
    current: int,
    findings: list[Finding],
    facts: Facts,
    need: Need,
    view: View,
) -> Decision:
    last = trace.decisive()
    return Decision(
        workload=given.spec.id,
        current=current,
        target=trace.value,
        reason=last.reason,
        message=last.message,
        mode=given.spec.mode,
        steps=tuple(trace.steps),
        findings=tuple(findings),
        facts=facts,
        sick=view.judged.sick,
        counterfactual=one_fewer(trace.value, need, objective_of(given)),
    )
