"""Latency as a gateway or mesh tells it: what clients see, waiting and failed connections included.

It is believed for an objective only where its histogram has a bucket at the threshold, and only while it sees at least
four fifths of what the servers answer: requests that pass it by would else not be judged at all.
"""

from __future__ import annotations

from dataclasses import replace

from autoscaler.core.latency import LatencySource, is_exact
from autoscaler.core.tally import Seen, Tally, tally_pod
from autoscaler.core.types import LatencyObjective, PodSample, WorkloadInput

MIN_SEEN_RATIO = 0.8
# Answers that are on their way when the two are scraped.
FEW_REQUESTS = 10.0


def at_gateway(
    given: WorkloadInput, before: tuple[Seen, ...], *, fresh_from_s: float
) -> tuple[tuple[Tally | None, ...], tuple[Seen, ...]]:
    """(each objective's tally over all instances, their last scrapes). None: no gateway tells of this objective."""
    objectives = given.spec.slo.objectives
    seen = {entry.pod: entry for entry in before}
    totals: list[Tally | None] = [None for _ in objectives]
    now: list[Seen] = []
    for sample in given.gateway:
        if sample.sampled_at_s < fresh_from_s:
            continue
        told = tally_pod(
            seen.get(sample.pod),
            sample,
            pod=None,
            objectives=objectives,
            model=None,
            watched_since_s=None,
        )
        now.append(told.seen)
        for index, (objective, tally) in enumerate(zip(objectives, told.tallies, strict=True)):
            if tally is not None and judges(sample, objective):
                total = totals[index]
                totals[index] = tally if total is None else total.plus(tally)
    return tuple(_named(total) for total in totals), tuple(now)


def _named(tally: Tally | None) -> Tally | None:
    if tally is None or tally.source is None:
        return tally
    return replace(tally, source=LatencySource.GATEWAY)


def judges(sample: PodSample, objective: LatencyObjective) -> bool:
    """Whether a gateway's histogram tells exactly who missed this objective."""
    return all(is_exact(model, objective) for model in sample.models)


def preferred(gateway: Tally | None, servers: Tally | None) -> Tally | None:
    """The gateway's tally, unless the servers answered much more than it saw."""
    if gateway is None:
        return servers
    if servers is None:
        return gateway
    return gateway if represents(gateway.requests, servers.requests) else servers


def represents(at_gateway: float, at_servers: float) -> bool:
    """Whether what passed the gateway is most of what the servers did."""
    return at_gateway >= MIN_SEEN_RATIO * at_servers - FEW_REQUESTS
