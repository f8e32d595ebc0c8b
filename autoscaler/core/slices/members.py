"""Who is in a variant group, and what each member carries and costs."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from autoscaler.core import size
from autoscaler.core.need import Need, objective_of
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import GroupDecision
from autoscaler.core.slices.prices import prices
from autoscaler.core.types import Decision, Mode, Pause, TickInput, WorkloadId, WorkloadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One Deployment of a group, as this tick sees it."""

    given: WorkloadInput
    decision: Decision
    need: Need
    mrps: int
    """What one replica carries; 0 where it meets the objective under no load at all, and others do."""
    price: int
    wanted: int
    """What sizing found, or what its own decision raises it to: a panic, a queue that grows."""
    sized_mrps: int
    """What sizing counted on for each of those."""
    parts: float
    """`wanted` before it was rounded up to whole replicas,"""
    parts_kept: float
    """and what of them is not given back, so that noise moves nothing."""
    floor: int
    """What a person or a schedule asks for at least,"""
    limit: int
    """and what it may have at most."""

    @property
    def name(self) -> str:
        return str(self.given.spec.id)

    @property
    def needed_mrps(self) -> int:
        """What it needs now."""
        return math.ceil(self.parts * self.sized_mrps)

    @property
    def kept_mrps(self) -> int:
        """What it keeps."""
        return math.ceil(self.parts_kept * self.sized_mrps)

    def mrps_of(self, replicas: int) -> float:
        """What one of so many carries: fewer than now make less use of each other (`size.limit_of_fewer`)."""
        carried = self.need.carried
        if carried is None or not 0 < replicas < (self.decision.facts.ready or 0):
            return self.mrps
        fewer = size.limit_of_fewer(carried, objective_of(self.given), replicas=replicas)
        return self.mrps * min(1.0, fewer / carried.utilization_limit_ratio)

    @property
    def cost(self) -> float:
        """Of what it carries."""
        return self.price / self.mrps if self.mrps else math.inf

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


def resting(
    groups: Iterable[GroupDecision], inputs: Iterable[WorkloadInput], config: EngineConfig
) -> frozenset[str]:
    """Members that do not take what their group grows by: it goes to the cheapest that is below its own limit."""
    limits = {str(g.spec.id): config.most_replicas(g.spec.max_replicas) for g in inputs}
    found: set[str] = set()
    for group in groups:
        open_ = [
            one
            for one in group.members
            if one.replica_mrps and one.replicas < limits.get(one.workload, 0)
        ]
        if open_:
            grows = min(open_, key=lambda one: (one.price / one.replica_mrps, one.workload))
            found |= {one.workload for one in group.members if one is not grows}
    return frozenset(found)


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
    *,
    waking: Collection[str] = (),
) -> list[Member] | None:
    """As this tick sees them; None: demand or capacity of one is not known.

    `waking` were asleep and, as far as was seen since, had no ready replica.
    """
    asked = [given.spec.node_needs for given, _ in pairs]
    costs = prices([item for item in asked if item is not None], config)
    members = []
    for (given, decision), price in zip(pairs, costs, strict=True):
        need, asleep = needs.get(given.spec.id), _shows_nothing(given, waking)
        rps = None
        if need is not None:
            rps = need.replica_rps or (need.carried.rps if need.carried is not None else None)
        mrps = int(rps * 1000) if rps else 0
        if asleep and need is not None:
            # No pod, so no demand of its own; what it could carry is remembered, or it is left asleep.
            if mrps < 1 and given.replicas.desired == 0:
                continue
            need = replace(need, wanted=0)
        if need is None or need.wanted is None or mrps < 1:
            return None
        floor = floors.get(given.spec.id, given.spec.min_replicas)
        raised = decision.target if decision.target > decision.current else 0
        parts = _parts(need, raised)
        members.append(
            Member(
                given=given,
                decision=decision,
                need=need,
                mrps=mrps,
                price=price,
                wanted=max(need.wanted, raised),
                sized_mrps=mrps,
                parts=parts,
                parts_kept=max(parts, need.parts_kept or 0.0),
                floor=floor,
                limit=_limit(given, decision, floor, config),
            )
        )
    return _attaining(members) if len(members) > 1 else None


def _shows_nothing(given: WorkloadInput, waking: Collection[str]) -> bool:
    """Asleep, or with its first pods on their way: no request can have come to it.

    While it waits for a node its group has to go on.
    """
    if given.replicas.desired == 0:
        return True
    return (
        str(given.spec.id) in waking
        and given.pods_known
        and not any(pod.ready_s is not None and pod.deleted_s is None for pod in given.pods)
    )


def _parts(need: Need, raised: int) -> float:
    """Rounded up member by member it would be up to a replica of each too much: six a second on three shapes are 30."""
    wanted = need.wanted or 0
    if raised > wanted or need.parts is None:
        return max(wanted, raised)
    return min(wanted, need.parts)


def _attaining(members: list[Member]) -> list[Member]:
    """Those on which even a request alone is too late carry nothing, as long as there are others."""
    late = [m for m in members if m.need.carried is not None and not m.need.carried.attainable]
    if len(late) == len(members):
        return members
    return [replace(m, mrps=0) if m in late else m for m in members]


def _limit(given: WorkloadInput, decision: Decision, floor: int, config: EngineConfig) -> int:
    """As many as it may have: its own ceiling, and no more than now while a person has stopped that."""
    spec = given.spec
    if spec.pause in (Pause.UP, Pause.ALL):
        return max(floor, decision.current)
    return max(floor, config.most_replicas(spec.max_replicas))
