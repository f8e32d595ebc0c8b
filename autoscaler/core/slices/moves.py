"""How a variant group goes from what runs to its mix: new pods first, old ones after, none for a slice in use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from autoscaler.core.slices.members import Member
from autoscaler.core.slices.observed import SlicePlan


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
        if member.need.suffering and member.mrps:
            targets[member.name] = max(targets[member.name], member.decision.target)
    if not all(member.settled for member in members):
        return targets
    for member in sorted(members, key=lambda m: (-m.cost, m.name)):
        if counts[member.name] >= member.decision.current:
            continue
        if member.need.suffering and member.mrps:
            continue
        others = sum(m.carried(targets[m.name]) for m in members if m is not member)
        lacking = max(0, needed_mrps - others)
        if not member.mrps and lacking:
            continue
        keep = math.ceil(lacking / member.mrps) if lacking else 0
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
    for member in sorted(members, key=lambda m: (m.cost, m.name)):
        if lacking <= 0 or not member.mrps:
            break
        more = min(counts[member.name] - targets[member.name], math.ceil(lacking / member.mrps))
        if more > 0:
            targets[member.name] += more
            lacking -= more * member.mrps
    return targets
