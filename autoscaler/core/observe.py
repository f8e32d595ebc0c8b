"""Step 1: what is known of a workload now - or why it is not known.

Joins pods with their samples. A sample of a pod that is gone counts for nothing, and a pod without a fresh sample is
missing, not idle.
"""

from __future__ import annotations

import math
from dataclasses import field

from autoscaler.core import sick
from autoscaler.core.computed import computed
from autoscaler.core.latency import LatencySource
from autoscaler.core.missed import at_gateways, each_model, missed
from autoscaler.core.offered import ModelDemand, demand_of, lost_since, rates_of, with_rates
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import SignalSettings
from autoscaler.core.sick import Judged
from autoscaler.core.signals import PodLoad, PodTrack, advance, is_fresh, pod_load
from autoscaler.core.state import Slot, WorkloadState
from autoscaler.core.types import PodSample, PodStatus, Scrape, Slo, WorkloadInput
from autoscaler.core.violations import MissShare


@computed
class View:
    """A workload at one moment. `unknown` says why its load must not be believed; None: it may."""

    ready: int
    starting: int
    covered: int
    unseen: int = 0
    """Ready pods that should have been seen by now; in the demand they are taken to be like the others."""
    tracks: tuple[PodTrack, ...]
    slots: tuple[Slot, ...] = ()
    loads: tuple[PodLoad, ...] = ()
    models: tuple[ModelDemand, ...] = ()
    pending: float | None = None
    """Of the pods that `well` names."""
    queue_ratio: float | None = None
    """The queue's share of the mean latency of those that `curable` is of."""
    misses: MissShare | None = None
    misses_from: LatencySource | None = None
    curable: MissShare | None = None
    """Misses that capacity may answer for: of these pods less the flooded ones, whose requests are late already and
    that nobody relieves of them; or all that a gateway sees if none is left out, or only flooded ones and the others
    tell nothing themselves."""
    curable_from: LatencySource | None = None
    gateways: tuple[PodTrack, ...] = ()
    latency_s: float | None = None
    """Of the slowest pod, at the first quantile that it exports at or above the objective's."""
    sample_age_s: float | None = None
    unknown: Reason | None = None
    unknown_message: str = ""
    notes: tuple[tuple[Reason, str], ...] = ()
    ready_pods: tuple[PodStatus, ...] = field(default=())
    slo: Slo | None = None
    """What it is judged by."""
    max_sequences: int | None = None
    """Of a replica, as its arguments tell."""
    failed: tuple[Scrape, ...] = ()
    """Ready pods' last scrapes that failed."""
    judged: Judged = field(default_factory=Judged)
    """Which replicas are ill."""

    @property
    def carrying(self) -> int:
        """Ready replicas that count for what the workload carries."""
        return self.ready - self.judged.left_out

    @property
    def well(self) -> tuple[PodLoad, ...]:
        """Loads of the pods that are not sick, nor about to be."""
        return self.judged.well_among(self.loads)

    @property
    def coverage_ratio(self) -> float | None:
        return self.covered / self.ready if self.ready else None

    @property
    def stable_rps(self) -> float:
        return sum(item.stable_rps for item in self.models)


def observe(
    given: WorkloadInput, state: WorkloadState, *, now_s: float, settings: SignalSettings
) -> View:
    """What the pods and their samples show at `now_s`."""
    ready = tuple(p for p in given.pods if p.ready_s is not None and p.deleted_s is None)
    starting = sum(1 for p in given.pods if p.ready_s is None and p.deleted_s is None)
    by_pod, notes = _samples_by_pod(given.samples, given.doubled_pods)
    tracks = _advanced(given, state, by_pod, now_s=now_s, settings=settings)
    # Only what this tick was told: a pod that the source no longer mentions is missing at once.
    told = [
        track
        for track in tracks
        if track.pod in by_pod and is_fresh(track.sampled_at_s, now_s, settings.stale_after_s)
    ]
    staying = {pod.name for pod in ready}
    fresh = [track for track in told if track.pod in staying]
    model, panic_window_s = given.spec.model, settings.panic_window_s
    loads = _loads(fresh, model, panic_window_s)
    failed = _failed(given, ready, now_s, settings)
    unknown, message = _unknown(given, ready, tracks, fresh, loads, failed, now_s, settings)
    newest = max((track.sampled_at_s for track in tracks), default=None)
    slots = state.slots
    unseen = _unseen(ready, loads, now_s, settings.rate_window_s)
    if unknown is None and newest is not None:
        slots = _slots(given, state, fresh, told, loads, unseen, at_s=newest, settings=settings)
    judged = sick.judge(given, state, ready, fresh, loads, now_s=now_s, settings=settings)
    well = judged.well_among(loads)
    gateways = at_gateways(given, state, now_s=now_s, settings=settings)
    afloat = tuple([load for load in well if not load.flooded]) or well
    late = missed(gateways, loads, well, afloat, slo=given.spec.slo, settings=settings)
    return View(
        ready=len(ready),
        starting=starting,
        covered=len(loads),
        unseen=unseen,
        tracks=tracks,
        slots=slots,
        loads=loads,
        models=demand_of(slots) if unknown is None else (),
        # What waits at a sick one stays there: no further replica works it off.
        pending=_sum_pending(well),
        queue_ratio=_queue_ratio(afloat),
        misses=late.share,
        misses_from=late.source,
        curable=late.curable,
        curable_from=late.curable_from,
        gateways=gateways,
        latency_s=_latency_s(fresh, given.spec.slo.objectives[0].ratio, given.spec.model),
        sample_age_s=None if newest is None else max(0.0, now_s - newest),
        unknown=unknown,
        unknown_message=message,
        notes=notes,
        ready_pods=ready,
        slo=given.spec.slo,
        max_sequences=given.spec.max_sequences,
        failed=failed,
        judged=judged,
    )


def _loads(tracks: list[PodTrack], model: str | None, panic_window_s: float) -> tuple[PodLoad, ...]:
    seen = [pod_load(track, model=model, panic_window_s=panic_window_s) for track in tracks]
    return tuple([load for load in seen if load is not None])


def _slots(
    given: WorkloadInput,
    state: WorkloadState,
    fresh: list[PodTrack],
    told: list[PodTrack],
    loads: tuple[PodLoad, ...],
    unseen: int,
    *,
    at_s: float,
    settings: SignalSettings,
) -> tuple[Slot, ...]:
    """What all were asked, with those that go and those that are gone since the last tick."""
    model, span_s = given.spec.model, settings.panic_window_s
    ready_s = {pod.name: pod.ready_s for pod in given.pods if pod.deleted_s is None}
    staying = {name for name, since_s in ready_s.items() if since_s is not None}
    answered = {pod.name for pod in given.pods if pod.first_ready_s is not None} - staying
    leaving = _loads([track for track in told if track.pod in answered], model, span_s)
    rates = rates_of(ready_s, fresh, loads, leaving, unseen=unseen)
    known = staying | {sample.pod for sample in given.samples}
    lost = _loads(lost_since(state.slots, state.pods, known, span_s=span_s), model, span_s)
    return with_rates(state.slots, rates, lost, at_s=at_s, window_s=settings.rate_window_s)


def _samples_by_pod(
    samples: tuple[PodSample, ...], already: tuple[str, ...]
) -> tuple[dict[str, PodSample], tuple[tuple[Reason, str], ...]]:
    """One sample a pod: of two scrapes of the same pod the newer counts, they are never added up."""
    by_pod: dict[str, PodSample] = {}
    doubled: list[str] = list(already)
    for sample in samples:
        other = by_pod.get(sample.pod)
        if other is not None:
            doubled.append(sample.pod)
        if other is None or sample.sampled_at_s > other.sampled_at_s:
            by_pod[sample.pod] = sample
    if not doubled:
        return by_pod, ()
    message = f"{len(doubled)} pods are scraped twice (first: {doubled[0]}); only the newer sample is used"
    return by_pod, ((Reason.DUPLICATE_SAMPLE, message),)


def _advanced(
    given: WorkloadInput,
    state: WorkloadState,
    by_pod: dict[str, PodSample],
    *,
    now_s: float,
    settings: SignalSettings,
) -> tuple[PodTrack, ...]:
    before = {track.pod: track for track in state.pods}
    told: dict[str, list[PodSample]] = {}
    for sample in (*given.earlier, *by_pod.values()):
        # A sample from the future would make every later one look old.
        if is_fresh(sample.sampled_at_s, now_s, float("inf")):
            told.setdefault(sample.pod, []).append(sample)
    tracks = []
    for pod in given.pods:
        track = before.get(pod.name)
        for sample in told.get(pod.name, ()):
            track = advance(
                track,
                sample,
                pod=pod,
                window_s=settings.rate_window_s,
                slo=given.spec.slo,
                watched_from_start=pod.name in state.seen_pods and pod.restarts == 0,
            )
        if track is not None:
            tracks.append(track)
    return tuple(tracks)


def _unknown(
    given: WorkloadInput,
    ready: tuple[PodStatus, ...],
    tracks: tuple[PodTrack, ...],
    fresh: list[PodTrack],
    loads: tuple[PodLoad, ...],
    failed: tuple[Scrape, ...],
    now_s: float,
    settings: SignalSettings,
) -> tuple[Reason | None, str]:
    if not given.pods_known:
        return Reason.NO_DATA, "the list of pods is being read anew"
    if not ready:
        return Reason.STARTING, "no replica is ready yet, so none can tell its load"
    if not fresh and given.samples_error:
        return Reason.NO_DATA, f"no metrics: {given.samples_error}"
    if not fresh and len(failed) == len(ready):
        message = f"none of {len(ready)} ready pods answers its scrape"
        return Reason.UNRESPONSIVE, _with_cause(message, given)
    if not fresh and tracks:
        age_s = now_s - max(track.sampled_at_s for track in tracks)
        why = f"older than {settings.stale_after_s:.0f} s"
        if age_s <= settings.stale_after_s:
            why = "and Prometheus has none of a ready pod any more"
        return Reason.STALE_DATA, f"the newest sample is {age_s:.0f} s old, {why}"
    if not fresh:
        message = f"none of {len(ready)} ready pods has a sample in Prometheus"
        return Reason.NO_DATA, _with_cause(message, given)
    if not loads and not any(one.last.success is not None for t in fresh for one in t.models):
        return Reason.NO_DATA, (
            f"none of {len(fresh)} pods exports how many requests it answered; "
            "some servers begin to with their first one"
        )
    if not loads:
        return Reason.NO_DATA, "rates need two samples of a pod; there is one so far"
    return None, ""


def _with_cause(message: str, given: WorkloadInput) -> str:
    return f"{message}: {given.spec.silent}" if given.spec.silent else message


def _failed(
    given: WorkloadInput, ready: tuple[PodStatus, ...], now_s: float, settings: SignalSettings
) -> tuple[Scrape, ...]:
    """What is not a target of Prometheus any more has not failed to answer: it was not asked."""
    names = {pod.name for pod in ready}
    return tuple(
        scrape
        for scrape in given.scrapes
        if scrape.pod in names
        and not scrape.answered
        and is_fresh(scrape.at_s, now_s, settings.stale_after_s)
    )


def _unseen(
    ready: tuple[PodStatus, ...], loads: tuple[PodLoad, ...], now_s: float, window_s: float
) -> int:
    """Ready pods that should have been seen by now. One that has just become ready took its load from the others."""
    seen = {load.pod for load in loads}
    return sum(
        1
        for pod in ready
        if pod.name not in seen and pod.ready_s is not None and now_s - pod.ready_s > window_s
    )


def _sum_pending(loads: tuple[PodLoad, ...]) -> float | None:
    known = [waiting for load in loads if (waiting := load.pending) is not None]
    return sum(known) if known else None


def _latency_s(tracks: list[PodTrack], ratio: float, model: str | None) -> float | None:
    """Quantiles of pods can't be averaged: the slowest pod speaks for all."""
    slowest = None
    for track in tracks:
        for entry in track.models:
            if model is not None and entry.last.model != model:
                continue
            above = [
                s for q, s in entry.last.latency_quantiles if q >= ratio - 1e-9 and math.isfinite(s)
            ]
            if above and (slowest is None or above[0] > slowest):
                slowest = above[0]
    return slowest


def _queue_ratio(loads: tuple[PodLoad, ...]) -> float | None:
    """The queue's share of the mean latency, over all requests."""
    queue = total = 0.0
    for m in each_model(loads):
        if m.queue_ratio is not None:
            queue += m.queue_ratio * m.requests
            total += m.requests
            continue
        if m.queue_s is None or m.compute_s is None:
            continue
        queue += m.queue_s * m.requests
        total += (m.queue_s + m.compute_s + (m.overhead_s or 0.0)) * m.requests
    return queue / total if total > 0.0 else None
