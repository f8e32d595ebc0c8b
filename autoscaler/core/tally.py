"""How many requests ended between two scrapes, and how many of them missed an objective: what SLO accounting counts.

A request counts once: as missed if it was slow, failed, or still waits and waited longer than the objective allows.
The last is seen in the backlog: first come, first served, so those beyond the last `rate x threshold` are late already.
When it drains, its slow answers are not counted a second time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from autoscaler.core.latency import LatencySource, miss_share
from autoscaler.core.types import LatencyObjective, ModelCounters, PodSample, PodStatus
from autoscaler.core.violations import MissShare

# What a pod counted over a longer time than this can't be laid to a minute: that time stays unknown.
LONGEST_SPAN_S = 120.0
_ORDER = {source: rank for rank, source in enumerate(LatencySource)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Requests that ended, and bounds of how many of them missed: 0 <= low <= estimate <= high <= requests."""

    requests: float = 0.0
    low: float = 0.0
    estimate: float = 0.0
    high: float = 0.0
    source: LatencySource | None = None
    """The least exact that took part; None: no request ended."""

    def plus(self, other: Tally) -> Tally:
        """Both together."""
        if not self.requests:
            return other if other.requests else self
        if not other.requests:
            return self
        return Tally(
            requests=self.requests + other.requests,
            low=self.low + other.low,
            estimate=self.estimate + other.estimate,
            high=self.high + other.high,
            source=_least_exact(self.source, other.source),
        )


NOTHING = Tally()
NO_MISS = MissShare(low=0.0, estimate=0.0, high=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The last scrape of one pod, from which the next is counted."""

    pod: str
    sampled_at_s: float
    models: tuple[ModelCounters, ...] = ()
    overdue: tuple[tuple[str, int, float], ...] = ()
    """(model, index of the objective, requests that still wait and have been counted as missed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTally:
    """What one pod did since its last scrape, for each objective. None: unknown."""

    seen: Seen
    tallies: tuple[Tally | None, ...]


def tally_pod(
    before: Seen | None,
    sample: PodSample,
    *,
    pod: PodStatus | None,
    objectives: tuple[LatencyObjective, ...],
    model: str | None,
    watched_since_s: float | None,
) -> PodTally:
    """The pod's tallies up to `sample`, over all its models or the one that is named.

    `watched_since_s` is since when the workload has been looked at: a pod that has become ready since then, and has not
    restarted, began to count at zero. None as `pod`: a gateway's instance, of which nothing is known.
    """
    models = tuple(m for m in sample.models if model is None or m.model == model)
    since_s = before.sampled_at_s if before else None
    from_zero = False
    if before is None and watched_since_s is not None and pod and pod.ready_s is not None:
        from_zero = pod.ready_s >= watched_since_s and pod.restarts == 0
        since_s = pod.ready_s if from_zero else None
    span_s = None if since_s is None else sample.sampled_at_s - since_s
    if before is not None and span_s is not None and span_s <= 0.0:
        return PodTally(seen=before, tallies=(NOTHING,) * len(objectives))
    earlier = {entry.model: entry for entry in before.models} if before else {}
    waited = {(name, index): count for name, index, count in (before.overdue if before else ())}
    known = span_s is not None and 0.0 < span_s <= LONGEST_SPAN_S
    tallies: list[Tally | None] = []
    overdue: list[tuple[str, int, float]] = []
    for index, objective in enumerate(objectives):
        total: Tally | None = NOTHING if known and models else None
        for now in models:
            last = earlier.get(now.model) or (_fresh(now.model) if from_zero else None)
            if last is None or span_s is None or not known:
                total = None
                continue
            late = _overdue(last, now, objective, span_s)
            overdue.append((now.model, index, late))
            part = _tally(last, now, objective, late - waited.get((now.model, index), 0.0))
            total = None if part is None or total is None else total.plus(part)
        tallies.append(total)
    seen = Seen(
        pod=sample.pod, sampled_at_s=sample.sampled_at_s, models=models, overdue=tuple(overdue)
    )
    return PodTally(seen=seen, tallies=tuple(tallies))


def _tally(
    last: ModelCounters, now: ModelCounters, objective: LatencyObjective, overdue_growth: float
) -> Tally | None:
    success = _rise(last.success, now.success)
    if success is None:
        return None
    # The series of failures appears with the first of them.
    failed = _rise(last.failure or 0.0, now.failure) or 0.0
    # Without an answer there is no share of slow ones; a summary would still tell of earlier requests.
    share, source = miss_share(last, now, objective) if success else (NO_MISS, None)
    if share is None:
        return None
    extra = failed + overdue_growth
    requests = max(0.0, success + extra)
    if not requests:
        return NOTHING

    def missed(ratio: float) -> float:
        return min(requests, max(0.0, ratio * success + extra))

    return Tally(
        requests=requests,
        low=missed(share.low),
        estimate=missed(share.estimate),
        high=missed(share.high),
        source=source,
    )


def _overdue(
    last: ModelCounters, now: ModelCounters, objective: LatencyObjective, span_s: float
) -> float:
    """Requests that wait and have done so for longer than the threshold.

    At 100 arrivals a second and a threshold of 300 ms, 30 waiting are on time and of 80 the first 50 are late.
    """
    pending = now.pending
    if pending is None or not math.isfinite(pending) or objective.signal == "tpot":
        return 0.0
    before = last.pending if last.pending is not None and math.isfinite(last.pending) else 0.0
    arrived = (_rise(last.success, now.success) or 0.0) + max(0.0, pending - before)
    return max(0.0, pending - arrived / span_s * objective.threshold_s)


def _fresh(model: str) -> ModelCounters:
    """Of a server that has just started."""
    return ModelCounters(model=model, success=0.0, failure=0.0, pending=0.0)


def _rise(last: float | None, now: float | None) -> float | None:
    """Increase of a counter; one that fell was reset and has counted `now` since."""
    if now is None or last is None or not (math.isfinite(now) and math.isfinite(last)) or now < 0.0:
        return None
    return now - last if now >= last else now


def _least_exact(a: LatencySource | None, b: LatencySource | None) -> LatencySource | None:
    if a is b or b is None:
        return a
    return b if a is None or _ORDER[b] > _ORDER[a] else a
