"""Engines that make tokens with continuous batching, such as vLLM: how one serves, and what a scrape shows of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoscaler.simulation.serving_model import require

# vLLM's own bounds of its histograms, where they are documented.
TTFT_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0)  # fmt: skip
TOKEN_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
REQUEST_S = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0)  # fmt: skip
_PROMPT_STREAM, _ANSWER_STREAM = range(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Tokens of the requests: lognormal. Raises ValueError where the numbers can't be."""

    prompt_tokens: float
    """Mean."""
    answer_tokens: float
    prompt_cv: float = 1.0
    """Coefficient of variation."""
    answer_cv: float = 1.0

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "answer_tokens"):
            value = getattr(self, name)
            require(1.0 <= value < 1e6, name, value, "1 to 1,000,000")
        for name in ("prompt_cv", "answer_cv"):
            value = getattr(self, name)
            require(0.0 <= value <= 10.0, name, value, "0 to 10")

    def draw(self, count: int, seed: int, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(tokens of each prompt, of each answer), together at most `most`: what an engine's context can hold."""
        prompts = _lognormal(self.prompt_tokens, self.prompt_cv, count, (seed, _PROMPT_STREAM))
        answers = _lognormal(self.answer_tokens, self.answer_cv, count, (seed, _ANSWER_STREAM))
        prompts = np.minimum(prompts, most - 1)
        return prompts, np.minimum(answers, most - prompts)


def _lognormal(mean: float, cv: float, count: int, seed: tuple[int, int]) -> NDArray[np.int64]:
    variance = math.log(1.0 + cv * cv)
    normal = np.random.default_rng(seed).standard_normal(count)
    values = mean * np.exp(math.sqrt(variance) * normal - variance / 2.0)
    return np.maximum(1, np.round(values)).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuousModel:
    """How one engine serves: step by step, each running sequence a token. Raises ValueError where the numbers can't be.

    A step takes `base_step_s`, `sequence_s` for each sequence in it, `prompt_token_s` for each token of prompts that it
    takes in and `context_token_s` for each token of its sequences that lies in the cache, which attention reads anew.
    """

    base_step_s: float
    sequence_s: float
    prompt_token_s: float
    lengths: Lengths
    context_token_s: float = 0.0
    max_sequences: int = 256
    step_tokens: int = 2048
    """Most tokens of a step, sequences that decode and prompts together: longer prompts are taken in over several."""
    cache_tokens: int = 200_000
    block_tokens: int = 16
    """The key-value cache is given out in blocks of so many."""
    max_model_tokens: int | None = None
    """Prompt and answer together are no longer: vLLM's max_model_len. None: than the whole cache."""

    def __post_init__(self) -> None:
        for name in ("base_step_s", "sequence_s", "prompt_token_s", "context_token_s"):
            value = getattr(self, name)
            require(0.0 <= value < float("inf"), name, value, "0 or more")
        require(self.base_step_s > 0.0, "base_step_s", self.base_step_s, "more than 0")
        require(1 <= self.max_sequences <= 4096, "max_sequences", self.max_sequences, "1 to 4096")
        allowed = f"more than max_sequences ({self.max_sequences})"
        require(self.step_tokens > self.max_sequences, "step_tokens", self.step_tokens, allowed)
        require(self.block_tokens >= 1, "block_tokens", self.block_tokens, "at least 1")
        if self.max_model_tokens is not None:
            require(
                self.max_model_tokens >= 2, "max_model_tokens", self.max_model_tokens, "at least 2"
            )
        mean = self.lengths.prompt_tokens + self.lengths.answer_tokens
        allowed = f"at least a request of mean length ({mean:g})"
        require(self.cache_tokens >= mean, "cache_tokens", self.cache_tokens, allowed)

    @property
    def blocks(self) -> int:
        """Of the whole cache."""
        return self.cache_tokens // self.block_tokens

    @property
    def longest_tokens(self) -> int:
        """Of a prompt and its answer together."""
        cached = self.blocks * self.block_tokens
        return cached if self.max_model_tokens is None else min(cached, self.max_model_tokens)

    @property
    def sequences(self) -> float:
        """How many of mean length run at most."""
        return max(1.0, min(self.max_sequences, self.cache_tokens / self._held_tokens))

    @property
    def capacity_rps(self) -> float:
        """Requests of mean length that one engine answers with as many as fit running."""
        return self.sequences / self.service_s(self.sequences)

    def service_s(self, sequences: float) -> float:
        """Of a request of mean length while so many run: each of its steps also takes in its share of prompts.

        A request that runs for A steps shares them with `sequences` / A new prompts a step.
        """
        lengths = self.lengths
        each_s = self.sequence_s + self.context_token_s * self._held_tokens
        steps_s = lengths.answer_tokens * (self.base_step_s + each_s * sequences)
        return steps_s + sequences * lengths.prompt_tokens * self.prompt_token_s

    @property
    def _held_tokens(self) -> float:
        """In the cache, of a sequence of mean length: its prompt and, on average, half its answer."""
        return self.lengths.prompt_tokens + self.lengths.answer_tokens / 2.0


class TokenScrape(NamedTuple):
    """What vLLM's metrics of several engines show at one instant, a place for each."""

    success: NDArray[np.int64]  # request_success_total
    failure: NDArray[np.int64]
    tokens: NDArray[np.int64]  # generation_tokens_total
    waiting: NDArray[np.int64]  # num_requests_waiting
    running: NDArray[np.int64]  # num_requests_running
    cache_ratio: NDArray[np.float64]  # kv_cache_usage_perc
    queue_s: NDArray[np.float64]  # request_queue_time_seconds_sum
    ttft_s: NDArray[np.float64]  # time_to_first_token_seconds_sum
    token_s: NDArray[np.float64]  # inter_token_latency_seconds_sum
    preempted: NDArray[np.int64]  # num_preemptions_total
    ttft: NDArray[
        np.int64
    ]  # time_to_first_token_seconds_bucket, by `TTFT_S` and beyond, not cumulative
    tpot: NDArray[np.int64]  # request_time_per_output_token_seconds_bucket, by `TOKEN_S`
    request: NDArray[np.int64]  # e2e_request_latency_seconds_bucket, by `REQUEST_S`
