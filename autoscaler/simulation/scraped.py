"""What Prometheus and Triton's own API tell of one Deployment, as of the last scrape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from autoscaler.core.types import (
    HistoryPoint,
    PodSample,
    ReplicaStatus,
    ServerProfile,
    WorkloadInput,
    WorkloadSpec,
)
from autoscaler.simulation.deployment import Deployment, counters
from autoscaler.simulation.gateway import Gateway
from autoscaler.simulation.pods import EPOCH_S
from autoscaler.simulation.pools import profiles_of, samples_of
from autoscaler.simulation.world import SCRAPE_LAG_S

PROFILE_PERIOD_S = 30.0


class Reads(Enum):
    """What of a scrape is wanted: a policy that asks for sums only runs many times as fast."""

    TOTALS = "totals"
    LATENCY = "latency"
    """The sums, and the pooled latency."""
    SAMPLES = "samples"
    """Pod by pod, as the engine wants it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over all pods as a dashboard shows them, at the last scrape. Counters go on when a pod goes."""

    at_s: float
    done: float
    queue_s: float
    compute_s: float
    busy_s: float
    ongoing_s: float
    """Request-seconds in the servers, queued and running: as a proxy beside each server averages its concurrency."""
    ongoing: float
    """Requests in them at that instant."""
    scraped: int
    """Pods that answered."""
    latency_p90_s: float | None
    """Over all requests of the last minute; None: none finished, or it was not asked for."""


class Scraped:
    """One Deployment as it is seen. `gateway`: one that counts what its clients see."""

    def __init__(
        self,
        deployment: Deployment,
        *,
        gateway: Gateway | None = None,
        backfill: tuple[HistoryPoint, ...] = (),
        names_nodes: bool = False,
    ) -> None:
        self._of = deployment
        self._gateway, self._backfill = gateway, backfill
        self._names_nodes = names_nodes
        self._samples: tuple[PodSample, ...] = ()
        self._passed: tuple[PodSample, ...] = ()
        self.totals: Totals | None = None

    def read(self, at_s: float, reads: Reads) -> None:
        """One scrape."""
        owner, pool = self._of, self._of.pool
        pods = [pod for pod in owner.pods if pod.serves(at_s)]
        servers = [pod.server for pod in pods if pod.server is not None]
        if reads is Reads.SAMPLES:
            self._samples = samples_of(pool, pods, servers, at_s)
            if self._gateway is not None:
                self._passed = (self._gateway.sample(pool, at_s),)
            return
        scrape = pool.scrape(servers)
        leaving = [pod.server for pod in owner.pods if pod.server is not None and pod not in pods]
        sums = owner.retired + counters(scrape) + counters(pool.scrape(leaving))
        p90_s = math.nan
        if reads is Reads.LATENCY and servers:
            p90_s = float(pool.summaries_s(servers, (0.9,), pooled=True)[0, 0])
        done, queue_s, compute_s, busy_s, ongoing_s = sums.tolist()
        self.totals = Totals(
            at_s=at_s,
            done=done,
            queue_s=queue_s,
            compute_s=compute_s,
            busy_s=busy_s,
            ongoing_s=ongoing_s,
            ongoing=float(scrape.outstanding.sum()),
            scraped=len(pods),
            latency_p90_s=None if math.isnan(p90_s) else p90_s,
        )

    def workload(self, spec: WorkloadSpec, now_s: float, *, blind: bool) -> WorkloadInput:
        """What live collectors would deliver now; the first also tells what was before the run."""
        backfill, self._backfill = self._backfill, ()
        return WorkloadInput(
            spec=spec,
            replicas=ReplicaStatus(desired=self._of.replicas, template_hash="v1"),
            pods=tuple(pod.status(now_s, names_node=self._names_nodes) for pod in self._of.pods),
            samples=() if blind else self._samples,
            samples_error="no connection" if blind else None,
            gateway=() if blind else self._passed,
            profiles=self._profiles(now_s),
            backfill=backfill,
        )

    def _profiles(self, now_s: float) -> tuple[ServerProfile, ...]:
        """Triton's statistics of the oldest pod, every half minute."""
        oldest = next((pod for pod in self._of.pods if pod.serves(now_s - SCRAPE_LAG_S)), None)
        if oldest is None or oldest.server is None or now_s % PROFILE_PERIOD_S:
            return ()
        return tuple(
            ServerProfile(
                pod=oldest.name,
                template_hash="v1",
                sampled_at_s=EPOCH_S + now_s,
                models=(model,),
            )
            for model in profiles_of(self._of.pool, oldest.server)
        )
