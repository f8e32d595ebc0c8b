"""How a variant group goes from what runs to its mix: new pods first, old ones after, none for a slice in use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoscaler.core.need import Need
from autoscaler.core.slices.observed import SlicePlan
from autoscaler.core.types import Decision, Pause, WorkloadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One Deployment of a group, as this tick sees it."""

    given: WorkloadInput
    decision: Decision
    need: Need
    mrps: int
    """What one replica carries."""
    price: int
    wanted: int
    """What sizing found, or what its own decision raises it to: a panic, a queue that grows."""
    floor: int
    """What a person or a schedule asks for at least,"""
    limit: int
    """and what it may have at most."""

    @property
    def name(self) -> str:
        return str(self.given.spec.id)

    @property
    def settled(self) -> bool:
        """Whether anything may be lowered beside it."""
        given = self.given
        return (
            given.pods_known
            and given.samples_error is None
            and not given.replicas.rollout
            and given.spec.pause not in (Pause.DOWN, Pause.ALL)
        )

    def carried(self, most: int) -> int:
        """By its ready replicas, at most so many of them; 0 while what one carries was not measured here."""
        if self.decision.facts.capacity_unproven is not None:
            return 0
        return min(self.decision.facts.ready or 0, most) * self.mrps


def targets_of(
    members: Sequence[Member],
    counts: Mapping[str, int],
    needed_mrps: int,
    plan: SlicePlan | None,
) -> dict[str, int]:
    """More first; fewer only as far as the ready replicas of the others carry what is needed, the dearest first."""
    first = dict(plan.first or ()) if plan is not None and plan.infeasible is None else {}
    targets = _grown(members, counts, needed_mrps, first)
    for member in members:
        if member.need.suffering:
            targets[member.name] = max(targets[member.name], member.decision.target)
    if not all(member.settled for member in members):
        return targets
    for member in sorted(members, key=lambda m: (-m.price / m.mrps, m.name)):
        if counts[member.name] >= member.decision.current or member.need.suffering:
            continue
        others = sum(m.carried(targets[m.name]) for m in members if m is not member)
        keep = math.ceil(max(0, needed_mrps - others) / member.mrps)
        targets[member.name] = min(member.decision.current, max(counts[member.name], keep))
    return targets


def _grown(
    members: Sequence[Member],
    counts: Mapping[str, int],
    needed_mrps: int,
    first: Mapping[str, int],
) -> dict[str, int]:
    """At once what finds a slice, and whatever of the rest is needed, the cheapest first.

    The others take slices that replicas leave. Pods that wait for those would have a node brought in their stead.
    """
    targets = {
        m.name: max(m.decision.current, min(counts[m.name], first.get(m.name, counts[m.name])))
        for m in members
    }
    lacking = needed_mrps - sum(m.mrps * targets[m.name] for m in members)
    for member in sorted(members, key=lambda m: (m.price / m.mrps, m.name)):
        if lacking <= 0:
            break
        more = min(counts[member.name] - targets[member.name], math.ceil(lacking / member.mrps))
        if more > 0:
            targets[member.name] += more
            lacking -= more * member.mrps
    return targets
