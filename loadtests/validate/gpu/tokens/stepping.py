"""What a step holds: the stand-in's scheduling, with each sequence's place in the cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from loadtests.engines.vllm import Engine, Speed
from loadtests.engines.vllm import Sequence as Running
from loadtests.validate.gpu.tokens.recording import Mix


class Row(NamedTuple):
    """What one sequence brings to a step."""

    slot: int
    """Its place in the cache."""
    held: int
    """Tokens of it that lie there already."""
    new: int
    """Tokens that the step takes in."""


class Stepping:
    """The scheduler with something under it that takes its steps."""

    def __init__(self, mix: Mix, take: Callable[[Sequence[Row]], object]) -> None:
        self._take, self._slots_there = take, mix.max_sequences
        speed = Speed(
            max_sequences=mix.max_sequences,
            cache_tokens=mix.max_sequences * mix.slot_tokens,
            step_tokens=mix.step_tokens,
        )
        self.engine = Engine(speed, model="decoder")
        self.made = 0
        """Tokens so far."""
        self._slots: dict[int, int] = {}

    def step(self) -> bool:
        """Whether there was anything to do."""
        engine = self.engine
        engine.begin(time.time())
        if not engine.running:
            return False
        running = {id(sequence) for sequence in engine.running}
        self._slots = {key: slot for key, slot in self._slots.items() if key in running}
        rows = [self._row(s) for s in engine.running if s.reads or s.read == s.prompt]
        self._take(rows)
        self.made += sum(s.read + s.reads == s.prompt for s in engine.running)
        engine.finish(time.time())
        return True

    def _row(self, sequence: Running) -> Row:
        if id(sequence) not in self._slots:
            taken = set(self._slots.values())
            self._slots[id(sequence)] = next(n for n in range(self._slots_there) if n not in taken)
        # The token that was made last is taken in to make the next.
        held = sequence.read + max(0, sequence.made - 1)
        return Row(self._slots[id(sequence)], held, sequence.reads or 1)
