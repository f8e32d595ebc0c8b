"""Step 5 as a whole: from the number that sizing asked for to the number that may be set now.

    panic -> survive -> floors -> bounds -> prove (N-1) -> keep -> stabilise -> vetoes -> rates -> bounds

A number goes up for any one good reason; it goes down only when nothing speaks against it.
"""

from __future__ import annotations

import math
from dataclasses import replace

from autoscaler.core import behavior, demand, size, survival, unstarted
from autoscaler.core.behavior import Recommended
from autoscaler.core.computed import computed
from autoscaler.core.need import Context, Need
from autoscaler.core.observe import View
from autoscaler.core.price import KEPT_PRICE_RATIO
from autoscaler.core.reasons import Reason
from autoscaler.core.state import WorkloadState
from autoscaler.core.trace import Trace
from autoscaler.core.types import WorkloadInput

# A panic that waits for pods that never come ends after this, so that scale-down stays alive.
LONGEST_PANIC_S = 900.0
# A tick that is left out is no time without a leader, however short the window is.
LEAST_GAP_TICKS = 3.0


@computed
class Inputs:
    """What the stages look at, beside the memory and the trace."""

    given: WorkloadInput
    current: int
    view: View
    need: Need
    lowered: bool
    """Someone else has just lowered the replicas."""
    lead_s: float
    """P90 time to ready."""
    context: Context


def apply(trace: Trace, state: WorkloadState, inputs: Inputs) -> WorkloadState:
    """Takes the number through every stage and returns the memory that they leave."""
    now_s, behave = inputs.context.now_s, inputs.context.config.behavior
    up_s = behave.scale_up.stabilization_window_s or 0.0
    down_s = behavior.down_window_s(behave.scale_down, lead_s=inputs.lead_s)
    state = _unwatched(state, inputs, down_s)
    state = _panic(trace, state, inputs)
    _survive(trace, inputs)
    _floors(trace, state, inputs)
    _bounds(trace, inputs)
    _prove(trace, inputs)
    _keep(trace, inputs)
    # While nothing is known the present number is what is recommended: after an outage the window starts anew.
    recommended = behavior.remember(
        state.recommended,
        Recommended(at_s=now_s, replicas=trace.value),
        down_s=down_s,
        up_s=up_s,
    )
    _stabilize(trace, state, inputs, up_s=up_s, down_s=down_s)
    _hold_down(trace, state, inputs, down_s)
    _rates(trace, state, inputs)
    _bounds(trace, inputs)
    return replace(state, recommended=recommended, events=behavior.forget(state.events, now_s))


def _unwatched(state: WorkloadState, inputs: Inputs, down_s: float) -> WorkloadState:
    """Where nobody led for a whole window its recommendations are gone, and a dip at first sight would be followed: the
    workload is watched for a window as if it were new."""
    past, now_s = state.recommended, inputs.context.now_s
    gap_s = now_s - past[-1].at_s if past else 0.0
    if gap_s < max(down_s, LEAST_GAP_TICKS * inputs.context.config.tick_s):
        return state
    return replace(state, first_seen_s=now_s)


def _panic(trace: Trace, state: WorkloadState, inputs: Inputs) -> WorkloadState:
    """A burst: the fast rate is a multiple of what the ready replicas carry, and that is not chance."""
    now_s, config, view, need = (
        inputs.context.now_s,
        inputs.context.config,
        inputs.view,
        inputs.need,
    )
    until_s = state.panic_until_s
    if need.carried is not None and need.fast_rps is not None and view.carrying:
        scatter = need.carried.scatter(config.signals.panic_window_s)
        # Of half a request a second, ten seconds see five, and thirteen once in an hour or two by chance.
        arrived_rps = need.fast_rps - need.backlog_rps
        sure_rps = need.backlog_rps + demand.surely_rps(
            arrived_rps, config.signals.panic_window_s, scatter
        )
        if sure_rps >= config.panic_threshold_ratio * view.carrying * need.carried.rps:
            ratio = need.fast_rps / (view.carrying * need.carried.rps)
            until_s = now_s + config.panic_window_s
            burst = need.sick + size.replicas_for(
                need.fast_rps, need.carried, skew_ratio=state.skew_ratio
            )
            trace.raise_to(
                "panic",
                burst,
                Reason.PANIC,
                f"{need.rate(need.fast_rps)} in the last seconds is {ratio:.1f} times what {view.carrying} ready "
                f"replicas carry: {burst}",
            )
    if until_s is not None and now_s >= until_s:
        # Not before the replicas that the burst asked for are there, but not for ever either.
        waiting = view.ready < inputs.current and now_s < until_s + LONGEST_PANIC_S
        until_s = until_s if waiting else None
    return state if until_s == state.panic_until_s else replace(state, panic_until_s=until_s)


def _survive(trace: Trace, inputs: Inputs) -> None:
    """On top of what the demand asks for; what a person or a schedule asks for is how many are to run in all."""
    loss = inputs.context.loss
    if loss is None or inputs.need.wanted is None:
        return
    # Without demand one of min-replicas is to be left; where that is 0, nothing is.
    needed = max(min(1, inputs.given.spec.min_replicas), trace.value)
    if not needed:
        return
    enough = loss.enough(needed)
    trace.raise_to(
        survival.STAGE,
        enough,
        Reason.SURVIVES_LOSS,
        f"the loss of a {loss.survive.value} takes up to {loss.most(enough)} of {enough}, and leaves {needed}",
    )


def _floors(trace: Trace, state: WorkloadState, inputs: Inputs) -> None:
    scheduled = inputs.context.scheduled_floor
    if scheduled is not None:
        trace.raise_to(
            "floor",
            scheduled,
            Reason.SCHEDULED_FLOOR,
            f"forescale.io/schedule asks for {scheduled} now",
        )
    if state.floor is not None:
        left_s = state.floor.until_s - inputs.context.now_s
        trace.raise_to(
            "floor",
            state.floor.replicas,
            Reason.EXTERNAL_FLOOR,
            f"raised to {state.floor.replicas} from outside, kept for {left_s / 60:.0f} more minutes",
        )


def _bounds(trace: Trace, inputs: Inputs) -> None:
    spec = inputs.given.spec
    highest = inputs.context.config.most_replicas(spec.max_replicas)
    trace.raise_to(
        "bounds", spec.min_replicas, Reason.TOO_FEW_REPLICAS, f"min-replicas is {spec.min_replicas}"
    )
    trace.lower_to(
        "bounds",
        max(highest, spec.min_replicas),
        Reason.TOO_MANY_REPLICAS,
        f"max-replicas is {highest}; {trace.value} were asked for",
    )


def _stabilize(
    trace: Trace, state: WorkloadState, inputs: Inputs, *, up_s: float, down_s: float
) -> None:
    if inputs.need.wanted is None or trace.value == inputs.current:
        return
    # A panic and someone else's lowering are answered at once.
    rising = trace.value > inputs.current
    urgent = rising and (inputs.lowered or state.panic_until_s is not None)
    after = behavior.stabilized(
        state.recommended,
        now_s=inputs.context.now_s,
        current=inputs.current,
        wanted=trace.value,
        up_s=0.0 if urgent else up_s,
        down_s=down_s,
    )
    if rising and inputs.lowered:
        trace.move(
            "external",
            trace.value,
            Reason.EXTERNAL_EDIT_UNDONE,
            f"lowered to {inputs.current} from outside; the SLO needs {trace.value}",
            decides=True,
        )
    elif after != trace.value:
        reason = Reason.SCALE_UP_STABILIZED if rising else Reason.SCALE_DOWN_STABILIZED
        window_s = up_s if rising else down_s
        trace.move(
            "stabilize",
            after,
            reason,
            f"{after} was recommended within the last {window_s:.0f} s",
        )


def _prove(trace: Trace, inputs: Inputs) -> None:
    """Where the SRE asks for a tolerance: fewer replicas must carry the present demand with so much to spare."""
    need = inputs.need
    tolerance = inputs.context.config.behavior.scale_down.tolerance_ratio
    if trace.value >= inputs.current or not tolerance or not need.replica_rps:
        return
    level_rps = need.level_rps or 0.0
    safe = need.sick + math.ceil(level_rps * (1.0 + tolerance) / need.replica_rps - 1e-9)
    safe = _outlasting(inputs, safe)
    if safe > trace.value:
        after, loss = min(inputs.current, safe), inputs.context.loss
        left = "" if loss is None else f" after the loss of a {loss.survive.value}"
        trace.move(
            "prove",
            after,
            Reason.WITHIN_TOLERANCE if after == inputs.current else Reason.SCALE_DOWN_UNSAFE,
            f"{after - 1} would not carry {need.rate(level_rps)} with {tolerance:.0%} to spare{left}",
        )


def _keep(trace: Trace, inputs: Inputs) -> None:
    """What was started is given back for a good reason only: it would not be worth keeping at a much higher price."""
    kept, price = inputs.need.kept, inputs.need.price
    if kept is None or price is None:
        return
    after = min(_outlasting(inputs, kept), inputs.current)
    trace.raise_to(
        "keep",
        after,
        Reason.WORTH_KEEPING,
        f"{after} would be worth keeping at {KEPT_PRICE_RATIO:g} times the price of a miss, {price:.3g}",
    )


def _outlasting(inputs: Inputs, replicas: int) -> int:
    """With those that are there for a loss: they give way to no noise either."""
    loss = inputs.context.loss
    return replicas if loss is None or not replicas else loss.enough(replicas)


def _hold_down(trace: Trace, state: WorkloadState, inputs: Inputs, down_s: float) -> None:
    """What forbids any lowering, however small the demand."""
    if trace.value >= inputs.current:
        return
    veto = _veto(state, inputs, down_s)
    if veto is not None:
        trace.move("hold", inputs.current, veto[0], veto[1])


def _veto(state: WorkloadState, inputs: Inputs, down_s: float) -> tuple[Reason, str] | None:
    now_s, view, config = inputs.context.now_s, inputs.view, inputs.context.config
    coverage, error = view.coverage_ratio, inputs.given.samples_error
    if error is not None:
        return Reason.PARTIAL_DATA, f"metrics are incomplete: {error}"
    if inputs.context.loss_unread is not None:
        return Reason.PARTIAL_DATA, inputs.context.loss_unread
    if inputs.given.replicas.rollout and not unstarted.wait_for_room(inputs.given, now_s=now_s):
        return Reason.ROLLOUT, "a rollout is in progress: nothing is scaled down until it is done"
    if coverage is not None and coverage < config.signals.min_coverage_ratio:
        return Reason.PARTIAL_DATA, (
            f"only {view.covered} of {view.ready} ready pods have fresh metrics"
        )
    if state.panic_until_s is not None:
        return (
            Reason.PANIC,
            "a burst was answered less than a minute ago or its replicas are not ready",
        )
    if now_s - state.first_seen_s < down_s:
        return Reason.WARMING_UP, (
            f"watched for {max(0.0, now_s - state.first_seen_s):.0f} s, less than a stabilisation window of "
            f"{down_s:.0f} s"
        )
    if inputs.need.suffering:
        return Reason.SLO_AT_RISK, "more requests miss the objective than it allows"
    return None


def _rates(trace: Trace, state: WorkloadState, inputs: Inputs) -> None:
    rules, now_s, current = inputs.context.config.behavior, inputs.context.now_s, inputs.current
    if trace.value > current and state.panic_until_s is None and not inputs.lowered:
        limit = behavior.limit_up(rules.scale_up, state.events, now_s=now_s, current=current)
        trace.lower_to(
            "rates", limit, Reason.SCALE_UP_LIMITED, f"scaleUp policies allow {limit} now"
        )
    elif trace.value < current:
        limit = behavior.limit_down(rules.scale_down, state.events, now_s=now_s, current=current)
        trace.raise_to(
            "rates", limit, Reason.SCALE_DOWN_LIMITED, f"scaleDown policies allow {limit} now"
        )
