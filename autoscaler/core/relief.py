"""Growth because of latency: when the model says "enough" and the measured latency says "not".

It says so once `EVIDENT_MISSES` more requests than the SLO allows have waited too long (a cumulative sum: Page, 1954).
One attempt at a time. Its replicas must be ready, what had waited worked off, and the summaries' window over, before
it is judged; an attempt that brought nothing stops further ones for a while, because then it is not capacity that is
missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from autoscaler.core.budget import QUEUE_SHARE
from autoscaler.core.computed import computed
from autoscaler.core.latency import LatencySource
from autoscaler.core.need import DRAIN_S, Context, Need, objective_of
from autoscaler.core.observe import View
from autoscaler.core.reasons import Reason
from autoscaler.core.signals import WINDOW_TICKS
from autoscaler.core.state import ReliefAttempt, WorkloadState
from autoscaler.core.trace import Trace
from autoscaler.core.types import Finding, LatencyObjective, WorkloadInput

# Triton's summaries look back 60 s: before that has passed, latency still shows the time before.
JUDGE_AFTER_S = 75.0
USELESS_S = 600.0
# Misses must fall at least by a fifth, or the growth was for nothing.
HELPED_RATIO = 0.8
# Growth at saturation: doubling, since the demand that is seen is only a lower bound.
SATURATED_GROWTH = 2.0
# Where few requests come, chance makes each minute's share: of 18 a minute, one that may miss is 5.6 %, and what waits
# behind one long prompt misses together. In a sum that begins anew at zero such bursts stay below this for a day, 15 %
# missing of those that may miss 5 % are found out after eleven minutes, and of 100 a second within two seconds.
EVIDENT_MISSES = 20.0
# More than is ever planned for. Over half a minute and over the minutes before: chance alone lifts the load of three
# replicas that are 97 % busy to 99 % for half a minute in every fourth.
SATURATED_LOAD = 0.99
SATURATED_SETTLE_S = 20.0
# Of so many requests two deviations are a tenth. At half a request a second eight replicas that are 90 % busy are 99 %
# busy by chance for one minute in four, and for five of them once in an hour and a half.
SATURATED_REQUESTS = 400.0
SATURATED_MINUTES = 5


@computed
class ReliefState:
    """The attempt under way and until when no other may start."""

    attempt: ReliefAttempt | None
    useless_until_s: float | None
    judged_useless: bool = False


def judge(
    attempt: ReliefAttempt | None,
    useless_until_s: float | None,
    *,
    now_s: float,
    ready: int,
    miss_ratio: float | None,
    backlog_at_s: float | None = None,
) -> ReliefState:
    """What became of the attempt under way. A backlog that its replicas don't work off in time tells against it too."""
    if useless_until_s is not None and now_s >= useless_until_s:
        useless_until_s = None
    if attempt is None:
        return ReliefState(attempt=None, useless_until_s=useless_until_s)
    if ready < attempt.replicas:
        # Never ready (unschedulable, or taken back by demand): forgotten after a quarter of an hour.
        expired = now_s - attempt.asked_at_s > 900.0
        return ReliefState(attempt=None if expired else attempt, useless_until_s=useless_until_s)
    if attempt.ready_since_s is None:
        attempt = ReliefAttempt(
            asked_at_s=attempt.asked_at_s,
            replicas=attempt.replicas,
            miss_ratio=attempt.miss_ratio,
            ready_since_s=now_s,
        )
    ready_since_s = now_s if attempt.ready_since_s is None else attempt.ready_since_s
    backlog_at_s = ready_since_s if backlog_at_s is None else backlog_at_s
    settled_at_s = max(ready_since_s, min(backlog_at_s, ready_since_s + DRAIN_S))
    if miss_ratio is None or now_s - settled_at_s < JUDGE_AFTER_S:
        return ReliefState(attempt=attempt, useless_until_s=useless_until_s)
    if miss_ratio <= HELPED_RATIO * attempt.miss_ratio:
        return ReliefState(attempt=None, useless_until_s=None)
    return ReliefState(attempt=None, useless_until_s=now_s + USELESS_S, judged_useless=True)


def wanted(*, ready: int, saturated: bool) -> int:
    """How many replicas to try: twice as many at saturation, a tenth more (at least one) otherwise."""
    factor = SATURATED_GROWTH if saturated else 1.1
    return max(ready + 1, math.ceil(ready * factor))


@computed
class Cause:
    """Why latency asks for growth, in words and as a reason."""

    saturated: bool
    message: str


def _busy_ratio(view: View, need: Need, before_rps: float | None) -> float:
    """How busy the replicas are that carry, by the demand of the last half minute or that of the minutes before it."""
    if need.carried is None or not view.carrying:
        return 0.0
    lately_rps = view.stable_rps if before_rps is None else min(view.stable_rps, before_rps)
    return lately_rps * need.carried.work_s_per_inference / view.carrying


def demand_before_rps(
    minutes: Sequence[tuple[float, float, float]], *, now_s: float, settled_s: float, scatter: float
) -> float | None:
    """The mean demand of the last whole minutes, as far as chance makes it necessary to look back.

    `minutes` as in `Growth`; none but the last that began before the last replica came, `settled_s` ago. `scatter`: of
    what is counted, as a multiple of Poisson's; tokens come by the hundred. None: the last minute is not known.
    """
    requests, taken, newer_s = 0.0, 0, now_s - 60.0
    for minute_s, mean_rps, _ in reversed(minutes[-SATURATED_MINUTES:]):
        if newer_s - minute_s > 60.0 or (taken and minute_s < now_s - settled_s):
            break
        requests, taken, newer_s = requests + 60.0 * mean_rps, taken + 1, minute_s
        if requests >= SATURATED_REQUESTS * max(scatter, 1.0):
            break
    return requests / (60.0 * taken) if taken else None


def _settled_s(view: View, now_s: float) -> float:
    """Since when the last replica is there."""
    return now_s - max((pod.ready_s or now_s for pod in view.ready_pods), default=now_s)


def overspent(
    before: float,
    view: View,
    objective: LatencyObjective,
    *,
    now_s: float,
    backlog_at_s: float | None,
) -> float:
    """Requests beyond what the SLO allows that a queue has made too late, `before` as of the last tick.

    Those that are within it pay them off. What was before the last replica came, or while a backlog from then was
    worked off, counts no more: a summary still shows it a minute later. Where nothing is known it stays.
    """
    # A backlog that took 20 s to work off misses for 20 s after the last replica came; sizing has seen to it already.
    drained_s = math.inf if backlog_at_s is None else now_s - backlog_at_s
    if view.starting or min(_settled_s(view, now_s), drained_s) < JUDGE_AFTER_S:
        return 0.0
    if view.curable is None:
        return before
    missed = view.curable.low if (view.queue_ratio or 0.0) >= QUEUE_SHARE else 0.0
    new = view.curable.requests / WINDOW_TICKS
    return max(0.0, before + (missed - (1.0 - objective.ratio)) * new)


def cause(
    view: View,
    need: Need,
    objective: LatencyObjective,
    *,
    now_s: float,
    spent: float,
    before_rps: float | None = None,
) -> Cause | None:
    """What speaks for growth now; None: nothing, or it is too early to say.

    `before_rps` is the demand of the last whole minutes, `spent` what `overspent` tells.
    """
    if need.carried is None or not need.carried.attainable or not view.ready or view.starting:
        return None
    if view.judged.suspects or (need.sick and view.ready < (need.wanted or 0)):
        return None  # what stands in for sick replicas comes first
    missed, queued = view.curable.low if view.curable else 0.0, view.queue_ratio or 0.0
    missing = missed > 1.0 - objective.ratio
    busy = _busy_ratio(view, need, before_rps)
    # A gateway sees who waits outside; without one, servers that never idle may hide any demand.
    if busy >= SATURATED_LOAD and (missing or view.misses_from is not LatencySource.GATEWAY):
        message = f"replicas are {busy:.0%} busy: demand that waits outside is not seen"
        settled = _settled_s(view, now_s) >= SATURATED_SETTLE_S
        return Cause(saturated=True, message=message) if settled else None
    if not missing or queued < QUEUE_SHARE or spent < EVIDENT_MISSES:
        return None
    threshold_ms = objective.threshold_s * 1000
    return Cause(
        saturated=False,
        message=f"{missed:.1%} of requests miss {threshold_ms:.0f} ms, {queued:.0%} of the latency is queue",
    )


def apply(
    trace: Trace,
    state: WorkloadState,
    given: WorkloadInput,
    view: View,
    need: Need,
    context: Context,
) -> tuple[WorkloadState, list[Finding]]:
    """Grows because of latency that the queueing model did not foresee, one judged attempt at a time."""
    now_s, objective = context.now_s, objective_of(given)
    missed = view.curable.low if view.curable else None
    backlog_at_s = now_s if need.backlog_rps > 0.0 else state.backlog_at_s
    progress = judge(
        state.relief,
        state.useless_until_s,
        now_s=now_s,
        ready=view.ready,
        miss_ratio=missed,
        backlog_at_s=backlog_at_s,
    )
    attempt = progress.attempt
    spent = overspent(state.overspent, view, objective, now_s=now_s, backlog_at_s=backlog_at_s)
    if attempt is None and progress.useless_until_s is None:
        minutes, settled_s = state.growth.minutes, _settled_s(view, now_s)
        why = cause(
            view,
            need,
            objective,
            now_s=now_s,
            spent=spent,
            before_rps=demand_before_rps(
                minutes,
                now_s=now_s,
                settled_s=settled_s,
                scatter=need.carried.scatter(60.0) if need.carried else 1.0,
            ),
        )
        # More than it may have would be waited for in vain.
        most = context.config.most_replicas(given.spec.max_replicas)
        replicas = min(most, wanted(ready=view.ready, saturated=why.saturated)) if why else 0
        if why is not None and trace.value < replicas:
            reason = Reason.SATURATED if why.saturated else Reason.SLO_AT_RISK
            trace.move("relief", replicas, reason, why.message)
            attempt = ReliefAttempt(asked_at_s=now_s, replicas=replicas, miss_ratio=missed or 1.0)
    elif attempt is not None:
        trace.raise_to(
            "relief",
            attempt.replicas,
            Reason.SLO_AT_RISK,
            "growth because of latency is still being judged",
        )
    findings = [_useless(missed, objective)] if progress.judged_useless else []
    return _remembered(state, attempt, progress.useless_until_s, backlog_at_s, spent), findings


def _remembered(
    state: WorkloadState,
    attempt: ReliefAttempt | None,
    useless_until_s: float | None,
    backlog_at_s: float | None,
    spent: float,
) -> WorkloadState:
    """Most ticks leave all of it as it is."""
    now = (attempt, useless_until_s, backlog_at_s, spent)
    if now == (state.relief, state.useless_until_s, state.backlog_at_s, state.overspent):
        return state
    return replace(
        state,
        relief=attempt,
        useless_until_s=useless_until_s,
        backlog_at_s=backlog_at_s,
        overspent=spent,
    )


def _useless(missed: float | None, objective: LatencyObjective) -> Finding:
    return Finding(
        reason=Reason.GROWTH_USELESS,
        message=(
            f"{missed or 0.0:.1%} of requests still miss {objective.threshold_s * 1000:.0f} ms after more replicas "
            "became ready: capacity is not what is missing; no growth for latency for 10 minutes"
        ),
    )
