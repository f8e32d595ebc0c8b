"""Step 1a: what each pod did since the last scrape, from cumulative counters.

Decides what counts as observed. It never fills a hole with zero: a counter that is absent, not finite or from the
future yields no increment, and a pod without one is simply not covered.
"""

from __future__ import annotations

import math

from autoscaler.core.computed import computed
from autoscaler.core.latency import worst_share
from autoscaler.core.types import ModelCounters, PodSample, PodStatus, Slo
from autoscaler.core.violations import MissShare

# A scrape may carry a time slightly ahead of the controller's clock; more than this is a wrong clock.
FUTURE_TOLERANCE_S = 5.0
# A sample this much older than the last one was not delayed: the clock of Prometheus was set back.
CLOCK_CHANGE_S = 60.0
# What a replica holds beyond a minute of its own work is late whatever is done: nobody takes it off it.
FLOODED_S = 60.0
# The window of the rates is three ticks long: each tick a third of what it holds is new.
WINDOW_TICKS = 3.0
# A rate over less than this is mostly chance: a pod that was scraped right after it became ready.
SHORTEST_SPAN_S = 2.0


@computed
class Increment:
    """What one model on one pod did between two scrapes. Sums over requests are in seconds."""

    span_s: float
    requests: float
    failures: float
    inferences: float
    executions: float | None
    pending_growth: float
    """Requests by which the queue grew; negative while a backlog drains."""
    queue_s: float | None
    compute_s: float | None
    request_s: float | None
    token_s: float | None = None


@computed
class ModelTrack:
    """Recent increments of one model, oldest first, and its last raw counters."""

    last: ModelCounters
    recent: tuple[Increment, ...] = ()
    silent_s: float = 0.0
    """For so long its scrapes have not told how many requests came."""
    misses: MissShare | None = None
    """Share of its latest requests that took longer than the objective allows; of several objectives, of the one that
    is closest to its limit."""


@computed
class PodTrack:
    """What is remembered of one pod's counters."""

    pod: str
    sampled_at_s: float
    models: tuple[ModelTrack, ...] = ()


@computed
class ModelLoad:
    """Rates of one model on one pod over the window. Means are per request; None: not known."""

    model: str
    offered_rps: float
    """Inferences a second that arrived: completions + failures + growth of the backlog."""
    fast_rps: float
    """The same over the panic window,"""
    fast_span_s: float
    """and how much of that it was seen for: less, where it has just become ready."""
    completed_rps: float
    requests: float
    """Requests completed in the window: the weight of the means."""
    failures: float
    """Requests that failed in the window."""
    items_per_request: float
    mean_batch: float | None
    queue_s: float | None
    compute_s: float | None
    overhead_s: float | None
    """Mean latency that is neither queue nor compute; of a token generator that of the first token."""
    pending: float | None
    misses: MissShare | None
    steady: bool
    """The rate of requests hardly changed within the window, no backlog drained and none stood: its waits can be
    learned from."""
    draining: bool
    """A backlog is being worked off: a balancer rightly sends it less than the others."""
    histogram: bool = False
    """The misses are a histogram's, not a summary's."""
    tokens: bool = False
    """It generates tokens: inferences are tokens, a batch is the sequences that run together, and `compute_s` is the
    time of one step, in which each of them gains a token."""
    running: float | None = None
    cache_ratio: float | None = None
    queue_ratio: float | None = None
    """Of a token generator: the queue's share of the time to the first token."""
    even_batch: bool = True
    """About as many ran together throughout the window: its mean batch and its mean time belong together."""

    @property
    def requests_a_tick(self) -> float:
        """As many as each is to be weighed once."""
        return self.requests / WINDOW_TICKS


@computed
class PodLoad:
    """The load of one pod whose last scrape is fresh."""

    pod: str
    models: tuple[ModelLoad, ...]

    @property
    def fast_span_s(self) -> float:
        """How much of the panic window it was seen for."""
        return max([model.fast_span_s for model in self.models])

    @property
    def pending(self) -> float | None:
        """Inferences that wait, as far as it is known."""
        waiting = None
        for model in self.models:
            if model.pending is not None:
                waiting = (waiting or 0.0) + model.pending * model.items_per_request
        return waiting

    @property
    def flooded(self) -> bool:
        """It works off more than a minute's backlog: a tenth less at least is sent to it than it serves."""
        for model in self.models:
            if model.draining and model.pending is not None:
                waiting = model.pending * model.items_per_request
                if waiting > FLOODED_S * model.completed_rps:
                    return True
        return False


def advance(
    track: PodTrack | None,
    sample: PodSample,
    *,
    pod: PodStatus,
    window_s: float,
    slo: Slo,
    watched_from_start: bool,
) -> PodTrack:
    """The track with `sample` taken in.

    `watched_from_start` says that the pod was seen before it was ready, so that its counters are known to have begun at
    zero when it became ready: the first scrape of a new replica then counts at once instead of one tick later.
    """
    if track is not None and sample.sampled_at_s < track.sampled_at_s - CLOCK_CHANGE_S:
        track, watched_from_start = None, False
    if track is not None and sample.sampled_at_s <= track.sampled_at_s:
        return track
    before = {model.last.model: model for model in track.models} if track else {}
    since_s = track.sampled_at_s if track else (pod.ready_s if watched_from_start else None)
    span_s = None if since_s is None else sample.sampled_at_s - since_s
    from_zero = watched_from_start and track is None
    models = [
        _advance_model(
            before.get(counters.model),
            counters,
            span_s=span_s,
            window_s=window_s,
            slo=slo,
            from_zero=from_zero,
        )
        for counters in sample.models
    ]
    return PodTrack(pod=sample.pod, sampled_at_s=sample.sampled_at_s, models=tuple(models))


def _advance_model(
    before: ModelTrack | None,
    now: ModelCounters,
    *,
    span_s: float | None,
    window_s: float,
    slo: Slo,
    from_zero: bool,
) -> ModelTrack:
    last = before.last if before else None
    if last is None and from_zero:
        last = ModelCounters(model=now.model, success=0.0, failure=0.0, inferences=0.0)
    increment = _increment(last, now, span_s) if last is not None and span_s else None
    recent, silent_s = before.recent if before else (), 0.0
    if increment is not None:
        recent = _within(recent, window_s - increment.span_s) + (increment,)
    elif before is not None and now.success is None:
        # One scrape may lack a part of a sum. After a window of NaN what was seen before it is no rate of now.
        silent_s = before.silent_s + (span_s or 0.0)
        recent = recent if silent_s < window_s else ()
    misses = worst_share(last, now, slo)
    return ModelTrack(last=now, recent=recent, silent_s=silent_s, misses=misses)


def _within(recent: tuple[Increment, ...], window_s: float) -> tuple[Increment, ...]:
    """The newest increments that together span no more than about `window_s`."""
    total_s = 0.0
    for index in range(len(recent) - 1, -1, -1):
        total_s += recent[index].span_s
        # Half a second of slack: scrapes are not exactly on their grid.
        if total_s > window_s + 0.5:
            return recent[index + 1 :]
    return recent


def _increment(last: ModelCounters, now: ModelCounters, span_s: float) -> Increment | None:
    requests = _rise(last.success, now.success)
    if requests is None or span_s < SHORTEST_SPAN_S:
        return None
    inferences = _rise(last.inferences, now.inferences)
    return Increment(
        span_s=span_s,
        requests=requests,
        failures=_rise(last.failure, now.failure) or 0.0,  # no failure series yet: none has failed
        inferences=requests if inferences is None else inferences,
        executions=_rise(last.executions, now.executions),
        pending_growth=_growth(last.pending, now.pending),
        queue_s=_rise(last.queue_s, now.queue_s),
        compute_s=_rise(last.compute_s, now.compute_s),
        request_s=_rise(last.request_s, now.request_s),
        token_s=_rise(last.token_s, now.token_s),
    )


def _rise(last: float | None, now: float | None) -> float | None:
    """Increase of a counter. One that fell was reset, and has counted `now` since (Prometheus' `increase`)."""
    if now is None or last is None or not 0.0 <= now < math.inf or not math.isfinite(last):
        return None
    return now - last if now >= last else now


def _growth(last: float | None, now: float | None) -> float:
    if last is None or now is None or not math.isfinite(now) or not math.isfinite(last):
        return 0.0
    return now - last


def is_fresh(sampled_at_s: float, now_s: float, stale_after_s: float) -> bool:
    """Whether a scrape may still be believed; one from the future may not."""
    return -FUTURE_TOLERANCE_S <= now_s - sampled_at_s <= stale_after_s


def pod_load(track: PodTrack, *, model: str | None, panic_window_s: float) -> PodLoad | None:
    """Rates of the pod's models, or None where no two scrapes can be compared yet."""
    loads = [
        load
        for entry in track.models
        if (model is None or entry.last.model == model)
        and (load := _model_load(entry, panic_window_s)) is not None
    ]
    return PodLoad(pod=track.pod, models=tuple(loads)) if loads else None


def _model_load(track: ModelTrack, panic_window_s: float) -> ModelLoad | None:
    recent = track.recent
    if not recent:
        return None
    whole = total(recent)
    latest = _within(recent, panic_window_s) or recent[-1:]
    fast = whole if len(latest) == len(recent) else total(latest)
    items = whole.inferences / whole.requests if whole.requests > 0.0 else 1.0
    mean_batch, compute_s = batch_of(whole)
    queue_s, overhead_s, queue_ratio = _waits(whole, compute_s)
    pending = track.last.pending
    return ModelLoad(
        model=track.last.model,
        offered_rps=_offered(whole, items),
        fast_rps=_offered(fast, items),
        fast_span_s=fast.span_s,
        completed_rps=whole.inferences / whole.span_s,
        requests=whole.requests,
        failures=whole.failures,
        items_per_request=items,
        mean_batch=mean_batch,
        queue_s=queue_s,
        compute_s=compute_s,
        overhead_s=overhead_s,
        pending=None if pending is None or not math.isfinite(pending) else max(0.0, pending),
        misses=track.misses,
        steady=_is_steady(recent, whole) and not _never_idle(recent, track.last.pending),
        even_batch=_has_even_batch(recent, whole),
        draining=whole.pending_growth < -(0.1 * whole.requests + 3.0),
        histogram=bool(track.last.latency_buckets),
        tokens=whole.token_s is not None,
        running=track.last.running,
        cache_ratio=track.last.cache_ratio,
        queue_ratio=queue_ratio,
    )


def total(recent: tuple[Increment, ...]) -> Increment:
    """All of them as one; what one of them does not tell is not known of the whole."""
    if len(recent) == 1:
        return recent[0]
    first, *rest = recent
    span_s, requests, failures = first.span_s, first.requests, first.failures
    inferences, growth = first.inferences, first.pending_growth
    executions, queue_s, compute_s = first.executions, first.queue_s, first.compute_s
    request_s, token_s = first.request_s, first.token_s
    for item in rest:
        span_s += item.span_s
        requests += item.requests
        failures += item.failures
        inferences += item.inferences
        growth += item.pending_growth
        executions = _plus(executions, item.executions)
        queue_s = _plus(queue_s, item.queue_s)
        compute_s = _plus(compute_s, item.compute_s)
        request_s = _plus(request_s, item.request_s)
        token_s = _plus(token_s, item.token_s)
    return Increment(
        span_s=span_s,
        requests=requests,
        failures=failures,
        inferences=inferences,
        executions=executions,
        pending_growth=growth,
        queue_s=queue_s,
        compute_s=compute_s,
        request_s=request_s,
        token_s=token_s,
    )


def _plus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def batch_of(done: Increment) -> tuple[float | None, float | None]:
    """(mean batch, its time in seconds) of what was done, as in `ModelLoad`."""
    if done.token_s is None:
        mean_batch = done.inferences / done.executions if done.executions else None
        return mean_batch, _per(done.compute_s, done.requests)
    # Little's law: the time that all tokens took together, over the time that passed, is how many ran together.
    mean_batch = done.token_s / done.span_s if done.token_s > 0.0 else None
    return mean_batch, _per(done.token_s, done.inferences)


def _waits(
    done: Increment, compute_s: float | None
) -> tuple[float | None, float | None, float | None]:
    """(queue, overhead, the queue's share) of what was done, as in `ModelLoad`."""
    queue_s, request_s = _per(done.queue_s, done.requests), _per(done.request_s, done.requests)
    if queue_s is None or request_s is None:
        return queue_s, None, None
    if done.token_s is not None:
        queue_ratio = min(1.0, queue_s / request_s) if request_s else None
        return queue_s, max(0.0, request_s - queue_s), queue_ratio
    overhead_s = None if compute_s is None else max(0.0, request_s - queue_s - compute_s)
    return queue_s, overhead_s, None


def _is_steady(recent: tuple[Increment, ...], whole: Increment) -> bool:
    """No increment is further from the mean than a quarter and chance (three Poisson deviations) explain.

    It is requests that come by chance: tokens come by the hundred with each.
    """
    of_tokens = whole.token_s is not None
    mean_rps = (whole.requests if of_tokens else whole.inferences) / whole.span_s
    for item in recent:
        rps = (item.requests if of_tokens else item.inferences) / item.span_s
        chance = 3.0 * math.sqrt(mean_rps / item.span_s)
        if abs(rps - mean_rps) > 0.25 * mean_rps + chance:
            return False
        if abs(item.pending_growth) > 0.1 * item.requests + 3.0:
            return False
    return len(recent) >= 2


def _never_idle(recent: tuple[Increment, ...], pending: float | None) -> bool:
    """Whether fewer requests were answered between two scrapes than had waited at the first: the queue was never empty.

    A queue that clients or a gateway keep full is as long all the time. Its server gives all that it can, and if that
    is 83 % of what is known of it, waits of 30 s there are no burstiness at 83 % of the load.
    """
    if pending is None or not math.isfinite(pending):
        return False
    waiting = pending
    for item in reversed(recent):
        waiting -= item.pending_growth
        if item.token_s is None and item.requests < waiting:
            return True
    return False


def _has_even_batch(recent: tuple[Increment, ...], whole: Increment) -> bool:
    """Of a token engine, that the sequences that ran together stayed within a quarter and one of their mean.

    The mean over a window in which 31 ran at first and none at last is 14, and the mean time of its tokens that of 28.
    """
    if whole.token_s is None:
        return True
    mean = whole.token_s / whole.span_s
    told = [item.token_s / item.span_s for item in recent if item.token_s is not None]
    return len(told) >= 2 and all(abs(ran - mean) <= 0.25 * mean + 1.0 for ran in told)


def _offered(total: Increment, items_per_request: float) -> float:
    arrived = total.inferences + (total.failures + total.pending_growth) * items_per_request
    return max(0.0, arrived / total.span_s)


def _per(total: float | None, count: float) -> float | None:
    return None if total is None or count <= 0.0 else total / count
