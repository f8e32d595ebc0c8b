"""How long one model takes for a batch of each size: what is known of it, and the table that is believed.

What was not seen is taken to be as dear as what was: without evidence of a gain, a batch twice as large takes twice as
long. Where a prior is known - an imported profile, another pod template of the workload, the model before it changed -
its shape stands in instead, at the level that is seen here.

A prior counts as 20 executions of each batch size. With n executions of which the mean is r times what the prior says,
the prior is moved to r^(n / (n + 20)), and each size that was seen is averaged with that at 20 to n. So of a prior that
says 50 ms where 100 ms are true, twenty executions of one size leave 50 x 2^(20/40) = 71 ms for the sizes that were not
seen and (20 x 71 + 20 x 100) / 40 = 85 ms for the one that was; after 180 it is 93 and 99 ms. A mean of twenty
executions that scatter by a third is within 7 %, less than the tenth that a smaller number of replicas must leave to
spare: from there on what was learned here outweighs the prior, and only from there on is anything lowered on it.
"""

from __future__ import annotations

import math
from functools import lru_cache

from autoscaler.core.computed import computed

# Executions of a batch size before its mean is believed.
MIN_EXECUTIONS = 5
# What a prior counts for at each batch size.
PRIOR_EXECUTIONS = 20
# A server that names no limit is taken to batch no further than this.
UNKNOWN_MAX_BATCH = 64


@computed
class BatchEvidence:
    """Executions of one batch size, as weight, and their mean time."""

    batch_size: int
    weight: float
    mean_s: float


@computed
class ServiceEvidence:
    """Everything known of one model on one pod template."""

    evidence: tuple[BatchEvidence, ...] = ()
    max_batch_size: int | None = None
    """None: the server's configuration is not known, only counters are."""
    instances: int = 1
    max_queue_delay_s: float = 0.0
    exact: bool = False
    """Triton's own statistics were read: counters are no longer looked at."""
    uneven: bool = False
    """`evidence` is from readings while much changed, for want of others: the first even one takes its place."""
    overhead_s: float | None = None
    """Mean latency that is neither queue nor compute; None: not measured yet."""
    prior: tuple[BatchEvidence, ...] = ()
    """What was believed before anything was measured here, by batch size, each at `PRIOR_EXECUTIONS`."""
    prior_from: str = ""
    """Where that comes from, in words."""
    version: str = ""
    """Versions of the model that were loaded when statistics were last read; empty: never told."""
    recent: tuple[BatchEvidence, ...] = ()
    """Executions that are in `evidence` and have not been compared with it yet, because they were too few."""
    doubted: bool = False
    """The model may have changed: its last executions took another time than `evidence` says, or its version is new."""
    deviation: tuple[BatchEvidence, ...] = ()
    """Those executions, kept apart until a second look agrees with the one or the other."""


@computed
class ServiceTimes:
    """Time of a batch: `batch_s[b - 1]` seconds for b = 1 … max batch; `instances` batches run at once."""

    batch_s: tuple[float, ...]
    instances: int = 1
    max_queue_delay_s: float = 0.0
    overhead_s: float = 0.0

    @property
    def max_batch_size(self) -> int:
        return len(self.batch_s)

    @property
    def work_s(self) -> float:
        """Busy replica-seconds of one inference at full batches."""
        return self.batch_s[-1] / (self.max_batch_size * self.instances)

    @property
    def rounded(self) -> ServiceTimes:
        """To four digits: a tick teaches less than that, and what was searched with them is not searched anew."""
        return ServiceTimes(
            batch_s=tuple(float(f"{seconds:.4g}") for seconds in self.batch_s),
            instances=self.instances,
            max_queue_delay_s=self.max_queue_delay_s,
            overhead_s=float(f"{self.overhead_s:.4g}"),
        )


@lru_cache(maxsize=8192)
def service_times(
    known: ServiceEvidence, *, fixed_items: int = 0, least_reach: int = 0
) -> ServiceTimes | None:
    """The table of batch times, or None while too little was executed and there is no prior.

    Sizes that were seen often enough keep their own mean; between two of them a straight line; beyond the largest the
    slope goes on for a while (`_beyond_s`). Never falling. A change to slower times counts as soon as it is seen, one
    to faster times when a second look agrees.

    `fixed_items`: what a batch takes whatever its size is known to be at least as much as so many items take; up to
    `least_reach` items the slope goes on where none were seen.
    """
    seen = believed(known)
    if not seen:
        return None
    largest = known.max_batch_size
    if largest is None:  # counters only: no further than what was seen
        largest = min(UNKNOWN_MAX_BATCH, seen[-1].batch_size)
    slope_s = _top_slope_s(seen, fixed_items)
    told = level(known.deviation, known.evidence)
    slower = 1.0 if told is None else max(1.0, told)
    table: list[float] = []
    for size in range(1, largest + 1):
        seconds = slower * _at(size, seen, slope_s, least_reach)
        table.append(max(seconds, table[-1]) if table else seconds)
    return ServiceTimes(
        batch_s=tuple(table),
        instances=known.instances,
        max_queue_delay_s=known.max_queue_delay_s,
        overhead_s=known.overhead_s or 0.0,
    )


def unproven(known: ServiceEvidence) -> str | None:
    """Why the times are not measured well enough to lower anything on; None: they are."""
    if known.doubted:
        told = level(known.deviation, known.evidence)
        if told is None:
            return (
                f"version {known.version} of the model is new, and too few batches were seen of it"
            )
        return f"batches lately take {told:.2g} times what they took, seen once so far"
    executions = sum(item.weight for item in known.evidence)
    if known.prior and executions < PRIOR_EXECUTIONS:
        return (
            f"the time of a batch is known from {known.prior_from}, and from {executions:.0f} of the "
            f"{PRIOR_EXECUTIONS} executions that outweigh it"
        )
    return None


def believed(known: ServiceEvidence) -> list[BatchEvidence]:
    """Mean times by batch size, ascending: what was seen, averaged with the prior where there is one."""
    if not known.prior:
        return [item for item in known.evidence if item.weight >= MIN_EXECUTIONS]
    line = list(known.prior)
    slope_s = _top_slope_s(line)
    total = sum(item.weight for item in known.evidence)
    logs = sum(
        item.weight * math.log(item.mean_s / _at(item.batch_size, line, slope_s))
        for item in known.evidence
    )
    moved = math.exp(logs / (PRIOR_EXECUTIONS + total))
    seen = {item.batch_size: item for item in known.evidence}
    points = []
    for size in sorted({*seen, *(item.batch_size for item in line)}):
        weight, told_s = float(PRIOR_EXECUTIONS), moved * _at(size, line, slope_s)
        if size in seen:
            own = seen[size]
            weight += own.weight
            told_s = (PRIOR_EXECUTIONS * told_s + own.weight * own.mean_s) / weight
        points.append(BatchEvidence(batch_size=size, weight=weight, mean_s=told_s))
    return points


def as_prior(points: list[BatchEvidence], factor: float = 1.0) -> tuple[BatchEvidence, ...]:
    """What is believed here as the prior of something else, each time multiplied by `factor`."""
    return tuple(
        BatchEvidence(
            batch_size=item.batch_size, weight=float(PRIOR_EXECUTIONS), mean_s=item.mean_s * factor
        )
        for item in points
    )


# Two means of this many executions each, or more of one and fewer of the other: at a scatter of a half their ratio is
# known to 10 %.
COMPARABLE = 25.0


def level(executed: tuple[BatchEvidence, ...], known: tuple[BatchEvidence, ...]) -> float | None:
    """By what factor batches of the same size took longer than what is known; None: too few to tell.

    Geometric mean over the sizes in both, each weighed by what the ratio of its two means is worth, 1 / (1/n + 1/m).
    """
    before = {item.batch_size: item for item in known}
    worth = logs = 0.0
    for item in executed:
        old = before.get(item.batch_size)
        if old is not None:
            weight = 1.0 / (1.0 / item.weight + 1.0 / old.weight)
            worth += weight
            logs += weight * math.log(item.mean_s / old.mean_s)
    return math.exp(logs / worth) if worth >= COMPARABLE else None


def _top_slope_s(seen: list[BatchEvidence], fixed_items: int = 0) -> float:
    """Seconds that one more item adds to the largest batch that was seen, by whatever says that it is dearer.

    A line through all sizes, or through the upper half of them: a GPU's times are flat while it launches kernels, and
    then rise by the item. One H100: 8 ms for a batch of 1, 10 for 8, 14 for 14, 26 for 32. Drawn from all sizes to 14,
    the line says 18 ms for 32; from 7 to 14 it says 25.
    """
    top = seen[-1]
    proportional_s = top.mean_s / (top.batch_size + fixed_items)
    upper = [item for item in seen if 2 * item.batch_size >= top.batch_size]
    slope_s = max(_slope_s(seen, proportional_s), _slope_s(upper, proportional_s))
    # Dearer than proportional is not believed of an extrapolation, nor is a batch that costs nothing.
    return min(max(slope_s, 0.0), proportional_s)


def _slope_s(seen: list[BatchEvidence], alone_s: float) -> float:
    """Of a weighted line; `alone_s` where there is one size only."""
    if len(seen) == 1:
        return alone_s
    total = sum(item.weight for item in seen)
    mean_size = sum(item.batch_size * item.weight for item in seen) / total
    mean_s = sum(item.mean_s * item.weight for item in seen) / total
    spread = sum(item.weight * (item.batch_size - mean_size) ** 2 for item in seen)
    joint = sum(
        item.weight * (item.batch_size - mean_size) * (item.mean_s - mean_s) for item in seen
    )
    return joint / spread


def _at(size: int, seen: list[BatchEvidence], slope_s: float, least_reach: int = 0) -> float:
    if size <= seen[0].batch_size:
        return seen[0].mean_s
    for lower, upper in zip(seen, seen[1:], strict=False):
        if size <= upper.batch_size:
            share = (size - lower.batch_size) / (upper.batch_size - lower.batch_size)
            return lower.mean_s + share * (upper.mean_s - lower.mean_s)
    return _beyond_s(size, seen[-1], slope_s, least_reach)


def _beyond_s(size: int, top: BatchEvidence, slope_s: float, least_reach: int) -> float:
    """The slope goes on to twice the largest batch that was seen; from there on nothing is gained by a larger one."""
    reach = min(size, max(2 * top.batch_size, least_reach))
    return (top.mean_s + slope_s * (reach - top.batch_size)) * size / reach
