"""A small world for stories: pods whose counters grow as told, in ticks of 10 s, with the real engine deciding.

Not a simulator: latency is the queueing model's own mean, so that a story is about the rules and not about queues.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from autoscaler.core.nodes.observed import PoolInput
from autoscaler.core.queueing import batch_time_s, mean_wait_s, steady_batch
from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import (
    ActionResult,
    BatchTime,
    Decision,
    LatencyObjective,
    ModelCounters,
    ModelProfile,
    Outcome,
    PodGpus,
    PodSample,
    PodStatus,
    ReplicaStatus,
    Scrape,
    ServerProfile,
    Slo,
    SloForm,
    Targets,
    TickInput,
    TickResult,
    WorkloadId,
    WorkloadInput,
    WorkloadSpec,
)
from autoscaler.engine import DecisionEngine

# 52 ms for one, 64 ms for two: 31.25 inferences a second at full batches.
TWO_AT_ONCE = ServiceTimes(batch_s=(0.052, 0.064))
START_S = 1_000_000_000.0 - 1_000_000_000.0 % 60.0


def slo(ratio: float = 0.99, threshold_s: float = 0.3) -> Slo:
    """`99% < 300ms`."""
    return Slo(
        objectives=(LatencyObjective(form=SloForm.REQUESTS, ratio=ratio, threshold_s=threshold_s),),
        text=f"{ratio:.0%} < {threshold_s * 1000:.0f}ms",
    )


def spec(name: str = "bert", **changes: object) -> WorkloadSpec:
    """A workload in namespace `team` with one GPU a replica."""
    base = WorkloadSpec(id=WorkloadId(namespace="team", name=name), slo=slo())
    return replace(base, **changes)  # type: ignore[arg-type]


@dataclass
class Pod:
    """One server and its counters."""

    name: str
    created_s: float
    ready_s: float | None
    requests: float = 0.0
    failures: float = 0.0
    executions: float = 0.0
    queue_s: float = 0.0
    compute_s: float = 0.0
    pending: float = 0.0
    sampled_at_s: float | None = None
    scheduled_s: float | None = None
    deleted_s: float | None = None


@dataclass
class Story:
    """One workload under a rate that the story sets, and the decisions that follow."""

    times: ServiceTimes = TWO_AT_ONCE
    replicas: int = 2
    startup_s: float = 20.0
    node_s: float = 0.0
    """How long new pods wait for a node before they start."""
    pools: tuple[PoolInput, ...] = ()
    spec: WorkloadSpec = field(default_factory=spec)
    config: EngineConfig = field(default_factory=EngineConfig)
    rate_rps: float = 0.0
    shares: tuple[float, ...] = ()
    """Uneven load: each pod's share of it, in order of age; empty: even."""
    variability: Callable[[int], float] = lambda _: 1.0
    """Of the waits when so many replicas are ready."""
    metrics_up: bool = True
    rollout: bool = False
    misses: float | None = None
    """Share of requests over the threshold, as the servers' summaries tell; None: they keep no summaries."""
    mode_held_by: str | None = None
    blocking: bool = False
    """Servers that answer no scrape while they have more to do than they can."""
    slow: dict[str, float] = field(default_factory=dict)
    """By pod: so many times as long takes each of its batches."""
    xids: dict[str, tuple[int, ...]] | None = None
    """By pod, what DCGM shows of its GPU; pods that are not named have had no error. None: there is no DCGM."""
    failing: dict[str, float] = field(default_factory=dict)
    """By pod: this share of its requests fails, at once."""
    misses_of: dict[str, float] = field(default_factory=dict)
    """As `misses`, of single pods."""

    def __post_init__(self) -> None:
        self.now_s = START_S
        self.engine = DecisionEngine(self.config)
        self._named = 0
        self.pods = [
            self._pod(START_S - 3600.0 - self.startup_s, START_S - 3600.0)
            for _ in range(self.replicas)
        ]
        self.decisions: list[Decision] = []
        self.times_s: list[float] = []
        self.last: TickInput | None = None

    def _pod(self, created_s: float, ready_s: float | None) -> Pod:
        self._named += 1
        at_once = ready_s is not None or self.node_s <= 0.0
        return Pod(
            name=f"bert-{self._named}",
            created_s=created_s,
            ready_s=ready_s,
            scheduled_s=created_s if at_once else None,
        )

    def run(self, seconds: float, *, rate_rps: float | None = None) -> Decision:
        """Lets time pass, a tick each 10 s; returns the last decision."""
        if rate_rps is not None:
            self.rate_rps = rate_rps
        for _ in range(round(seconds / 10.0)):
            self._pass(10.0)
            self.tick()
        return self.decisions[-1]

    def tick(self) -> TickResult:
        """One tick now; what it asks for happens at once."""
        self.last = TickInput(
            now_s=self.now_s, workloads=(self.given(),), targets=self.targets(), pools=self.pools
        )
        result = self.engine.tick(self.last)
        self.decisions.append(result.decisions[0])
        self.times_s.append(self.now_s)
        applied = tuple(
            ActionResult(action=a, outcome=Outcome.APPLIED) for a in result.plan.actions
        )
        for action in result.plan.actions:
            self.scale(action.replicas)
        self.engine.acknowledge(applied)
        return result

    def scale(self, replicas: int) -> None:
        """Kubernetes' side: new pods start, of too many the unready and the youngest go."""
        self.replicas = replicas
        while len(self.pods) < replicas:
            self.pods.append(self._pod(self.now_s, None))
        # Not ready first, then the youngest, as a ReplicaSet does.
        self.pods.sort(key=lambda pod: (pod.ready_s is None, pod.created_s))
        del self.pods[replicas:]

    def _pass(self, seconds: float) -> None:
        self.now_s += seconds
        for pod in self.pods:
            if pod.scheduled_s is None and self.now_s - pod.created_s >= self.node_s:
                pod.scheduled_s = pod.created_s + self.node_s
            has_node = pod.scheduled_s is not None and pod.ready_s is None
            if has_node and self.now_s - (pod.scheduled_s or 0.0) >= self.startup_s:
                pod.ready_s = (pod.scheduled_s or 0.0) + self.startup_s
        ready = [pod for pod in self.pods if pod.ready_s is not None]
        shares = self.shares[: len(ready)] or tuple(1.0 for _ in ready)
        for index, pod in enumerate(ready):
            share = shares[index] if index < len(shares) else 0.0
            self.serve(pod, self.rate_rps * share / sum(shares), seconds)

    def times_of(self, pod: Pod) -> ServiceTimes:
        """Of this pod's batches."""
        factor = self.slow.get(pod.name, 1.0)
        return replace(self.times, batch_s=tuple(factor * s for s in self.times.batch_s))

    def serve(self, pod: Pod, rate: float, seconds: float) -> None:
        """What it does at so many requests a second for so long, as its counters tell."""
        times = self.times_of(pod)
        failed_rps = rate * self.failing.get(pod.name, 0.0)
        pod.failures += failed_rps * seconds
        offered = rate - failed_rps + pod.pending / seconds
        variability = self.variability(sum(1 for p in self.pods if p.ready_s is not None))
        capped = min(offered, 0.999 / times.work_s)
        pod.pending = max(0.0, (offered - capped) * seconds)
        batch = steady_batch(times, capped)
        requests = capped * seconds
        pod.requests += requests
        pod.executions += requests / batch
        pod.compute_s += requests * batch_time_s(times, batch)
        waited_s = sum(mean_wait_s(times, capped, variability, batch=batch))
        pod.queue_s += requests * min(10.0, waited_s)

    def given(self) -> WorkloadInput:
        """What collectors would deliver."""
        if self.metrics_up:
            for pod in self.pods:
                if pod.ready_s is not None and not self._is_silent(pod):
                    pod.sampled_at_s = self.now_s - 2.0
        return WorkloadInput(
            spec=self.spec,
            replicas=ReplicaStatus(
                desired=self.replicas,
                rollout=self.rollout,
                template_hash="h1",
                held_by=self.mode_held_by,
            ),
            pods=tuple(
                PodStatus(
                    name=pod.name,
                    template_hash="h1",
                    created_s=pod.created_s,
                    ready_s=pod.ready_s,
                    first_ready_s=pod.ready_s,
                    scheduled_s=pod.scheduled_s,
                    deleted_s=pod.deleted_s,
                    unschedulable=pod.scheduled_s is None,
                    node=f"node-of-{pod.name}",
                )
                for pod in self.pods
            ),
            gpus=tuple(
                PodGpus(pod=pod.name, xids=self.xids.get(pod.name, ()))
                for pod in self.pods
                if self.xids is not None
            ),
            samples=tuple(
                self._sample(pod)
                for pod in self.pods
                if self.metrics_up and pod.ready_s is not None and not self._is_silent(pod)
            ),
            scrapes=self._scrapes(),
            samples_error=None if self.metrics_up else "connection refused",
            profiles=self._profile() if self.metrics_up else (),
        )

    def _is_silent(self, pod: Pod) -> bool:
        return self.blocking and pod.pending > 0.0

    def _scrapes(self) -> tuple[Scrape, ...]:
        """Of pods that answer nothing, and of those that have no series before their first request."""
        if not self.metrics_up or not any(self._is_silent(pod) for pod in self.pods):
            return ()
        at_s = self.now_s - 2.0
        return tuple(
            Scrape(pod=pod.name, at_s=at_s, answered=False, took_s=4.0)
            if self._is_silent(pod)
            else Scrape(pod=pod.name, at_s=at_s, answered=True)
            for pod in self.pods
            if self._is_silent(pod) or pod.ready_s is None
        )

    def targets(self) -> Targets | None:
        """Twenty others, which all answer."""
        failed = sum(1 for scrape in self._scrapes() if not scrape.answered)
        known = 20 + len(self.pods)
        return Targets(known=known, answering=known - failed) if failed else None

    def _sample(self, pod: Pod) -> PodSample:
        threshold_s = self.spec.slo.objectives[0].threshold_s
        quantiles: tuple[tuple[float, float], ...] = ()
        misses = self.misses_of.get(pod.name, self.misses)
        if misses is not None:
            quantiles = ((1.0 - misses, threshold_s), (0.9999, threshold_s * 2))
        return PodSample(
            pod=pod.name,
            sampled_at_s=pod.sampled_at_s or 0.0,
            models=(
                ModelCounters(
                    model="m",
                    success=pod.requests,
                    failure=pod.failures,
                    inferences=pod.requests,
                    executions=pod.executions,
                    pending=pod.pending,
                    request_s=pod.queue_s + pod.compute_s,
                    queue_s=pod.queue_s,
                    compute_s=pod.compute_s,
                    latency_quantiles=quantiles,
                ),
            ),
        )

    def _profile(self) -> tuple[ServerProfile, ...]:
        first = next((pod for pod in self.pods if pod.ready_s is not None), None)
        if first is None:
            return ()
        times = tuple(
            BatchTime(batch_size=size, count=1000, total_s=1000 * seconds)
            for size, seconds in enumerate(self.times.batch_s, start=1)
        )
        model = ModelProfile(model="m", max_batch_size=self.times.max_batch_size, batch_times=times)
        return (
            ServerProfile(
                pod=first.name, template_hash="h1", sampled_at_s=self.now_s, models=(model,)
            ),
        )
