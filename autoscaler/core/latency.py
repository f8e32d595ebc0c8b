"""Which share of the requests missed an objective between two readings, and where that was read.

One place for both who decide (the last seconds) and who account (the month), so that they never differ.
"""

from __future__ import annotations

from enum import StrEnum

from autoscaler.core.slo import objective_text
from autoscaler.core.types import LatencyObjective, ModelCounters, Slo
from autoscaler.core.violations import MissShare, Points, misses_between, misses_from_quantiles


class LatencySource(StrEnum):
    """Where the share of slow requests is read, the most exact first."""

    GATEWAY = "gateway"
    """A gateway's or mesh's histogram with a bucket at the threshold: exact, and with all that a client waits for."""
    HISTOGRAM = "histogram"
    """The server's own histogram: exact where a bucket ends at the threshold, else bounded by its two neighbours."""
    SUMMARY = "summary"
    """Quantiles of each replica, weighted by its requests: an estimate, on which no budget is steered."""


def miss_share(
    last: ModelCounters | None, now: ModelCounters, objective: LatencyObjective
) -> tuple[MissShare | None, LatencySource]:
    """The share of the answered requests that were slow. None: not told."""
    buckets = buckets_of(now, objective.signal)
    if buckets:
        before = buckets_of(last, objective.signal) if last else ()
        return misses_between(before, buckets, objective.threshold_s), LatencySource.HISTOGRAM
    if objective.signal != "latency":
        return None, LatencySource.HISTOGRAM
    share = misses_from_quantiles(now.latency_quantiles, objective.threshold_s)
    return share, LatencySource.SUMMARY


def is_exact(counters: ModelCounters, objective: LatencyObjective) -> bool:
    """Whether a histogram has a bucket that ends at the threshold."""
    return any(
        abs(bound - objective.threshold_s) <= 1e-6 * objective.threshold_s
        for bound, _ in buckets_of(counters, objective.signal)
    )


def buckets_of(counters: ModelCounters, signal: str) -> Points:
    """The server's own histogram of what an objective is about; empty: it has none."""
    if signal == "ttft":
        return counters.ttft_buckets
    return counters.tpot_buckets if signal == "tpot" else counters.latency_buckets


def main_objective(slo: Slo) -> LatencyObjective:
    """The objective that sizing works for: the first on whole-request latency, else the first."""
    for objective in slo.objectives:
        if objective.signal == "latency":
            return objective
    return slo.objectives[0]


def worst_share(last: ModelCounters | None, now: ModelCounters, slo: Slo) -> MissShare | None:
    """The misses of the objective that is closest to its limit, in proportion to what the main one allows.

    `p99 ttft < 2s, p95 tpot < 50ms` with 4 % over 50 ms uses 0.8 of what tpot allows: shown as 0.8 % of ttft's 1 %.
    """
    if len(slo.objectives) == 1:
        return miss_share(last, now, slo.objectives[0])[0]
    main, worst = main_objective(slo), None
    for objective in slo.objectives:
        share, _ = miss_share(last, now, objective)
        if share is None:
            continue
        scale = (1.0 - main.ratio) / (1.0 - objective.ratio)
        share = _scaled(share, scale, of=objective_text(objective))
        if worst is None or share.estimate > worst.estimate:
            worst = share
    return worst


def _scaled(share: MissShare, scale: float, *, of: str) -> MissShare:
    return MissShare(
        low=min(1.0, share.low * scale),
        estimate=min(1.0, share.estimate * scale),
        high=min(1.0, share.high * scale),
        of=of if share.estimate > 0.0 else "",
    )
