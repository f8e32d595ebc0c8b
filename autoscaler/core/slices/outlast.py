"""A variant group that is to survive a loss: replicas beyond its mix, until what a loss leaves carries what is needed.

A node or a zone may hold the most of every member that its spread allows, so all of that is taken to go together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoscaler.core.survival import Loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One member, as a loss meets it."""

    name: str
    mrps: int
    """What one replica carries."""
    price: int
    limit: int
    loss: Loss

    def left(self, count: int) -> int:
        """What is carried by those that the worst leaves."""
        return self.mrps * (count - self.loss.most(count))


def outlasting(
    members: Sequence[Standing], counts: Mapping[str, int], needed_mrps: int
) -> dict[str, int]:
    """At least `counts`: the cheapest of those that leave more with one more, as far as their limits go.

    Without `members` nothing is to be outlasted.
    """
    after = dict(counts)
    while sum(m.left(after[m.name]) for m in members) < needed_mrps:
        able = [m for m in members if m.mrps and after[m.name] < m.limit]
        if not able:
            break
        best = min(able, key=lambda m: (not _gains(m, after[m.name]), m.price / m.mrps, m.name))
        # Up to its skew all may go together: one by one, a skew without bounds would take minutes.
        after[best.name] = max(after[best.name] + 1, min(best.limit, best.loss.skew))
    return after


def _gains(member: Standing, count: int) -> bool:
    """The first replicas may all go together."""
    return member.left(count + 1) > member.left(count)
