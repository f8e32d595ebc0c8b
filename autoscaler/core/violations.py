"""Which share of the requests missed the objective, and between which bounds that is certain.

A histogram with a bucket at the threshold is exact. Summaries and coarse buckets only bound the share; the bounds are
kept, so that nobody takes an interpolation for a measurement.
"""

from __future__ import annotations

import math

from autoscaler.core.computed import computed


@computed
class MissShare:
    """Share of requests slower than the threshold: 0 <= low <= estimate <= high <= 1."""

    low: float
    estimate: float
    high: float
    of: str = ""
    """Of several objectives the one that it is about; empty: there is but one, or none is missed."""
    requests: float = 0.0
    """Of how many in the window of the rates, where several servers' are put together."""


Points = tuple[tuple[float, float], ...]


def misses_from_quantiles(quantiles: Points, threshold_s: float) -> MissShare | None:
    """From (quantile, seconds) pairs, ascending. None: nothing usable.

    With q90 = 150 ms, q95 = 250 ms and a threshold of 200 ms, between 5 % and 10 % missed; on a straight line 7.5 %.
    """
    told = False
    holds, misses = (0.0, 0.0), None
    for point in quantiles:
        quantile, seconds = point
        if not (0.0 <= quantile <= 1.0 and math.isfinite(seconds)):
            continue
        told = True
        if seconds <= threshold_s:
            holds, misses = point, None
        elif misses is None:
            misses = point
    if not told:
        return None
    below, low_s = holds
    if misses is None:
        # Every quantile that is exported holds: what lies beyond the last one is unknown, and most likely also holds.
        return MissShare(low=0.0, estimate=0.0, high=1.0 - below)
    above, high_s = misses
    within = (threshold_s - low_s) / (high_s - low_s)
    return MissShare(
        low=1.0 - above, estimate=1.0 - (below + within * (above - below)), high=1.0 - below
    )


def misses_between(before: Points, now: Points, threshold_s: float) -> MissShare | None:
    """From two readings of a cumulative histogram, (upper bound in seconds, count) ascending. None: no new requests."""
    earlier = dict(before)
    counts = [(bound, count - earlier.get(bound, 0.0)) for bound, count in now]
    if any(count < 0.0 for _, count in counts):  # the server restarted: it has counted `now` since
        counts = list(now)
    total = counts[-1][1] if counts else 0.0
    if total <= 0.0:
        return None
    lower_bound, lower_count = 0.0, 0.0
    for bound, count in counts:
        if bound >= threshold_s:
            width = bound - lower_bound
            within = (
                (threshold_s - lower_bound) / width if math.isfinite(width) and width > 0.0 else 0.0
            )
            return MissShare(
                low=1.0 - count / total,
                estimate=1.0 - (lower_count + min(1.0, within) * (count - lower_count)) / total,
                high=1.0 - (count if bound == threshold_s else lower_count) / total,
            )
        lower_bound, lower_count = bound, count
    return MissShare(low=0.0, estimate=1.0 - lower_count / total, high=1.0 - lower_count / total)


def pooled(shares: list[tuple[MissShare, float]], failed: float) -> MissShare | None:
    """Mean over pods, weighted by their requests; `failed` requests count as missed.

    `shares` holds (share, requests); None: no request at all was seen.
    """
    requests = sum([weight for _, weight in shares])
    total = requests + failed
    if total <= 0.0:
        return None
    missed = [(s.estimate * weight, s.of) for s, weight in shares]
    most, of = max(missed, default=(0.0, ""))
    return MissShare(
        low=(sum([s.low * weight for s, weight in shares]) + failed) / total,
        estimate=(sum([requests for requests, _ in missed]) + failed) / total,
        high=(sum([s.high * weight for s, weight in shares]) + failed) / total,
        of=of if most > 0.0 else "",
        requests=total,
    )
