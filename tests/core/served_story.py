"""A story whose servers keep Triton's statistics by batch size, so that service times can change while it is told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from autoscaler.core.queueing import batch_time_s, steady_batch
from autoscaler.core.types import BatchTime, Decision, ModelProfile, ServerProfile, WorkloadInput
from tests.core.story import START_S, Pod, Story

# A reading of the statistics every half minute, as the collector takes them.
READ_EVERY_TICKS = 3


@dataclass
class ServedStory(Story):
    """`Story` with batches counted one size at a time; readings come every third tick."""

    version: str = "1"
    template: str = "h1"
    """Of pods that start from now on."""
    warm_up_s: float = 0.0
    """By how much one batch in each of a pod's first three ticks takes longer than it should, with the requests behind
    it waiting."""
    statistics_up: bool = True
    batches: dict[str, dict[int, tuple[int, float]]] = field(default_factory=dict)
    """(executions, seconds) by pod and batch size."""
    templates: dict[str, str] = field(default_factory=dict)
    ticks_served: dict[str, int] = field(default_factory=dict)

    def just_started(self) -> ServedStory:
        """With its first pods ready only now: nothing that they do is learned from for half a minute."""
        for pod in self.pods:
            pod.created_s, pod.ready_s = START_S - self.startup_s, START_S
        return self

    def load_version(self, version: str) -> None:
        """As when Triton loads a new version of the model in place: its statistics begin at zero."""
        self.version = version
        self.batches.clear()
        self.ticks_served.clear()

    def roll_out(self, template: str) -> None:
        """All pods at once are replaced by pods of another template, ready at once."""
        self.template = template
        self.pods = [self._pod(self.now_s, self.now_s) for _ in self.pods]

    def restart(self, pod: Pod) -> None:
        """Its container starts anew: its counters begin at zero, and so does its warm-up."""
        pod.ready_s = self.now_s
        pod.requests = pod.executions = pod.queue_s = pod.compute_s = 0.0
        self.batches.pop(pod.name, None)
        self.ticks_served.pop(pod.name, None)

    def ticks_until(self, replicas: int, *, most: int = 60) -> int:
        """How many ticks pass until so many are asked for."""
        for tick in range(1, most + 1):
            if self.run(10).target == replicas:
                return tick
        raise AssertionError(f"{replicas} were not asked for within {most} ticks")

    def decided(self) -> list[int]:
        """Replicas that each tick asked for."""
        return [decision.target for decision in self.decisions]

    def known_s(self, batch_size: int) -> float:
        """The mean time that the engine's evidence of the present template holds for a batch size."""
        entry = next(
            t
            for t in self.engine.snapshot().workloads[0].templates
            if t.template_hash == self.template
        )
        found = {i.batch_size: i.mean_s for i in entry.models[0].service.evidence}
        return round(found[batch_size], 4)

    def serve(self, pod: Pod, rate: float, seconds: float) -> None:
        before, ran = pod.requests, pod.executions
        super().serve(pod, rate, seconds)
        requests = pod.requests - before
        if requests <= 0.0:
            return
        times = self.times_of(pod)
        batch = steady_batch(times, requests / seconds)
        mine = self.batches.setdefault(pod.name, {})
        self.ticks_served[pod.name] = self.ticks_served.get(pod.name, 0) + 1
        extra_s = self.warm_up_s if self.ticks_served[pod.name] <= 3 else 0.0
        pod.compute_s += extra_s
        pod.queue_s += requests * extra_s
        low = min(int(batch), times.max_batch_size)
        executions = pod.executions - ran
        for size, count in (
            (low, executions * (low + 1 - batch)),
            (low + 1, executions * (batch - low)),
        ):
            if round(count) > 0:
                took_s = round(count) * batch_time_s(times, size) + extra_s
                counted, total_s = mine.get(size, (0, 0.0))
                mine[size] = (counted + round(count), total_s + took_s)

    def given(self) -> WorkloadInput:
        given = super().given()
        for pod in self.pods:
            self.templates.setdefault(pod.name, self.template)
        return replace(
            given,
            replicas=replace(given.replicas, template_hash=self.template),
            pods=tuple(replace(p, template_hash=self.templates[p.name]) for p in given.pods),
        )

    def _profile(self) -> tuple[ServerProfile, ...]:
        tick = round((self.now_s - START_S) / 10.0)
        pod = next((pod for pod in self.pods if pod.ready_s is not None), None)
        if pod is None or tick % READ_EVERY_TICKS or not self.statistics_up:
            return ()
        times = tuple(
            BatchTime(batch_size=size, count=count, total_s=total_s)
            for size, (count, total_s) in sorted(self.batches.get(pod.name, {}).items())
        )
        model = ModelProfile(
            model="m",
            version=self.version,
            max_batch_size=self.times.max_batch_size,
            batch_times=times,
        )
        return (
            ServerProfile(
                pod=pod.name,
                template_hash=self.templates.get(pod.name, self.template),
                sampled_at_s=self.now_s,
                models=(model,),
            ),
        )


def unproven_at(decision: Decision) -> bool:
    return decision.facts.capacity_unproven is not None
