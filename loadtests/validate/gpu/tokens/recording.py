"""What was measured of an engine that makes tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from autoscaler.simulation.continuous_model import Lengths
from loadtests.validate.gpu import lines

# Coefficient of variation of prompts and answers.
CV = 1.0


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A decoder."""

    layers: int
    width: int
    heads: int
    key_heads: int
    """Of keys and values, which heads share."""
    head_width: int
    inner_width: int
    vocabulary: int


# Llama 3's of eight billion weights; and one for a processor.
SHAPES = {
    "cuda": Shape(
        layers=32, width=4096, heads=32, key_heads=8, head_width=128, inner_width=14336, vocabulary=128256
    ),
    "cpu": Shape(
        layers=2, width=64, heads=4, key_heads=2, head_width=16, inner_width=128, vocabulary=1000
    ),
}  # fmt: skip


class Measured(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """What was measured on."""

    date: str
    gpu: str
    torch: str
    shape: Shape


class StepTime(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """One kind of step, many times in a row."""

    decoding: int
    """Sequences that get a token, each with"""
    context_tokens: int
    """so many in the cache before."""
    prompt_tokens: int
    """Of one further sequence, which are read."""
    seconds: tuple[float, ...]


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one kind, for an engine that runs so many at once."""

    name: str
    prompt_tokens: float
    """Mean."""
    answer_tokens: float
    max_sequences: int
    slot_tokens: int
    """Prompt and answer together are no longer."""
    step_tokens: int
    seed: int = 1

    @property
    def lengths(self) -> Lengths:
        """Of prompts and answers."""
        return Lengths(
            prompt_tokens=self.prompt_tokens,
            answer_tokens=self.answer_tokens,
            prompt_cv=CV,
            answer_cv=CV,
        )


class Full(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """An engine with more requests than fit."""

    mix: Mix
    tokens_rps: float
    """Of answers, while the batch was full."""
    requests_rps: float


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """The engine's /metrics at a moment (Unix seconds)."""

    at_s: float
    metrics: str


class LevelRecord(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Poisson arrivals at a share of the capacity. Times are from the first arrival on, in seconds."""

    mix: Mix
    load_ratio: float
    rate_rps: float
    arrived_s: tuple[float, ...]
    first_s: tuple[float, ...]
    done_s: tuple[float, ...]
    looks: tuple[Look, ...]


Part = Measured | StepTime | Full | LevelRecord


def read(path: Path) -> Iterator[Part]:
    """As `lines.read`."""
    return lines.read(path, Part, "validate-gpu-tokens")
