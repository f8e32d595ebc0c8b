"""How long one model takes for a batch of each size: learned from Triton's own statistics, per pod template.

Two sources feed it: Triton's per-batch-size statistics, which are exact, and the Prometheus counters, whose means stand
in where Triton's API can't be reached. What was not seen is taken to be as dear as what was: without evidence of a
gain, a batch twice as large takes twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from autoscaler.core.types import BatchTime, ModelProfile

# Executions of a batch size before its mean is believed.
MIN_EXECUTIONS = 5
# Old evidence halves with each new reading of statistics that brings as much again: a drifting model is followed.
MAX_WEIGHT = 2000.0
# A server that names no limit is taken to batch no further than this.
UNKNOWN_MAX_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEvidence:
    """Executions of one batch size, as weight, and their mean time."""

    batch_size: int
    weight: float
    mean_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEvidence:
    """Everything known of one model on one pod template."""

    evidence: tuple[BatchEvidence, ...] = ()
    max_batch_size: int | None = None
    """None: the server's configuration is not known, only counters are."""
    instances: int = 1
    max_queue_delay_s: float = 0.0
    exact: bool = False
    """Triton's own statistics were read: counters are no longer looked at."""
    overhead_s: float | None = None
    """Mean latency that is neither queue nor compute; None: not measured yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
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


def take_profile(
    known: ServiceEvidence, profile: ModelProfile, baseline: tuple[BatchTime, ...]
) -> ServiceEvidence:
    """Adds what a pod executed since `baseline`, the same pod's earlier statistics (empty: since it started)."""
    before = {item.batch_size: item for item in baseline}
    fresh: list[tuple[int, float, float]] = []
    for item in profile.batch_times:
        earlier = before.get(item.batch_size)
        count = item.count - (earlier.count if earlier else 0)
        total_s = item.total_s - (earlier.total_s if earlier else 0.0)
        if count < 0 or total_s < 0.0:  # the server restarted
            count, total_s = item.count, item.total_s
        if count > 0 and total_s > 0.0:
            fresh.append((item.batch_size, float(count), total_s / count))
    # What the counters told is only a stand-in: the first exact statistics replace it.
    merged = _merge(known.evidence if known.exact else (), fresh)
    return replace(
        known,
        evidence=merged or known.evidence,
        max_batch_size=max(1, profile.max_batch_size),
        instances=max(1, profile.instances),
        max_queue_delay_s=max(0.0, profile.max_queue_delay_s),
        exact=known.exact or bool(merged),
    )


def take_counters(
    known: ServiceEvidence,
    *,
    mean_batch: float,
    compute_s: float,
    executions: float,
    overhead_s: float | None,
) -> ServiceEvidence:
    """Adds means from Prometheus' counters; only the overhead is taken once Triton's own statistics are known."""
    overhead = known.overhead_s
    if overhead_s is not None:
        overhead = overhead_s if overhead is None else 0.9 * overhead + 0.1 * overhead_s
    merged = known.evidence
    if not known.exact and executions >= 1.0 and compute_s > 0.0:
        merged = _merge(merged, [(max(1, round(mean_batch)), executions, compute_s)])
    return replace(known, evidence=merged, overhead_s=overhead)


def _merge(
    evidence: tuple[BatchEvidence, ...], fresh: list[tuple[int, float, float]]
) -> tuple[BatchEvidence, ...]:
    by_size = {item.batch_size: item for item in evidence}
    for size, weight, mean_s in fresh:
        old = by_size.get(size)
        weight = min(weight, MAX_WEIGHT)
        # New evidence displaces old beyond the ceiling: at 2,000 executions each, the mean is half old and half new.
        kept = min(old.weight, MAX_WEIGHT) if old else 0.0
        total = kept + weight
        mean = ((old.mean_s * kept if old else 0.0) + mean_s * weight) / total
        by_size[size] = BatchEvidence(batch_size=size, weight=min(total, MAX_WEIGHT), mean_s=mean)
    return tuple(by_size[size] for size in sorted(by_size))


@lru_cache(maxsize=8192)
def service_times(known: ServiceEvidence) -> ServiceTimes | None:
    """The table of batch times, or None while too little was executed.

    Sizes that were seen often enough keep their own mean; between two of them a straight line; beyond the largest, the
    slope of a line through all of them, or proportional growth where only one was seen. Never falling.
    """
    seen = [item for item in known.evidence if item.weight >= MIN_EXECUTIONS]
    if not seen:
        return None
    largest = known.max_batch_size
    if largest is None:  # counters only: no further than what was seen
        largest = min(UNKNOWN_MAX_BATCH, seen[-1].batch_size)
    slope_s = _slope_s(seen)
    table: list[float] = []
    for size in range(1, largest + 1):
        seconds = _at(size, seen, slope_s)
        table.append(max(seconds, table[-1]) if table else seconds)
    return ServiceTimes(
        batch_s=tuple(table),
        instances=known.instances,
        max_queue_delay_s=known.max_queue_delay_s,
        overhead_s=known.overhead_s or 0.0,
    )


def _slope_s(seen: list[BatchEvidence]) -> float:
    """Seconds that one more item adds, from a weighted line; proportional where there is one size only."""
    if len(seen) == 1:
        return seen[0].mean_s / seen[0].batch_size
    total = sum(item.weight for item in seen)
    mean_size = sum(item.batch_size * item.weight for item in seen) / total
    mean_s = sum(item.mean_s * item.weight for item in seen) / total
    spread = sum(item.weight * (item.batch_size - mean_size) ** 2 for item in seen)
    joint = sum(
        item.weight * (item.batch_size - mean_size) * (item.mean_s - mean_s) for item in seen
    )
    # Dearer than proportional is not believed of an extrapolation, nor is a batch that costs nothing.
    return min(max(joint / spread, 0.0), seen[-1].mean_s / seen[-1].batch_size)


def _at(size: int, seen: list[BatchEvidence], slope_s: float) -> float:
    if size <= seen[0].batch_size:
        return seen[0].mean_s
    for lower, upper in zip(seen, seen[1:], strict=False):
        if size <= upper.batch_size:
            share = (size - lower.batch_size) / (upper.batch_size - lower.batch_size)
            return lower.mean_s + share * (upper.mean_s - lower.mean_s)
    return seen[-1].mean_s + slope_s * (size - seen[-1].batch_size)
