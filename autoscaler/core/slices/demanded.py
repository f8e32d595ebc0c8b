"""With what the packing is asked: the highest demand of the last minutes, so that a plan does not change its mind.

Demand that falls and comes back costs a node that is let go and brought back, or cut otherwise and back. So a plan
gives up room no sooner than such a node would be gone and there again. How many replicas run is not decided here: of a
plan with room for more than is needed now, only what is needed is taken (`groups`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from autoscaler.core import scarcity, survival
from autoscaler.core.nodes.lead import longest_s
from autoscaler.core.nodes.settings import NodeSettings
from autoscaler.core.nodes.state import PoolState
from autoscaler.core.slices.observed import GroupDecision, KeptDemand
from autoscaler.core.slices.prices import shape_of
from autoscaler.core.slices.state import DemandState, High
from autoscaler.core.types import Decision, Mode, Pause, WorkloadInput

BOOT_S = 300.0
"""From the request for a node until it is there, where no pool says how long it takes."""
EMPTY_S = 600.0
"""For so long the cluster-autoscaler, by default, watches an empty node before it takes it."""
LONGEST_S = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the packing is to be asked with beyond what is wanted now, and the memory that it comes from."""

    kept: tuple[KeptDemand, ...]
    states: tuple[DemandState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What is wanted now under one of the packing's names; None: not known."""

    name: str
    shape: str
    amount: int | None


def window_s(lead_s: float) -> float:
    """How long a node takes to be let go and brought back: 300 s of boot and 600 s of being empty are 900 s."""
    return min(LONGEST_S, lead_s + EMPTY_S)


def node_lead_s(pools: Sequence[PoolState], settings: NodeSettings) -> float:
    """The longest lead time of the pools that grow, measured or their seed."""
    seeds = {name: pool.lead_time_s for name, pool in settings.pools.items() if not pool.fixed}
    return longest_s(pools, seeds) if seeds else BOOT_S


def wanted(decision: Decision) -> int:
    """Replicas before scarcity cut them: nodes that are cut otherwise may hold what those of today can't."""
    cuts = (step.before for step in decision.steps if step.stage == scarcity.STAGE)
    return next(cuts, decision.target)


def spare(decision: Decision) -> int:
    """Those of the wanted replicas that are only there so that a loss leaves the others."""
    before = next((s.before for s in decision.steps if s.stage == survival.STAGE), 0)
    return max(0, min(survival.added(decision), wanted(decision) - before))


def group_name(group: str) -> str:
    """A group as the packing knows it: a workload may have the same name."""
    return f"group {group}"


def keep(past: Iterable[High], amount: int, *, now_s: float, window_s: float) -> tuple[High, ...]:
    """What is wanted now behind all that was higher within the window: the first is the highest.

    One that is no higher than a later one never is the highest again. One that lies ahead, since the clock was set
    back, counts as of now.
    """
    return (*_higher(past, amount, now_s, window_s), High(at_s=now_s, amount=amount))


def remember(
    inputs: Sequence[WorkloadInput],
    decisions: Sequence[Decision],
    groups: Sequence[GroupDecision],
    states: Sequence[DemandState],
    *,
    window_s: float,
    now_s: float,
) -> Asked:
    """Takes in one tick. What can't come back has no memory: it is gone, paused, switched off or another's to scale."""
    known = {(state.name, state.shape): state.highs for state in states}
    kept, after = [], []
    for item in _all_wanted(inputs, decisions, groups):
        past = known.get((item.name, item.shape), ())
        if item.amount is None:
            highs = _higher(past, 0, now_s, window_s)
        else:
            highs = keep(past, item.amount, now_s=now_s, window_s=window_s)
        after.append(DemandState(name=item.name, shape=item.shape, highs=highs))
        if item.amount is not None and highs[0].amount > item.amount:
            kept.append(KeptDemand(name=item.name, amount=highs[0].amount, at_s=highs[0].at_s))
    return Asked(kept=tuple(kept), states=tuple(after))


def _higher(past: Iterable[High], amount: int, now_s: float, window_s: float) -> tuple[High, ...]:
    seen = (replace(item, at_s=min(item.at_s, now_s)) for item in past)
    return tuple(item for item in seen if item.at_s > now_s - window_s and item.amount > amount)


def _all_wanted(
    inputs: Sequence[WorkloadInput],
    decisions: Sequence[Decision],
    groups: Sequence[GroupDecision],
) -> Iterable[_Wanted]:
    """Groups, and workloads that are in none: as `question` asks for them."""
    given = {str(item.spec.id): item for item in inputs}
    joined = {member.workload for group in groups for member in group.members}
    for group in groups:
        members = [given[member.workload] for member in group.members]
        if not members or any(_may_grow(member) for member in members):
            yield _Wanted(name=group_name(group.group), shape="", amount=group.needed_mrps)
    for item, decision in zip(inputs, decisions, strict=True):
        name, needs = str(item.spec.id), item.spec.node_needs
        if name not in joined and needs is not None and _may_grow(item):
            yield _Wanted(name=name, shape=shape_of(needs), amount=wanted(decision))


def _may_grow(given: WorkloadInput) -> bool:
    spec = given.spec
    return (
        spec.mode is Mode.AUTO
        and given.replicas.held_by is None
        and (given.replicas.desired > 0 or spec.may_sleep)
        and spec.pause not in (Pause.UP, Pause.ALL)
    )
