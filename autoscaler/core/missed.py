"""Which share of the requests missed the SLO - as the servers tell, or as a gateway saw it - and what capacity may
answer for."""

from __future__ import annotations

from autoscaler.core.computed import computed
from autoscaler.core.gateway import judges, represents
from autoscaler.core.latency import LatencySource, main_objective
from autoscaler.core.settings import SignalSettings
from autoscaler.core.signals import ModelLoad, PodLoad, PodTrack, advance, is_fresh, pod_load
from autoscaler.core.state import WorkloadState
from autoscaler.core.types import PodStatus, Slo, WorkloadInput
from autoscaler.core.violations import MissShare, pooled


@computed
class Missed:
    """Of all requests, and of those that capacity may answer for; None: not known."""

    share: MissShare | None
    source: LatencySource | None
    curable: MissShare | None
    curable_from: LatencySource | None


def missed(
    gateways: tuple[PodTrack, ...],
    loads: tuple[PodLoad, ...],
    well: tuple[PodLoad, ...],
    afloat: tuple[PodLoad, ...],
    *,
    slo: Slo,
    settings: SignalSettings,
) -> Missed:
    """What clients saw counts for all, where a gateway tells; of `loads` those that are `well`, and of these the ones
    that are not flooded, for what more replicas would have saved."""
    share, source = _of_servers(loads, slo)
    seen_by_clients = _of_gateways(gateways, loads, settings)
    if seen_by_clients is not None:
        share, source = seen_by_clients, LatencySource.GATEWAY
    curable, curable_from = share, source
    if len(afloat) < len(loads):
        told, told_from = _of_servers(afloat, slo)
        # Of the others nothing is known where only a gateway tells: then all that it sees counts, but for sick ones.
        if told is not None or len(well) < len(loads):
            curable, curable_from = told, told_from
    return Missed(share=share, source=source, curable=curable, curable_from=curable_from)


def at_gateways(
    given: WorkloadInput, state: WorkloadState, *, now_s: float, settings: SignalSettings
) -> tuple[PodTrack, ...]:
    """The tracks of a gateway's instances that were scraped lately and judge the main objective exactly."""
    before = {track.pod: track for track in state.gateways}
    objective = main_objective(given.spec.slo)
    return tuple(
        advance(
            before.get(sample.pod),
            sample,
            pod=PodStatus(name=sample.pod, created_s=0.0),
            window_s=settings.rate_window_s,
            slo=given.spec.slo,
            watched_from_start=False,
        )
        for sample in given.gateway
        if judges(sample, objective)
        and is_fresh(sample.sampled_at_s, now_s, settings.stale_after_s)
    )


def each_model(loads: tuple[PodLoad, ...]) -> list[ModelLoad]:
    """Of all these pods."""
    return [model for load in loads for model in load.models]


def _of_servers(
    loads: tuple[PodLoad, ...], slo: Slo
) -> tuple[MissShare | None, LatencySource | None]:
    models = each_model(loads)
    shares = [(m.misses, m.requests) for m in models if m.misses is not None]
    if not shares:
        return None, None
    summaries = main_objective(slo).signal == "latency" and not all(m.histogram for m in models)
    source = LatencySource.SUMMARY if summaries else LatencySource.HISTOGRAM
    return pooled(shares, sum(m.failures for m in models)), source


def _of_gateways(
    tracks: tuple[PodTrack, ...], loads: tuple[PodLoad, ...], settings: SignalSettings
) -> MissShare | None:
    """Share of requests that missed as clients saw it; None: no gateway tells, or it sees too few of them."""
    if not tracks:
        return None
    passed = [
        load
        for track in tracks
        if (load := pod_load(track, model=None, panic_window_s=settings.panic_window_s))
    ]
    models = each_model(tuple(passed))
    shares = [(m.misses, m.requests) for m in models if m.misses is not None]
    failures = sum(m.failures for m in models)
    served = sum(m.requests for m in each_model(loads))
    if not shares or not represents(sum(m.requests for m in models) + failures, served):
        return None
    return pooled(shares, failures)
