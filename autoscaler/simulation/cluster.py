"""A Deployment of Triton-style servers in virtual time, seen only through what Kubernetes and Prometheus would show.

Replicas become pods at once and ready after a start-up of their own; a scale-down takes pods that are not ready first,
then the youngest, as a ReplicaSet does, and a pod that goes finishes what it has. A pod needs a GPU on a node, and
waits where there is none. Virtual time begins at 0; the engine is shown times from `EPOCH_S` on, as a live one would
see.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.types import (
    HistoryPoint,
    PodSample,
    ReplicaStatus,
    ServerProfile,
    TickInput,
    WorkloadInput,
)
from autoscaler.simulation.gateway import Gateway
from autoscaler.simulation.nodes import NodePool
from autoscaler.simulation.pods import EPOCH_S, Pod
from autoscaler.simulation.pools import pool_of, profiles_of, samples_of
from autoscaler.simulation.scenario import Scenario
from autoscaler.simulation.serving import Scrape

__all__ = ["EPOCH_S", "ModelledCluster", "Reads", "Totals"]

PROBE_S = 5.0
SCRAPE_LAG_S = 1.0
PROFILE_PERIOD_S = 30.0
# Streams of random draws of a pod's life, apart from those of its start-up.
_LIFE_STREAM = 1


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


class ModelledCluster:
    """One Deployment under given arrivals."""

    def __init__(
        self,
        scenario: Scenario,
        arrivals_s: NDArray[np.float64],
        *,
        replicas: int | None = None,
        seed: int = 0,
    ) -> None:
        self.scenario = scenario
        self._seed = seed
        self._startup = scenario.startup
        self._pool = pool_of(scenario, arrivals_s, seed)
        self._nodes = NodePool(scenario.nodes)
        self._node_losses = sorted(scenario.failures.node_losses_s)
        self._pods: list[Pod] = []
        self._created = 0
        self._gpu_s = 0.0
        self._seen: tuple[PodSample, ...] = ()
        self._totals: Totals | None = None
        self._arrivals_s = arrivals_s
        self._gateway = Gateway(scenario.threshold_s) if scenario.gateway else None
        self._passed: tuple[PodSample, ...] = ()
        self._retired = np.zeros(5)
        self._backfill = scenario.demand.backfill(EPOCH_S, scenario.work_per_request)
        self.now_s = 0.0
        self.replicas = scenario.first_replicas if replicas is None else replicas
        for _ in range(self.replicas):
            self._create(0.0, is_there=True)

    @property
    def pods(self) -> tuple[Pod, ...]:
        """Those that are there now: waiting, starting, ready and draining."""
        return tuple(self._pods)

    @property
    def latencies_s(self) -> NDArray[np.floating[Any]]:
        """Of every request; NaN where it has not finished."""
        return self._pool.latencies_s

    @property
    def gpu_hours(self) -> float:
        """From the request for each replica until it was gone."""
        return (self._gpu_s + sum(self.now_s - pod.created_s for pod in self._pods)) / 3600.0

    @property
    def node_gpu_hours(self) -> float:
        """Of every GPU of every node, from the request for the node until it was gone."""
        return self._nodes.gpu_hours(self.now_s)

    # ---------------------------------------------------------------- time

    def advance(self, to_s: float, *, reads: Reads | None = Reads.SAMPLES) -> None:
        """Lets time pass, and reads the last scrape before `to_s`; None: nothing."""
        # Pods that go are looked at as often as a kubelet would, whatever the period of the policy: all pay alike.
        while self.now_s + PROBE_S < to_s and self._is_watched():
            self._run_until(self.now_s + PROBE_S)
        if reads is not None:
            self._run_servers(max(self.now_s, to_s - SCRAPE_LAG_S))
            self._read_servers(to_s - SCRAPE_LAG_S, reads)
        self._run_until(to_s)

    def _is_watched(self) -> bool:
        return any(pod.deleted_s is not None or pod.node is None for pod in self._pods)

    def _run_until(self, to_s: float) -> None:
        self._run_servers(to_s)
        self.now_s = to_s
        gone = [pod for pod in self._pods if self._is_gone(pod)]
        for pod in gone:
            self._bury(pod)
        if any(pod.node is None for pod in self._pods):
            for pod in self._pods:
                if pod.node is None and pod.deleted_s is None:
                    self._place(pod)

    def _run_servers(self, to_s: float) -> None:
        """Requests, and the faults on the way."""
        while (fault := self._next_fault(to_s)) is not None:
            at_s, pods = fault
            self._pool.run_until(max(at_s, self._pool.now_s))
            for pod in pods:
                self._fail(pod, at_s)
        self._pool.run_until(to_s)

    def _is_gone(self, pod: Pod) -> bool:
        if pod.deleted_s is None:
            return False
        return pod.server is None or self._pool.drained(pod.server)

    def _bury(self, pod: Pod) -> None:
        self._pods.remove(pod)
        self._gpu_s += self.now_s - pod.created_s
        if pod.node is not None and pod.node in self._nodes.nodes:
            self._nodes.release(pod.node, self.now_s)
        if pod.server is not None:
            self._retired += _counters(self._pool.scrape((pod.server,)))
            self._pool.retire_server(pod.server)

    # ---------------------------------------------------------------- faults

    def _next_fault(self, to_s: float) -> tuple[float, list[Pod]] | None:
        """(when, the pods that end), of the next fault until `to_s`."""
        alive = [pod for pod in self._pods if pod.deleted_s is None and pod.server is not None]
        first = min(alive, key=lambda pod: pod.fails_s, default=None)
        pod_s = first.fails_s if first is not None else math.inf
        node_s = self._node_losses[0] if self._node_losses else math.inf
        if min(pod_s, node_s) > to_s:
            return None
        if first is not None and pod_s <= node_s:
            return pod_s, [first]
        self._node_losses.pop(0)
        node = next(iter(self._nodes.nodes), None)
        if node is None:
            return node_s, []
        lost = [pod for pod in self._pods if pod.node is node]
        self._nodes.lose(node, node_s)
        return node_s, lost

    def _fail(self, pod: Pod, at_s: float) -> None:
        """What it has fails with it, and a ReplicaSet makes another at once."""
        was_wanted = pod.deleted_s is None
        pod.deleted_s = pod.deleted_s or at_s
        pod.fails_s = math.inf
        if pod.server is not None:
            self._pool.fail_server(pod.server)
        if was_wanted:
            self._create(at_s)

    # ---------------------------------------------------------------- Kubernetes' side

    def set_replicas(self, replicas: int) -> None:
        """A scale."""
        self.replicas = replicas
        live = [pod for pod in self._pods if pod.deleted_s is None]
        for _ in range(replicas - len(live)):
            self._create(self.now_s)
        # A ReplicaSet's order: not ready before ready, then the youngest.
        doomed = sorted(live, key=lambda pod: (pod.ready_s <= self.now_s, -pod.number))
        for pod in doomed[: max(0, len(live) - replicas)]:
            pod.deleted_s = self.now_s
            if pod.server is not None:
                self._pool.stop_server(pod.server, self.now_s)

    def _create(self, at_s: float, *, is_there: bool = False) -> None:
        """`is_there`: it was there before the run began."""
        pod = Pod(number=self._created, created_s=at_s)
        self._created += 1
        self._pods.append(pod)
        self._place(pod, is_there=is_there)

    def _place(self, pod: Pod, *, is_there: bool = False) -> None:
        """Gives it a node and lets it start, if there is one."""
        now_s = max(self.now_s, pod.created_s)
        pod.node = self._nodes.place(now_s)
        if pod.node is None:
            return
        if is_there:
            pod.node.ready_s = pod.ready_s = now_s
        else:
            exact_s = max(now_s, pod.node.ready_s) + self._startup.draw_s(pod.number)
            probed = self._startup.median_s > 0.0
            pod.ready_s = math.ceil(exact_s / PROBE_S) * PROBE_S if probed else exact_s
        pod.server = self._pool.add_server(pod.ready_s)
        mean_s = self.scenario.failures.pod_mean_between_s
        if mean_s is not None:
            draws = np.random.default_rng((self._seed, pod.number, _LIFE_STREAM))
            pod.fails_s = pod.ready_s + float(draws.exponential(mean_s))

    # ---------------------------------------------------------------- what is seen

    @property
    def is_blind(self) -> bool:
        """Whether metrics can't be had now."""
        return any(outage.holds(self.now_s) for outage in self.scenario.outages)

    def _read_servers(self, at_s: float, reads: Reads) -> None:
        pods = [pod for pod in self._pods if pod.serves(at_s)]
        servers = [pod.server for pod in pods if pod.server is not None]
        if reads is Reads.SAMPLES:
            self._seen = samples_of(self._pool, pods, servers, at_s)
            if self._gateway is not None:
                self._passed = (self._gateway.sample(self._pool, self._arrivals_s, at_s),)
            return
        scrape = self._pool.scrape(servers)
        leaving = [pod.server for pod in self._pods if pod.server is not None and pod not in pods]
        counters = self._retired + _counters(scrape) + _counters(self._pool.scrape(leaving))
        p90_s = math.nan
        if reads is Reads.LATENCY and servers:
            p90_s = float(self._pool.summaries_s(servers, (0.9,), pooled=True)[0, 0])
        done, queue_s, compute_s, busy_s, ongoing_s = counters.tolist()
        self._totals = Totals(
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

    def totals(self) -> Totals | None:
        """What a query over all pods answers now; None: no connection."""
        return None if self.is_blind else self._totals

    def tick_input(self) -> TickInput:
        """What live collectors would deliver now; the first also tells what was before the run."""
        blind = self.is_blind
        backfill: tuple[HistoryPoint, ...]
        backfill, self._backfill = self._backfill, ()
        return TickInput(
            now_s=EPOCH_S + self.now_s,
            workloads=(
                WorkloadInput(
                    spec=self.scenario.spec,
                    replicas=ReplicaStatus(desired=self.replicas, template_hash="v1"),
                    pods=tuple(pod.status(self.now_s) for pod in self._pods),
                    samples=() if blind else self._seen,
                    samples_error="no connection" if blind else None,
                    gateway=() if blind else self._passed,
                    profiles=self._profiles(),
                    backfill=backfill,
                ),
            ),
        )

    def _profiles(self) -> tuple[ServerProfile, ...]:
        """Triton's statistics of the oldest pod, every half minute."""
        oldest = next((pod for pod in self._pods if pod.serves(self.now_s - SCRAPE_LAG_S)), None)
        if oldest is None or oldest.server is None or self.now_s % PROFILE_PERIOD_S:
            return ()
        return tuple(
            ServerProfile(
                pod=oldest.name,
                template_hash="v1",
                sampled_at_s=EPOCH_S + self.now_s,
                models=(model,),
            )
            for model in profiles_of(self._pool, oldest.server)
        )


def _counters(scrape: Scrape) -> NDArray[np.float64]:
    """Done, and seconds of queue, compute, busy and request, summed over the servers."""
    columns = (scrape.success, scrape.queue_s, scrape.compute_s, scrape.busy_s, scrape.ongoing_s)
    return np.array([float(values.sum()) for values in columns])
