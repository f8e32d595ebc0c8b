"""A Deployment of Triton-style servers in virtual time, seen only through what Kubernetes and Prometheus would show.

Replicas become pods at once and ready after a start-up of their own; a scale-down takes pods that are not ready first,
then the youngest, as a ReplicaSet does, and a pod that goes finishes what it has. Virtual time begins at 0; the engine
is shown times from `EPOCH_S` on, as a live one would see.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.types import (
    BatchTime,
    ModelCounters,
    ModelProfile,
    PodSample,
    PodStatus,
    ReplicaStatus,
    ServerProfile,
    TickInput,
    WorkloadInput,
    WorkloadSpec,
)
from autoscaler.simulation.serving import SUMMARY_QUANTILES, Routing, ServingModel, ServingPool

EPOCH_S = 1_767_225_600.0  # a Thursday's midnight, UTC
PROBE_S = 5.0
SCRAPE_LAG_S = 1.0
PROFILE_PERIOD_S = 30.0
MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """Time from the request for a replica until it is ready: lognormal, with a p99 of 2.3 times the median."""

    median_s: float
    seed: int = 0

    def draw_s(self, number: int) -> float:
        """Of the `number`-th pod of the run, the same for every policy."""
        normal = float(np.random.default_rng((self.seed, number)).standard_normal())
        # ln 2.3 / 2.326: the 99th percentile of a standard normal is 2.326.
        return self.median_s * math.exp(normal * math.log(2.3) / 2.326)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """No metrics from `start_s` to `end_s`; Triton's own API goes on to answer, as it does while Prometheus is away."""

    start_s: float
    end_s: float


@dataclass(slots=True)
class Pod:
    """One replica. `gone_s` None: it still holds its GPU."""

    number: int
    server: int
    created_s: float
    ready_s: float
    deleted_s: float | None = None
    gone_s: float | None = None

    @property
    def name(self) -> str:
        return f"pod-{self.number}"


class ModelledCluster:
    """One Deployment under given arrivals."""

    def __init__(
        self,
        spec: WorkloadSpec,
        model: ServingModel,
        arrivals_s: NDArray[np.float64],
        *,
        replicas: int,
        startup: Startup,
        outages: tuple[Outage, ...] = (),
        routing: Routing = Routing.LEAST_OUTSTANDING,
        seed: int = 0,
        most_pods: int = 16384,
    ) -> None:
        self._spec = spec
        self._model = model
        self._startup = startup
        self._outages = outages
        self._pool = ServingPool(model, arrivals_s, routing, seed, most_pods)
        self._pods: list[Pod] = []
        self._created = 0
        self._gpu_s = 0.0
        self._samples: tuple[PodSample, ...] = ()
        self.now_s = 0.0
        self.replicas = replicas
        for _ in range(replicas):
            self._create(ready_s=0.0)

    @property
    def pods(self) -> tuple[Pod, ...]:
        """Those that hold a GPU now: starting, ready and draining."""
        return tuple(self._pods)

    @property
    def latencies_s(self) -> NDArray[np.float32]:
        """Of every request; NaN where it has not finished."""
        return self._pool.latencies_s

    @property
    def gpu_hours(self) -> float:
        """From the request for each replica until it was gone."""
        return (self._gpu_s + sum(self.now_s - pod.created_s for pod in self._pods)) / 3600.0

    def advance(self, to_s: float, *, scraped: bool = True) -> None:
        """Lets time pass. With `scraped` the last scrape before `to_s` is read, for `tick_input`."""
        # Pods that go are looked at as often as a kubelet would, whatever the period of the policy: all pay alike.
        while any(pod.deleted_s is not None for pod in self._pods) and self.now_s + PROBE_S < to_s:
            self._run_until(self.now_s + PROBE_S)
        if scraped:
            self._pool.run_until(max(self.now_s, to_s - SCRAPE_LAG_S))
            self._samples = tuple(self._sample(pod, to_s) for pod in self._serving(to_s))
        self._run_until(to_s)

    def _run_until(self, to_s: float) -> None:
        self._pool.run_until(to_s)
        self.now_s = to_s
        for pod in self._pods:
            if pod.deleted_s is not None and self._pool.drained(pod.server):
                pod.gone_s = to_s
                self._gpu_s += to_s - pod.created_s
        self._pods = [pod for pod in self._pods if pod.gone_s is None]

    def set_replicas(self, replicas: int) -> None:
        """Kubernetes' side of a scale."""
        self.replicas = replicas
        live = [pod for pod in self._pods if pod.deleted_s is None]
        for _ in range(replicas - len(live)):
            self._create(ready_s=None)
        # A ReplicaSet's order: not ready before ready, then the youngest.
        doomed = sorted(live, key=lambda pod: (pod.ready_s <= self.now_s, -pod.number))
        for pod in doomed[: max(0, len(live) - replicas)]:
            pod.deleted_s = self.now_s
            self._pool.stop_server(pod.server, self.now_s)

    def tick_input(self) -> TickInput:
        """What live collectors would deliver now."""
        blind = any(o.start_s <= self.now_s < o.end_s for o in self._outages)
        return TickInput(
            now_s=EPOCH_S + self.now_s,
            workloads=(
                WorkloadInput(
                    spec=self._spec,
                    replicas=ReplicaStatus(desired=self.replicas, template_hash="v1"),
                    pods=tuple(self._status(pod) for pod in self._pods),
                    samples=() if blind else self._samples,
                    samples_error="no connection" if blind else None,
                    profiles=self._profiles(),
                ),
            ),
        )

    def _create(self, *, ready_s: float | None) -> None:
        if ready_s is None:
            exact_s = self.now_s + self._startup.draw_s(self._created)
            ready_s = math.ceil(exact_s / PROBE_S) * PROBE_S
        server = self._pool.add_server(ready_s)
        self._pods.append(
            Pod(number=self._created, server=server, created_s=self.now_s, ready_s=ready_s)
        )
        self._created += 1

    def _serving(self, now_s: float) -> list[Pod]:
        return [
            pod
            for pod in self._pods
            if pod.ready_s <= now_s - SCRAPE_LAG_S and pod.deleted_s is None
        ]

    def _status(self, pod: Pod) -> PodStatus:
        ready = pod.ready_s <= self.now_s
        ready_s = EPOCH_S + pod.ready_s if ready else None
        return PodStatus(
            name=pod.name,
            template_hash="v1",
            created_s=EPOCH_S + pod.created_s,
            ready_s=ready_s,
            # Those that were there from the start tell no start-up time.
            first_ready_s=ready_s if pod.ready_s > 0.0 else None,
            deleted_s=None if pod.deleted_s is None else EPOCH_S + pod.deleted_s,
        )

    def _sample(self, pod: Pod, now_s: float) -> PodSample:
        counters = self._pool.counters(pod.server)
        quantiles = self._pool.latency_quantiles_us(pod.server)
        return PodSample(
            pod=pod.name,
            sampled_at_s=EPOCH_S + now_s - SCRAPE_LAG_S,
            models=(
                ModelCounters(
                    model=MODEL,
                    success=float(counters.request_success),
                    failure=float(counters.request_failure),
                    inferences=float(counters.inference_count),
                    executions=float(counters.exec_count),
                    pending=float(counters.pending),
                    request_s=counters.request_duration_us / 1e6,
                    queue_s=counters.queue_duration_us / 1e6,
                    compute_s=counters.compute_infer_duration_us / 1e6,
                    latency_quantiles=tuple(
                        (q, us / 1e6)
                        for q, us in zip(SUMMARY_QUANTILES, quantiles, strict=True)
                        if us is not None
                    ),
                ),
            ),
        )

    def _profiles(self) -> tuple[ServerProfile, ...]:
        """Triton's statistics of the oldest pod, every half minute."""
        serving = self._serving(self.now_s)
        if not serving or self.now_s % PROFILE_PERIOD_S:
            return ()
        times = tuple(
            BatchTime(batch_size=b.batch_size, count=b.exec_count, total_s=b.compute_infer_s)
            for b in self._pool.batch_statistics(serving[0].server)
        )
        model = ModelProfile(
            model=MODEL,
            max_batch_size=self._model.max_batch_size,
            instances=self._model.instances,
            max_queue_delay_s=self._model.max_queue_delay_s,
            batch_times=times,
        )
        return (
            ServerProfile(
                pod=serving[0].name,
                template_hash="v1",
                sampled_at_s=EPOCH_S + self.now_s,
                models=(model,),
            ),
        )
