"""What spreads a workload's replicas over nodes and zones, and the loss that it is to survive, for the packing.

On slice pools only: where a node autoscaler may bring a node, it brings it where the spread asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.nodes.placement import HOST_LABEL, ZONE_LABEL, Placement
from autoscaler.core.packing.problem import Domain, Spread, Variant, Workload
from autoscaler.core.slices.cells import Ground
from autoscaler.core.types import Survive, WorkloadSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Honour:
    """How much of it a question asks for. Less where more does not fit: demand goes before the loss of a node."""

    spread: bool = True
    """Else nothing of it at all."""
    surviving_ratio: float = 1.0
    """How many of the workloads that are to survive a loss have room kept for it."""


EVERYTHING = Honour()


def survivors(
    specs: Sequence[WorkloadSpec], honour: Honour
) -> tuple[frozenset[str], frozenset[str]]:
    """(workloads that have room kept for a loss, those that are to have it too). The highest priority goes first.

    Those that nothing spreads are neither: they are told so.
    """
    able = [s for s in specs if s.survive is not Survive.NONE and unspread(s) is None]
    able.sort(key=lambda spec: (-spec.priority, str(spec.id)))
    kept = math.ceil(honour.surviving_ratio * len(able)) if honour.spread else 0
    names = [str(spec.id) for spec in able]
    return frozenset(names[:kept]), frozenset(names[kept:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Spreading:
    """Puts it onto workloads that are asked for already."""

    ground: Ground
    specs: dict[str, WorkloadSpec]
    """By variant."""
    spread: bool = True
    survivors: frozenset[str] = frozenset()
    """Variants that have room kept for a loss."""

    def of(self, workload: Workload) -> Workload:
        """With what spreads its variants, and what it survives. A group survives nothing by itself."""
        if not self.spread:
            return workload
        alone = len(workload.variants) == 1
        survive = self._survive(workload.variants[0]) if alone else None
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

    def _survive(self, variant: Variant) -> Domain | None:
        """As far as anything spreads it: without, Kubernetes may put all of it into one."""
        needs, spec = self._needs(variant), self.specs.get(variant.name)
        if needs is None or spec is None or not self._fixed(variant):
            return None
        if variant.name not in self.survivors:
            return None
        if spec.survive is Survive.NODE:
            return Domain.NODE
        return Domain.ZONE if spec.survive is Survive.ZONE and self._zoned(variant) else None

    def _needs(self, variant: Variant) -> NodeNeeds | None:
        spec = self.specs.get(variant.name)
        return spec.node_needs if spec is not None else None

    def _fixed(self, variant: Variant) -> bool:
        return bool(variant.cells) and not variant.cells & self.ground.grown

    def _zoned(self, variant: Variant) -> bool:
        return all(self.ground.cells[name].zone is not None for name in variant.cells)


def unspread(spec: WorkloadSpec) -> str | None:
    """Why what it is to survive can't be had; None: it can, or nothing is to be."""
    placement = spec.node_needs.placement if spec.node_needs is not None else Placement()
    if spec.survive is Survive.NODE:
        if placement.alone or placement.skew(HOST_LABEL) is not None:
            return None
        key, other = HOST_LABEL, " or required anti-affinity to its own pods there"
    elif spec.survive is Survive.ZONE and placement.skew(ZONE_LABEL) is None:
        key, other = ZONE_LABEL, ""
    else:
        return None
    return (
        f"survive: {spec.survive.value}, and nothing spreads its pods: a topology spread constraint over {key} with "
        f"DoNotSchedule{other} is needed, else Kubernetes may put all of them into one"
    )


def left_out(specs: Sequence[WorkloadSpec], honour: Honour) -> str:
    """What a question left out to fit, in words; empty: nothing."""
    if not honour.spread:
        return "spread constraints are not counted: with them nothing fits"
    kept, left = survivors(specs, honour)
    losses = sorted({spec.survive.value for spec in specs if str(spec.id) in left})
    if not losses:
        return ""
    whose = f" of {', '.join(sorted(left))}" if kept else ""
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
