"""Decisions as a page shows them: what was seen and provided for, why, and every turn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from autoscaler.core.reasons import BLIND, Reason
from autoscaler.core.types import Decision
from autoscaler.report.content import Kind, Turn, Why

RISKS = frozenset({Reason.SLO_AT_RISK, Reason.SATURATED, Reason.PANIC})


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A place for each step in every tuple; None: nothing was decided, or nothing known, in it."""

    seen_rps: tuple[float | None, ...]
    """Demand as it was known at the time."""
    provided_rps: tuple[float | None, ...]
    """Demand that was provided for: its upper quantile over the lead time."""
    targets: tuple[int | None, ...]
    why: Why
    turns: tuple[Turn, ...]


def explained(
    decisions: Iterable[tuple[float, Decision]], *, step_s: float, count: int
) -> Explained:
    """Of (seconds since the start, decision), ascending; the last of a step stands for it, or the last that moved."""
    seen: list[float | None] = [None] * count
    provided: list[float | None] = [None] * count
    targets: list[int | None] = [None] * count
    kinds, texts = [Kind.HOLD] * count, [""] * count
    moved = [False] * count
    turns: list[Turn] = []
    target: int | None = None
    for at_s, decision in decisions:
        at = min(count - 1, max(0, int(at_s / step_s)))
        seen[at], provided[at] = decision.facts.offered_rps, decision.facts.upper_rps
        targets[at] = decision.target
        before = decision.current if target is None else target
        turned = decision.target != before
        text = f"{decision.reason.value}: {decision.message}"
        if turned:
            turns.append(Turn(at_s=at_s, before=before, after=decision.target, why=text))
            text = f"{before} → {decision.target} {text}"
        if turned or not moved[at]:
            kinds[at], texts[at] = kind_of(decision.reason, decision.target - before), text
            moved[at] = turned
        target = decision.target
    return Explained(
        seen_rps=tuple(seen),
        provided_rps=tuple(provided),
        targets=tuple(targets),
        why=Why(kinds=tuple(kinds), texts=tuple(texts)),
        turns=tuple(turns),
    )


def kind_of(reason: Reason, change: int) -> Kind:
    """Which of five colours."""
    if reason in BLIND:
        return Kind.BLIND
    if reason in RISKS:
        return Kind.RISK
    if change == 0:
        return Kind.HOLD
    return Kind.UP if change > 0 else Kind.DOWN
