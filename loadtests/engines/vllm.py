"""A stand-in for vLLM: continuous batching step by step, and vLLM's own metrics of it. Time is an argument.

A step gives every running sequence whose prompt was read a token, and reads prompts with what is left of
`step_tokens`. It takes `base_s`, `each_s` for each sequence and `prefill_s` for each token of prompts in it. A sequence
joins while fewer than `max_sequences` run and the cache has room for it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# vLLM's own bounds where they are documented; the smallest of whole requests is 0.3 s.
TTFT_S = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    10.0,
    20.0,
)
TOKEN_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
REQUEST_S = (
    0.3,
    0.5,
    0.8,
    1.0,
    1.5,
    2.0,
    2.5,
    5.0,
    10.0,
    15.0,
    20.0,
    30.0,
    40.0,
    50.0,
    60.0,
    120.0,
)
REASONS = ("stop", "length", "abort", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast it is, and how much it holds."""

    base_s: float = 0.02
    each_s: float = 0.0005
    prefill_s: float = 0.00001
    max_sequences: int = 256
    cache_tokens: int = 200_000
    step_tokens: int = 8192
    """Most in a step, sequences that decode and prompts together."""


@dataclass(slots=True)
class Sequence:
    """One request."""

    prompt: int
    wanted: int
    arrived_s: float
    first_s: float | None = None
    last_s: float = 0.0
    read: int = 0
    """Tokens of the prompt that were read, and"""
    reads: int = 0
    """those that the step under way reads."""
    made: int = 0
    ended: bool = False

    @property
    def held(self) -> int:
        """Tokens of the cache."""
        return self.prompt + self.made


class Engine:
    """The batch and its metrics."""

    def __init__(self, speed: Speed, *, model: str = "stand-in") -> None:
        self.speed = speed
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.metrics = VllmMetrics(model)

    def submit(self, prompt: int, wanted: int, now_s: float) -> Sequence:
        """A request for `wanted` tokens arrives."""
        sequence = Sequence(prompt=prompt, wanted=max(1, wanted), arrived_s=now_s)
        self.waiting.append(sequence)
        self._show()
        return sequence

    def abort(self, sequence: Sequence) -> None:
        """The client has gone away."""
        if sequence.ended:
            return
        sequence.ended = True
        if sequence in self.running:
            self.running.remove(sequence)
        else:
            self.waiting.remove(sequence)
        self.metrics.ended("abort")
        self._show()

    def step(self, now_s: float) -> float | None:
        """Begins a step at `now_s`: seconds until it is done, for `finish`. None: nothing to do."""
        self.begin(now_s)
        if not self.running:
            return None
        speed = self.speed
        return (
            speed.base_s
            + speed.each_s * len(self.running)
            + speed.prefill_s * sum(sequence.reads for sequence in self.running)
        )

    def begin(self, now_s: float) -> None:
        """Says of each sequence what the step from `now_s` reads of its prompt, those that join included."""
        left = self.speed.step_tokens - sum(s.read == s.prompt for s in self.running)
        for sequence in self.running:
            sequence.reads = min(left, sequence.prompt - sequence.read)
            left -= sequence.reads
        self._admit(now_s, left)

    def finish(self, now_s: float) -> None:
        """The step is done: a token for each whose prompt was read."""
        for sequence in list(self.running):
            sequence.read += sequence.reads
            sequence.reads = 0
            if sequence.read < sequence.prompt:
                continue
            if sequence.first_s is None:
                sequence.first_s = now_s
                self.metrics.ttft.observe(now_s - sequence.arrived_s)
            else:
                self.metrics.between.observe(now_s - sequence.last_s)
            sequence.last_s = now_s
            sequence.made += 1
            self.metrics.tokens.inc()
            if sequence.made >= sequence.wanted:
                self._end(sequence, now_s)
        self._show()

    def _admit(self, now_s: float, left: int) -> None:
        used = sum(sequence.held for sequence in self.running)
        while self.waiting and len(self.running) < self.speed.max_sequences and left > 0:
            if self.running and used + self.waiting[0].prompt > self.speed.cache_tokens:
                break
            sequence = self.waiting.popleft()
            used += sequence.prompt
            self.running.append(sequence)
            sequence.reads = min(left, sequence.prompt)
            left -= sequence.reads
            self.metrics.queue.observe(now_s - sequence.arrived_s)
            self.metrics.prompt_tokens.inc(sequence.prompt)

    def _end(self, sequence: Sequence, now_s: float) -> None:
        sequence.ended = True
        self.running.remove(sequence)
        self.metrics.request.observe(now_s - sequence.arrived_s)
        if sequence.made > 1 and sequence.first_s is not None:
            self.metrics.per_token.observe((now_s - sequence.first_s) / (sequence.made - 1))
        self.metrics.ended("stop")

    def _show(self) -> None:
        held = sum(sequence.held for sequence in self.running)
        self.metrics.show(
            running=len(self.running),
            waiting=len(self.waiting),
            cache_ratio=min(1.0, held / self.speed.cache_tokens),
        )


@dataclass
class VllmMetrics:
    """By vLLM's names and labels."""

    model: str
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self._labels = {"model_name": self.model, "engine": "0"}
        self._running = self._gauge("vllm:num_requests_running", "Sequences in the batch")
        self._waiting = self._gauge("vllm:num_requests_waiting", "Requests that wait")
        self._cache = self._gauge("vllm:kv_cache_usage_perc", "Share of the cache in use")
        self.prompt_tokens = self._counter("vllm:prompt_tokens", "Prompt tokens")
        self.tokens = self._counter("vllm:generation_tokens", "Generated tokens")
        self.ttft = self._histogram("vllm:time_to_first_token_seconds", TTFT_S)
        self.between = self._histogram("vllm:inter_token_latency_seconds", TOKEN_S)
        self.per_token = self._histogram("vllm:request_time_per_output_token_seconds", TOKEN_S)
        self.request = self._histogram("vllm:e2e_request_latency_seconds", REQUEST_S)
        self.queue = self._histogram("vllm:request_queue_time_seconds", REQUEST_S)
        success = Counter(
            "vllm:request_success",
            "Requests that ended",
            [*self._labels, "finished_reason"],
            registry=self.registry,
        )
        self._ended = {
            reason: success.labels(**self._labels, finished_reason=reason) for reason in REASONS
        }

    def ended(self, reason: str) -> None:
        """One more request."""
        self._ended[reason].inc()

    def show(self, *, running: int, waiting: int, cache_ratio: float) -> None:
        """The state of the batch."""
        self._running.set(running)
        self._waiting.set(waiting)
        self._cache.set(cache_ratio)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, list(self._labels), registry=self.registry).labels(**self._labels)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, list(self._labels), registry=self.registry).labels(
            **self._labels
        )

    def _histogram(self, name: str, bounds: tuple[float, ...]) -> Histogram:
        return Histogram(
            name, name, list(self._labels), registry=self.registry, buckets=bounds
        ).labels(**self._labels)
