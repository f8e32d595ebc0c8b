"""In which order the packing is asked for less, until it fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autoscaler.core.packing.problem import PackingProblem
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.question import Question, question
from autoscaler.core.slices.spread import EVERYTHING, Honour
from autoscaler.core.types import TickRecord

GROWTH_RATIOS = (1.0, 0.5, 0.25, 0.0)
"""Of what is asked for beyond what runs."""
ONE_HALF, ONE_QUARTER = Honour(surviving_ratio=0.5), Honour(surviving_ratio=0.25)
SPREAD, NOTHING = Honour(surviving_ratio=0.0), Honour(spread=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How much of spread and survival is honoured, whether room is kept for what was wanted a short while ago, and how
    much growth is to find some."""

    honour: Honour
    keeps: bool
    growth_ratio: float = 1.0


ATTEMPTS = (
    Attempt(honour=EVERYTHING, keeps=True),
    Attempt(honour=EVERYTHING, keeps=False),
    Attempt(honour=ONE_HALF, keeps=False),
    Attempt(honour=ONE_QUARTER, keeps=False),
    Attempt(honour=SPREAD, keeps=True),
    *(Attempt(honour=SPREAD, keeps=False, growth_ratio=ratio) for ratio in GROWTH_RATIOS),
    Attempt(honour=NOTHING, keeps=True),
    *(Attempt(honour=NOTHING, keeps=False, growth_ratio=ratio) for ratio in GROWTH_RATIOS),
)
"""Tried in this order. What is wanted now goes before what was."""


def questions(record: TickRecord, config: EngineConfig) -> Iterator[tuple[Attempt, Question]]:
    """Those that differ, until one is answered; none where the tick poses none."""
    tried: list[PackingProblem] = []
    for attempt in ATTEMPTS:
        if attempt.keeps and not record.result.slices.kept:
            continue
        asked = question(
            record,
            config,
            keeps=attempt.keeps,
            growth_ratio=attempt.growth_ratio,
            honour=attempt.honour,
        )
        if asked is None:
            return
        if asked.problem not in tried:
            tried.append(asked.problem)
            yield attempt, asked
