"""What is asked of a workload: the sum over its pods, while pods come and go.

Each pod tells of the last seconds of its own. One that has just come, and one that goes, tell of less of them than the
others do, and the others tell of a time in which the load was divided otherwise.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from autoscaler.core.computed import computed
from autoscaler.core.signals import PodLoad, PodTrack
from autoscaler.core.state import Slot


@computed
class ModelDemand:
    """Demand for one model over all pods, inferences a second; pods not covered are taken to be like the others."""

    model: str
    stable_rps: float
    fast_rps: float


def demand_of(slots: Sequence[Slot]) -> tuple[ModelDemand, ...]:
    """The mean of the slots, at least one, and the newest."""
    sums: dict[str, float] = {}
    for slot in slots:
        for model, rps in slot.rates:
            sums[model] = sums.get(model, 0.0) + rps
    latest = dict(slots[-1].rates)
    return tuple(
        ModelDemand(model=model, stable_rps=total / len(slots), fast_rps=latest.get(model, 0.0))
        for model, total in sorted(sums.items())
    )


def rates_of(
    ready_s: Mapping[str, float | None],
    tracks: Sequence[PodTrack],
    loads: Sequence[PodLoad],
    leaving: Sequence[PodLoad],
    *,
    unseen: int,
) -> dict[str, float]:
    """By model, inferences a second of the last seconds; pods not seen are taken to be like the others.

    `loads` are the ready pods', at least one, each ready since `ready_s`; `leaving` those that get nothing new
    and answer what they have.
    """
    parts = _parts(ready_s, tracks, loads)
    scale = 1.0 + unseen / len(loads)
    rates: dict[str, float] = {}
    for load in loads:
        part = parts.get(load.pod, 1.0)
        for model in load.models:
            rates[model.model] = rates.get(model.model, 0.0) + model.fast_rps * part * scale
    for name, rps in _sums(leaving).items():
        rates[name] = rates.get(name, 0.0) + rps
    return rates


def with_rates(
    slots: Sequence[Slot],
    rates: dict[str, float],
    lost: Sequence[PodLoad],
    *,
    at_s: float,
    window_s: float,
) -> tuple[Slot, ...]:
    """The recent slots with the newest one.

    `lost` are the last loads of pods that went with what they were asked since, while the others tell of a time in
    which these still had their share. Of 28 requests a second for two, the one that stays tells 14 to 28. That is no
    fall: up to what the lost were asked, as much is told as before.
    """
    before = dict(slots[-1].rates) if slots else {}
    for model, rps in _sums(lost).items():
        told = rates.get(model, 0.0)
        rates = rates | {model: max(told, min(before.get(model, 0.0), told + rps))}
    kept = tuple(slot for slot in slots if at_s - window_s + 0.5 < slot.at_s < at_s)
    return (*kept, Slot(at_s=at_s, rates=tuple(sorted(rates.items()))))


def lost_since(
    slots: Sequence[Slot], before: Sequence[PodTrack], known: set[str], *, span_s: float
) -> list[PodTrack]:
    """The pods counted in the last slot, of `span_s`, of which nothing more is known.

    `known` are those with a sample now, and the ready ones: of these one without is unseen, and not lost. `before` are
    the pods as of the tick of that slot.
    """
    return [
        track
        for track in before
        if track.pod not in known and slots and slots[-1].at_s - track.sampled_at_s < span_s
    ]


def _sums(loads: Sequence[PodLoad]) -> dict[str, float]:
    rates: dict[str, float] = {}
    for load in loads:
        for model in load.models:
            rates[model.model] = rates.get(model.model, 0.0) + model.fast_rps
    return rates


def _parts(
    ready_s: Mapping[str, float | None], tracks: Sequence[PodTrack], loads: Sequence[PodLoad]
) -> dict[str, float]:
    """By pod that has just become ready, the part of the others' time in which it took load off them.

    Of 100 requests a second four replicas had 25 each until a fifth came, for the last two of ten seconds: they tell 24
    each, and it tells 20. Its 40 requests are 4 a second of these ten seconds, and all is 100 and not 116.
    """
    at_s = {track.pod: track.sampled_at_s for track in tracks}
    young: dict[str, float] = {}
    others: list[float] = []
    for load in loads:
        span_s, since_s = load.fast_span_s, ready_s[load.pod]
        if since_s is not None and at_s[load.pod] - since_s < span_s + 1.0:
            young[load.pod] = span_s
        else:
            others.append(span_s)
    if not young or not others:
        return {}
    whole_s = statistics.median(others)
    return {name: min(1.0, span_s / whole_s) for name, span_s in young.items()}
