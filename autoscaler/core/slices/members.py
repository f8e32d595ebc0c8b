"""Who is in a variant group, and what each member carries and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autoscaler.core.need import Need
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.prices import prices
from autoscaler.core.types import Decision, Mode, Pause, TickInput, WorkloadId, WorkloadInput


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


def grouped(tick_input: TickInput) -> frozenset[WorkloadId]:
    """Workloads that are decided for as members of a group."""
    if tick_input.slices is None:
        return frozenset()
    groups = formed(tick_input.workloads).values()
    return frozenset(given.spec.id for members in groups for given in members)


def formed(inputs: Sequence[WorkloadInput]) -> dict[str, list[WorkloadInput]]:
    """By group, its Deployments that forescale may scale, where there are two and more."""
    found: dict[str, list[WorkloadInput]] = {}
    for given in inputs:
        spec = given.spec
        takes_part = (
            spec.variant_group is not None
            and spec.node_needs is not None
            and spec.mode is Mode.AUTO
            and given.replicas.held_by is None
            and (given.replicas.desired > 0 or spec.may_sleep)
        )
        if takes_part:
            found.setdefault(f"{spec.id.namespace}/{spec.variant_group}", []).append(given)
    return {group: members for group, members in found.items() if len(members) > 1}


def members_of(
    pairs: Sequence[tuple[WorkloadInput, Decision]],
    needs: Mapping[WorkloadId, Need],
    floors: Mapping[WorkloadId, int],
    config: EngineConfig,
) -> list[Member] | None:
    """As this tick sees them; None: demand or capacity of one is not known."""
    asked = [given.spec.node_needs for given, _ in pairs]
    costs = prices([item for item in asked if item is not None], config)
    members = []
    for (given, decision), price in zip(pairs, costs, strict=True):
        need, asleep = needs.get(given.spec.id), given.replicas.desired == 0
        rps = None
        if need is not None:
            rps = need.replica_rps or (need.carried.rps if need.carried is not None else None)
        mrps = int(rps * 1000) if rps else 0
        if asleep and need is not None:
            # No pod, so no demand of its own; what it could carry is remembered, or it is left asleep.
            if mrps < 1:
                continue
            need = replace(need, wanted=0)
        if need is None or need.wanted is None or mrps < 1:
            return None
        floor = floors.get(given.spec.id, given.spec.min_replicas)
        members.append(
            Member(
                given=given,
                decision=decision,
                need=need,
                mrps=mrps,
                price=price,
                wanted=max(
                    need.wanted, decision.target if decision.target > decision.current else 0
                ),
                floor=floor,
                limit=_limit(given, decision, floor, config),
            )
        )
    return members if len(members) > 1 else None


def _limit(given: WorkloadInput, decision: Decision, floor: int, config: EngineConfig) -> int:
    """As many as it may have: its own ceiling, and no more than now while a person has stopped that."""
    spec = given.spec
    if spec.pause in (Pause.UP, Pause.ALL):
        return max(floor, decision.current)
    return max(floor, config.most_replicas(spec.max_replicas))
