"""What one reading of a server's statistics teaches of service times. Evidence in, evidence out.

Two sources: Triton's per-batch-size statistics, which are exact, and the Prometheus counters, whose means stand in
where Triton's API can't be reached.

A model that becomes slower or faster is noticed in the exact statistics: each reading is compared with what is known,
size by size. A quarter more or less raises doubt, and so does a new version of the model that Triton names: the reading
is kept apart from the mean, and counts at once where it is slower. When a second reading deviates the same way, the two
are what is known, and the old times are a prior at the new level for the sizes that were not seen; when it agrees with
what is known, the doubt is gone. Until then nothing is lowered (`service_time.unproven`). Smaller changes are followed
by the running mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoscaler.core.service_time import (
    MIN_EXECUTIONS,
    BatchEvidence,
    ServiceEvidence,
    as_prior,
    believed,
    level,
    service_times,
)
from autoscaler.core.types import BatchTime, ModelProfile

# Old evidence halves with each new reading of statistics that brings as much again: small drift is followed.
MAX_WEIGHT = 2000.0
# A level this much higher or lower is not the same model. Below, ten readings of the running mean are as good.
DEVIATION = 1.25

Fresh = list[tuple[int, float, float]]
"""(batch size, executions, mean seconds) since the last reading."""


def has_restarted(profile: ModelProfile, baseline: tuple[BatchTime, ...]) -> bool:
    """Whether the server counts anew since `baseline`: a count has fallen or is gone."""
    now = {item.batch_size: item.count for item in profile.batch_times}
    return any(now.get(item.batch_size, 0) < item.count for item in baseline)


def has_new_version(known: ServiceEvidence, profile: ModelProfile) -> bool:
    """Whether another version of the model is loaded than before, as far as both are known."""
    return bool(profile.version and known.version and profile.version != known.version)


def level_told(
    known: ServiceEvidence, profile: ModelProfile, baseline: tuple[BatchTime, ...]
) -> float | None:
    """By what factor a reading's batches took longer than is believed of their sizes; None: too few to tell."""
    fresh, times = _since(profile, baseline), service_times(known)
    if times is None or sum(count for _, count, _ in fresh) < MIN_EXECUTIONS:
        return None
    sizes = [(min(size, times.max_batch_size), count, mean_s) for size, count, mean_s in fresh]
    taken_s = sum(count * mean_s for _, count, mean_s in sizes)
    return taken_s / sum(count * times.batch_s[size - 1] for size, count, _ in sizes)


def take_profile(
    known: ServiceEvidence, profile: ModelProfile, baseline: tuple[BatchTime, ...]
) -> ServiceEvidence:
    """Adds what a pod executed since `baseline`, the same pod's earlier statistics (empty: since it started)."""
    is_new = has_new_version(known, profile)
    known = replace(
        known,
        version=profile.version or known.version,
        max_batch_size=max(1, profile.max_batch_size),
        instances=max(1, profile.instances),
        max_queue_delay_s=max(0.0, profile.max_queue_delay_s),
    )
    fresh = _since(profile, baseline)
    if is_new and known.evidence:
        return replace(known, doubted=True, deviation=_merge((), fresh), recent=())
    if not fresh:
        return known
    if not known.exact:
        # What the counters told is only a stand-in: the first exact statistics replace it.
        return replace(known, evidence=_merge((), fresh), exact=True)
    return _compared(known, fresh)


def take_counters(
    known: ServiceEvidence,
    *,
    mean_batch: float,
    compute_s: float,
    executions: float,
    even: bool = True,
) -> ServiceEvidence:
    """Adds means from Prometheus' counters; nothing once Triton's own statistics are known.

    Not `even`: the size of the batches changed so much meanwhile that the two means belong to different moments. That
    is better than nothing, and no better: such a reading of 24.7 ms at 14, where 16.8 is true, would keep a fleet from
    ever running 14 again.
    """
    if known.exact or executions < 1.0 or compute_s <= 0.0:
        return known
    fresh = [(max(1, round(mean_batch)), executions, compute_s)]
    if even:
        before = () if known.uneven else known.evidence
        return replace(known, evidence=_merge(before, fresh), uneven=False)
    if known.evidence and not known.uneven:
        return known
    return replace(known, evidence=_merge(known.evidence, fresh), uneven=True)


def take_overheads(known: ServiceEvidence, overheads_s: Sequence[float]) -> ServiceEvidence:
    """Adds what latency is beside queue and compute, one mean for each pod: each new one counts a tenth."""
    overhead_s = known.overhead_s
    for seen_s in overheads_s:
        overhead_s = seen_s if overhead_s is None else 0.9 * overhead_s + 0.1 * seen_s
    return known if overhead_s == known.overhead_s else replace(known, overhead_s=overhead_s)


def _since(profile: ModelProfile, baseline: tuple[BatchTime, ...]) -> Fresh:
    before = {} if has_restarted(profile, baseline) else {b.batch_size: b for b in baseline}
    fresh: Fresh = []
    for item in profile.batch_times:
        earlier = before.get(item.batch_size)
        count = item.count - (earlier.count if earlier else 0)
        total_s = item.total_s - (earlier.total_s if earlier else 0.0)
        if count > 0 and total_s > 0.0:
            fresh.append((item.batch_size, float(count), total_s / count))
    return fresh


def _compared(known: ServiceEvidence, fresh: Fresh) -> ServiceEvidence:
    recent = _merge(known.recent, fresh)
    told = level(recent, known.evidence)
    if told is None:  # too few to tell: they wait for more
        return replace(known, evidence=_merge(known.evidence, fresh), recent=recent)
    if 1.0 / DEVIATION < told < DEVIATION:
        merged = _merge(known.evidence, fresh)
        return replace(known, evidence=merged, recent=(), doubted=False, deviation=())
    before = level(known.deviation, known.evidence)
    if before is None or (before > 1.0) != (told > 1.0):  # the first look
        return replace(known, recent=(), doubted=True, deviation=recent)
    both = _merge(known.deviation, [(i.batch_size, i.weight, i.mean_s) for i in recent])
    return replace(
        known,
        evidence=both,
        recent=(),
        doubted=False,
        deviation=(),
        prior=as_prior(believed(known), level(both, known.evidence) or told),
        prior_from="its earlier level",
    )


def _merge(evidence: tuple[BatchEvidence, ...], fresh: Fresh) -> tuple[BatchEvidence, ...]:
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
