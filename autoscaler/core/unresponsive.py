"""Replicas that are ready and answer no scrape: servers too busy even for that, or a fault that no replica mends.

A server that predicts on the loop on which it listens - KServe's plain `predict` - is silent exactly when it is
flooded. That it was asked and did not answer is a fact, unlike a sample that is missing; so it may raise, where all
that is known speaks for load, and only by doubling, once for each proof that a new replica can be reached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from autoscaler.core import size
from autoscaler.core.latency import LatencySource
from autoscaler.core.need import Context, Need, objective_of
from autoscaler.core.observe import View
from autoscaler.core.reasons import Reason
from autoscaler.core.state import Silence, Slot, WorkloadState
from autoscaler.core.trace import Trace
from autoscaler.core.types import Finding, Targets, TickInput, WorkloadInput

# One scrape that fails may be a pause of the server's: two ticks in a row are not.
PATIENCE_S = 5.0
# Nobody's scrape timeout is shorter, and no refused or reset connection takes as long.
TIMED_OUT_S = 1.0
# Time for the balancer to find new replicas, and for several scrapes.
JUDGE_AFTER_S = 30.0
# Replicas that were asked for and are not ready by then are no longer waited for.
LONGEST_S = 900.0
# The highest surge over the demand last seen that silence is taken for. Where it would not fill the replicas that are
# ready the cause is another one, and what it would fill is the most that is ever asked for.
LARGEST_SURGE_RATIO = 8.0
# The last demand is that of before the silence, not of some time ago.
LAST_SEEN_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What Prometheus reaches in one tick."""

    targets: Targets | None
    ready: Mapping[str, int]
    """By namespace, how many workloads have a ready replica,"""
    heard: Mapping[str, int]
    """and how many of those were heard."""


def reach(tick: TickInput) -> Reach:
    """Of all workloads together."""
    ready: Counter[str] = Counter()
    heard: Counter[str] = Counter()
    for given in tick.workloads:
        if _has_ready(given):
            ready[given.spec.id.namespace] += 1
            heard[given.spec.id.namespace] += bool(given.samples)
    return Reach(targets=tick.targets, ready=ready, heard=heard)


def common_cause(given: WorkloadInput, reach: Reach) -> str | None:
    """A fault that would silence others too: of Prometheus, or between it and the namespace. None: it is not seen."""
    failed = sum(1 for scrape in given.scrapes if not scrape.answered)
    if not failed:
        return None
    if reach.targets is None:
        return "whether Prometheus reaches anything else is not known"
    others, answering = reach.targets.known - failed, reach.targets.answering
    if 2 * answering < max(1, others):
        return f"only {answering} of {others} other targets answer Prometheus"
    namespace, itself = given.spec.id.namespace, _has_ready(given)
    neighbours = reach.ready.get(namespace, 0) - itself
    if neighbours and not reach.heard.get(namespace, 0) - (itself and bool(given.samples)):
        return f"no other workload of namespace {namespace} is heard either"
    return None


def _has_ready(given: WorkloadInput) -> bool:
    return any(pod.ready_s is not None for pod in given.pods)


def apply(
    trace: Trace,
    state: WorkloadState,
    given: WorkloadInput,
    view: View,
    need: Need,
    context: Context,
) -> tuple[WorkloadState, list[Finding]]:
    """Doubles the replicas of a workload whose silence is that of servers under too much load; never lowers."""
    if view.unknown is None:
        return (state if state.silence is None else replace(state, silence=None)), []
    silence = state.silence
    if view.unknown is Reason.UNRESPONSIVE and silence is None:
        silence = Silence(since_s=context.now_s)
    if silence is None:
        return state, []
    silence = _judged(silence, given, view, now_s=context.now_s)
    findings: list[Finding] = []
    if silence.given_up:
        findings.append(Finding(reason=Reason.GROWTH_USELESS, message=silence.given_up))
    elif silence.asked_for is not None:
        trace.raise_to(
            "silence",
            silence.asked_for,
            Reason.UNRESPONSIVE,
            f"{silence.asked_for} replicas were asked for because none answers its scrape",
        )
    elif view.unknown is Reason.UNRESPONSIVE:
        silence = _grown(trace, state, silence, given, view, need, context)
    return replace(state, silence=silence), findings


def _judged(silence: Silence, given: WorkloadInput, view: View, *, now_s: float) -> Silence:
    """What became of the replicas that were asked for: ready or not, heard or not."""
    asked_for = silence.asked_for
    if asked_for is None or silence.given_up:
        return silence
    silence = replace(silence, reached=silence.reached or _new_one_reached(silence, given))
    if view.ready < asked_for:
        late = now_s - silence.asked_at_s > LONGEST_S
        why = f"{asked_for} replicas were asked for and never became ready; none of the others answers its scrape"
        return replace(silence, given_up=why) if late else silence
    ready_since_s = silence.ready_since_s or now_s
    if now_s - ready_since_s < JUDGE_AFTER_S:
        return replace(silence, ready_since_s=ready_since_s)
    if silence.reached:
        # What keeps silent under load and could be reached before it got any is not cut off: once more.
        return Silence(since_s=silence.since_s)
    return replace(
        silence,
        given_up=(
            f"none of {view.ready} replicas answers its scrape, nor could a new one be reached before it got any load: "
            "more of them do not mend that; look for a network policy, the metrics port, or a server that hangs"
        ),
    )


def _new_one_reached(silence: Silence, given: WorkloadInput) -> bool:
    """One that refuses the connection at once was reached too; packets that a policy drops get no answer at all."""
    reached = {sample.pod for sample in given.samples}
    reached |= {
        scrape.pod
        for scrape in given.scrapes
        if scrape.answered or (scrape.took_s is not None and scrape.took_s < TIMED_OUT_S)
    }
    return any(pod.name in reached for pod in given.pods if pod.name not in silence.pods)


def _grown(
    trace: Trace,
    state: WorkloadState,
    silence: Silence,
    given: WorkloadInput,
    view: View,
    need: Need,
    context: Context,
) -> Silence:
    """Twice the replicas, as far as the surge that is believed would fill them."""
    last_rps = _last_rps(state.slots, silence.since_s)
    against = _against(silence, given, view, need, context, last_rps)
    if against is not None or need.carried is None or last_rps is None:
        _hold(trace, f"held: {against}")
        return silence
    most = size.replicas_for(
        LARGEST_SURGE_RATIO * last_rps, need.carried, skew_ratio=state.skew_ratio
    )
    replicas = min(2 * view.ready, most)
    if replicas <= trace.value:
        text = f"held: {trace.value} replicas carry {LARGEST_SURGE_RATIO:g} times the {need.rate(last_rps)} last seen"
        _hold(trace, text)
        return silence
    trace.move(
        "silence",
        replicas,
        Reason.UNRESPONSIVE,
        f"none of {view.ready} ready pods answers its scrape in time, and Prometheus reaches others; "
        f"{_busy_ratio(need, view, last_rps):.0%} busy when last seen: taken for load, {replicas}",
    )
    return replace(
        silence,
        asked_for=replicas,
        asked_at_s=context.now_s,
        pods=tuple(pod.name for pod in given.pods),
    )


def _hold(trace: Trace, message: str) -> None:
    """Is what the Event says, unless a forecast has raised the number before."""
    unmoved = trace.value == trace.steps[0].before
    trace.move("silence", trace.value, Reason.UNRESPONSIVE, message, decides=unmoved)


def _against(
    silence: Silence,
    given: WorkloadInput,
    view: View,
    need: Need,
    context: Context,
    last_rps: float | None,
) -> str | None:
    """What speaks against load as the cause, or for waiting; None: nothing does."""
    silent_s = context.now_s - silence.since_s
    if silent_s < PATIENCE_S:
        return f"none of {view.ready} ready pods answers its scrape, for {silent_s:.0f} s"
    if silent_s > LONGEST_S:
        return f"silent for {silent_s / 60:.0f} minutes, which no surge is"
    quick = sum(1 for scrape in view.failed if (scrape.took_s or 0.0) < TIMED_OUT_S)
    if quick:
        return f"the scrapes of {quick} of {view.ready} ready pods failed at once: refused, not waited for"
    if context.common_cause is not None:
        return context.common_cause
    if view.starting:
        return f"{view.starting} replicas are starting"
    return _not_busy(given, view, need, last_rps)


def _not_busy(given: WorkloadInput, view: View, need: Need, last_rps: float | None) -> str | None:
    objective = objective_of(given)
    at_gateway = view.misses if view.misses_from is LatencySource.GATEWAY else None
    if at_gateway is not None and at_gateway.estimate <= 1.0 - objective.ratio:
        return "clients are served within the objective, as their gateway tells"
    if need.carried is None or last_rps is None:
        return "what load they had before is not known"
    if LARGEST_SURGE_RATIO * _busy_ratio(need, view, last_rps) < 1.0:
        surge = f"{LARGEST_SURGE_RATIO:g} times the {need.rate(last_rps)} last seen"
        return f"{surge} would not fill {view.ready} replicas"
    return None


def _busy_ratio(need: Need, view: View, last_rps: float) -> float:
    work_s = need.carried.work_s_per_inference if need.carried else 0.0
    return last_rps * work_s / view.ready


def _last_rps(slots: tuple[Slot, ...], since_s: float) -> float | None:
    """The highest demand of the last scrapes before the silence: one of them may have seen it begin."""
    rates = [
        sum(rps for _, rps in slot.rates) for slot in slots if since_s - slot.at_s <= LAST_SEEN_S
    ]
    return max(rates, default=None)
