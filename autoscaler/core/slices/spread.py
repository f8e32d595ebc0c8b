"""What spreads a workload's replicas over nodes and zones, and the loss that it is to survive, for the packing.

On slice pools only: where a node autoscaler may bring a node, it brings it where the spread asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.nodes.placement import HOST_LABEL, ZONE_LABEL, Placement
from autoscaler.core.packing.problem import Domain, Spread, Variant, Workload
from autoscaler.core.slices.cells import Ground
from autoscaler.core.survival import asked, unspread
from autoscaler.core.types import Survive, WorkloadSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Honour:
    """How much of it a question asks for. Less where more does not fit: demand goes before the loss of a node."""

    spread: bool = True
    """Else nothing of it at all."""
    surviving_ratio: float = 1.0
    """How many of the workloads that are to survive a loss have room kept for it."""


EVERYTHING = Honour()


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A workload that can survive a loss, or a variant group, which does so as one."""

    survive: Survive
    priority: int
    """The highest of its members."""
    members: frozenset[str]


def survivors(
    specs: Sequence[WorkloadSpec], honour: Honour, groups: Mapping[str, str] = MappingProxyType({})
) -> tuple[tuple[Survivor, ...], tuple[Survivor, ...]]:
    """(who has room kept for a loss, who is to have it too). The highest priority goes first.

    `groups` is by workload the group that it is packed with. Those of which nothing spreads a member are neither: they
    are told so.
    """
    surviving = asked(specs)
    together: dict[str, list[WorkloadSpec]] = {}
    for spec in specs:
        together.setdefault(groups.get(str(spec.id), str(spec.id)), []).append(spec)
    able = [
        Survivor(
            survive=surviving[members[0].id],
            priority=max(spec.priority for spec in members),
            members=frozenset(str(spec.id) for spec in members),
        )
        for members in together.values()
        if surviving[members[0].id] is not Survive.NONE
        and all(unspread(spec, surviving[spec.id]) is None for spec in members)
    ]
    able.sort(key=lambda one: (-one.priority, sorted(one.members)))
    kept = math.ceil(honour.surviving_ratio * len(able)) if honour.spread else 0
    return tuple(able[:kept]), tuple(able[kept:])


def names_of(survivors: Sequence[Survivor]) -> frozenset[str]:
    """Of all their members."""
    return frozenset(name for one in survivors for name in one.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spreading:
    """Puts it onto workloads that are asked for already."""

    ground: Ground
    specs: dict[str, WorkloadSpec]
    """By variant."""
    spread: bool = True
    surviving: Mapping[str, Survive] = field(default_factory=dict)
    """By variant that has room kept for it, the loss that it is to survive."""
    spares: Mapping[str, int] = field(default_factory=dict)
    """By workload, the replicas that are wanted only so that a loss leaves the others: here they follow from that."""

    def of(self, workload: Workload) -> Workload:
        """With what spreads its variants, and what it survives."""
        workload = self._without_spares(workload)
        if not self.spread:
            return workload
        survive = self._survive(workload)
        return replace(
            workload,
            variants=tuple(self._spread(one, workload, survive) for one in workload.variants),
            survive=survive,
        )

    def _spread(self, variant: Variant, workload: Workload, survive: Domain | None) -> Variant:
        needs = self._needs(variant)
        if needs is None or not self._fixed(variant):
            return variant
        replicas = -(-workload.demand_mrps // max(1, variant.capacity_mrps))
        over_zones = needs.placement.skew(ZONE_LABEL) if self._zoned(variant) else None
        if over_zones is not None and replicas <= over_zones and survive is not Domain.ZONE:
            # So few may all be in one zone.
            over_zones = None
        return replace(
            variant,
            spread=Spread(over=Domain.ZONE, max_skew=over_zones) if over_zones else None,
            per_gpu=_per_node(
                needs.placement,
                nodes=sum(self.ground.cells[name].gpus for name in variant.cells),
                replicas=replicas,
                survives=survive is Domain.NODE,
            ),
        )

    def _without_spares(self, workload: Workload) -> Workload:
        spare = self.spares.get(workload.name, 0)
        if not spare or not all(self._fixed(variant) for variant in workload.variants):
            return workload
        carried = spare * workload.variants[0].capacity_mrps
        return replace(workload, demand_mrps=max(0, workload.demand_mrps - carried))

    def _survive(self, workload: Workload) -> Domain | None:
        """Where nodes come of themselves, and where a zone is not known, nothing is counted."""
        usable = [variant for variant in workload.variants if variant.cells]
        kept = {self.surviving.get(variant.name) for variant in usable}
        if len(kept) != 1 or not all(self._fixed(variant) for variant in usable):
            return None
        survive = kept.pop()
        if survive is Survive.NODE:
            return Domain.NODE
        zoned = survive is Survive.ZONE and all(self._zoned(variant) for variant in usable)
        return Domain.ZONE if zoned else None

    def _needs(self, variant: Variant) -> NodeNeeds | None:
        spec = self.specs.get(variant.name)
        return spec.node_needs if spec is not None else None

    def _fixed(self, variant: Variant) -> bool:
        return bool(variant.cells) and not variant.cells & self.ground.grown

    def _zoned(self, variant: Variant) -> bool:
        return all(self.ground.cells[name].zone is not None for name in variant.cells)


def left_out(honour: Honour, kept: Sequence[Survivor], left: Sequence[Survivor]) -> str:
    """What a question left out to fit, in words; empty: nothing."""
    if not honour.spread:
        return "spread constraints are not counted: with them nothing fits"
    losses = sorted({one.survive.value for one in left})
    if not losses:
        return ""
    whose = f" of {', '.join(sorted(names_of(left)))}" if kept else ""
    return f"no room is kept for the loss of a {' or a '.join(losses)}{whose}: it does not fit"


def _per_node(placement: Placement, *, nodes: int, replicas: int, survives: bool) -> int | None:
    """The most replicas that a node gets; None: nothing limits them.

    With a skew of 1 and a node that has none - any that the selector lets in, of this pool or not, and with no free
    slice - no node gets a second. More than that on each can only run if there is no such node, which is not seen here.
    """
    if placement.alone:
        return 1
    skew = placement.skew(HOST_LABEL)
    if skew is None or (replicas > skew * nodes and not survives):
        return None
    return skew
