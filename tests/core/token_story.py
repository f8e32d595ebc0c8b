"""Pods of an engine that generates tokens, in ticks of 10 s, with the real engine deciding.

Not a simulator: each pod is in its steady state at every moment.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from autoscaler.core.settings import EngineConfig
from autoscaler.core.slo import parse_slo
from autoscaler.core.types import (
    ActionResult,
    Decision,
    ModelCounters,
    Outcome,
    PodSample,
    PodStatus,
    ReplicaStatus,
    Slo,
    TickInput,
    WorkloadId,
    WorkloadInput,
    WorkloadSpec,
)
from autoscaler.engine import DecisionEngine

START_S = 1_000_000_000.0 - 1_000_000_000.0 % 60.0
# A step of 20 ms, and half a millisecond for each sequence: 64 together take 52 ms.
BASE_S, EACH_S = 0.020, 0.0005


def step_s(sequences: float) -> float:
    return BASE_S + EACH_S * sequences


def sequences_at(tokens_rps: float) -> float:
    """How many run together when a pod makes so many tokens a second: B = R step(B)."""
    return tokens_rps * BASE_S / (1.0 - EACH_S * tokens_rps)


@dataclass
class TokenStory:
    """One workload of `replicas` pods under `tokens_rps` tokens a second, in answers of 200."""

    slo: str = "p95 tpot < 50ms"
    replicas: int = 2
    tokens_rps: float = 1000.0
    cache_per_sequence: float | None = None
    waiting: float = 0.0
    most_running: float = 1000.0
    max_sequences: int | None = None
    """As the pod's arguments tell."""
    waits_s: float | None = None
    """Of a request until its prompt is read; None: not told."""
    reading_s: float = 0.05
    """From then on to its first token."""
    uneven: float = 0.0
    """How many more run on every other replica than on the mean, and fewer on the others."""
    carries_out: bool = False
    counts: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now_s = START_S
        self.engine = DecisionEngine(EngineConfig())

    def run(self, seconds: float) -> Decision:
        """The last decision. What it asks for is carried out at once, or not at all."""
        decision = None
        for _ in range(round(seconds / 10.0)):
            self.now_s += 10.0
            self._serve(10.0)
            result = self.engine.tick(TickInput(now_s=self.now_s, workloads=(self.given(),)))
            (decision,) = result.decisions
            if self.carries_out:
                self.engine.acknowledge(
                    tuple(
                        ActionResult(action=a, outcome=Outcome.APPLIED) for a in result.plan.actions
                    )
                )
                self.replicas = decision.target
        assert decision is not None
        return decision

    def learn(self) -> TokenStory:
        """An hour and a half in which each pod has made 100 to 900 tokens a second, as a day brings."""
        usual = self.tokens_rps
        for each in (100.0, 300.0, 500.0, 700.0, 900.0, 700.0, 300.0, 500.0):
            self.tokens_rps = each * self.replicas
            self.run(600)
        self.tokens_rps = usual
        return self

    def _serve(self, seconds: float) -> None:
        del self.counts[self.replicas :]
        while len(self.counts) < self.replicas:
            self.counts.append(dict.fromkeys(("tokens", "token_s", "requests", "waited_s"), 0.0))
        each = self.tokens_rps / self.replicas
        for count in self.counts:
            count["tokens"] += each * seconds
            count["token_s"] += self.running * seconds
            count["requests"] += each / 200.0 * seconds
            count["waited_s"] += each / 200.0 * seconds * (self.waits_s or 0.0)

    @property
    def running(self) -> float:
        return min(self.most_running, sequences_at(self.tokens_rps / self.replicas))

    def given(self) -> WorkloadInput:
        slo = parse_slo(self.slo, "test")
        assert isinstance(slo, Slo)
        cache = None if self.cache_per_sequence is None else self.running * self.cache_per_sequence
        return WorkloadInput(
            spec=WorkloadSpec(
                id=WorkloadId(namespace="team", name="llm"),
                slo=slo,
                engine="vllm",
                max_sequences=self.max_sequences,
            ),
            replicas=ReplicaStatus(desired=self.replicas, template_hash="h"),
            pods=tuple(
                PodStatus(
                    name=f"llm-{i}",
                    template_hash="h",
                    created_s=START_S - 999.0,
                    ready_s=START_S - 900.0,
                )
                for i in range(self.replicas)
            ),
            samples=tuple(
                PodSample(
                    pod=f"llm-{i}",
                    sampled_at_s=self.now_s - 1.0,
                    models=(
                        ModelCounters(
                            model="llama",
                            success=count["requests"],
                            inferences=count["tokens"],
                            token_s=count["token_s"],
                            pending=self.waiting,
                            running=round(self.running + self.uneven * (-1) ** i),
                            queue_s=None if self.waits_s is None else count["waited_s"],
                            request_s=None
                            if self.waits_s is None
                            else count["waited_s"] + count["requests"] * self.reading_s,
                            cache_ratio=cache,
                        ),
                    ),
                )
                for i, count in enumerate(self.counts)
            ),
        )
