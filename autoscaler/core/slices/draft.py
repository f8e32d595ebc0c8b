"""A question to the packing as it comes together: who needs how much, and who holds what already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.nodes.observed import PoolInput
from autoscaler.core.packing.problem import HeldGpu, Variant, Workload
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.cells import Ground, others_on
from autoscaler.core.slices.demanded import group_name, spare, wanted
from autoscaler.core.slices.observed import GroupDecision, SliceNode
from autoscaler.core.slices.prices import shape_of
from autoscaler.core.types import Decision, Mode, TickRecord, WorkloadInput

ONE = 1000
"""What a replica carries of a demand that is counted in replicas."""


@dataclass(slots=True, kw_only=True)
class Draft:
    """Filled in by `drafted`."""

    ground: Ground
    growth_ratio: float
    kept: Mapping[str, int]
    """By the packing's name, what was wanted of late and is more than what is wanted now."""
    held: list[HeldGpu] = field(default_factory=list)
    _workloads: list[Workload] = field(default_factory=list)
    _variants: dict[str, Variant] = field(default_factory=dict)
    _others: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(cell, shape) held by pods of nobody here, and by pods where no new one of theirs may go."""
    _misplaced: Counter[str] = field(default_factory=Counter)
    """By variant, its pods where no new one may go: they stay, and need no room elsewhere."""

    def to_be_placed(self) -> Iterator[Workload]:
        """The workloads and groups, less their pods that stay where no new one may go.

        A group may replace such pods with others; what is no group keeps them.
        """
        for one in self._workloads:
            carried = ONE * self._misplaced[one.name]
            yield replace(one, demand_mrps=max(0, one.demand_mrps - carried))

    def of_others(self) -> Iterator[Workload]:
        """Slices that nobody here can move, as workloads of their own."""
        for (cell, shape), count in sorted(self._others.items()):
            yield _counted(others_on(cell, shape), shape, count, frozenset({cell}))

    def add_single(self, given: WorkloadInput, decision: Decision) -> None:
        """A workload that is in no group."""
        cells = self._cells_of(given)
        if not cells or given.spec.node_needs is None:
            return
        name, runs = str(given.spec.id), _running(given)
        automatic = given.spec.mode is Mode.AUTO
        count = self._wished(name, runs, wanted(decision)) if automatic else runs
        workload = _counted(name, shape_of(given.spec.node_needs), count, cells)
        self._variants[name] = workload.variants[0]
        self._workloads.append(workload)

    def add_group(self, group: GroupDecision, given: Mapping[str, WorkloadInput]) -> None:
        """A group, whose members share its demand."""
        variants = []
        for member in group.members:
            cells = self._cells_of(given[member.workload])
            variant = Variant(
                name=member.workload,
                shape=member.shape,
                capacity_mrps=member.replica_mrps if cells else 0,
                cells=cells,
            )
            self._variants[variant.name] = variant
            variants.append(variant)
        carries = any(variant.capacity_mrps for variant in variants)
        now = sum(_running(given[m.workload]) * m.replica_mrps for m in group.members)
        name = group_name(group.group)
        demand = self._wished(name, now, group.needed_mrps or 0) if carries else 0
        self._workloads.append(Workload(name=name, demand_mrps=demand, variants=tuple(variants)))

    def add_node(self, node: SliceNode, owners: Mapping[str, str], config: EngineConfig) -> None:
        """What is held of a node of a slice pool; `owners` are the workloads by `namespace/pod`."""
        if not node.holders:
            return
        cell = self.ground.of_node[node.name]
        replicas: Counter[str] = Counter()
        for holder in node.sure_holders:
            owner = owners.get(holder.pod)
            replicas[self._holder(owner, holder.shape, cell, holder.count)] += holder.count
        geometry = config.slices.pools[node.pool].slices_of(node.config)
        if node.mark is None:
            self._add_missing(node, cell, geometry, replicas)
        self.held.append(
            HeldGpu(
                name=node.name,
                cell=cell,
                geometry=geometry,
                replicas=tuple(sorted(replicas.items())),
            )
        )

    def _add_missing(
        self, node: SliceNode, cell: str, geometry: Geometry, replicas: Counter[str]
    ) -> None:
        """Slices of a node in use that its device plugin does not offer, as those of one GPU of eight.

        Nobody can take them, as if others held them.
        """
        held = Counter[str]()
        for holder in node.sure_holders:
            held[holder.shape] += holder.count
        for shape, count in geometry.counts:
            free = max(0, node.slices.count(shape) - held[shape])
            missing = max(0, count - held[shape] - free)
            if missing:
                self._others[cell, shape] += missing
                replicas[others_on(cell, shape)] += missing

    def add_grown(self, inputs: Sequence[WorkloadInput], pools: Sequence[PoolInput]) -> None:
        """Pods on nodes of pools with one geometry. Those on a node that leaves are asked for elsewhere."""
        where = {
            node.node or node.name: item.pool
            for item in pools
            for node in item.nodes
            if not node.leaving
        }
        by_node: dict[tuple[str, str], Counter[str]] = {}
        for given in inputs:
            name, needs = str(given.spec.id), given.spec.node_needs
            if needs is None or needs.count != 1:
                continue
            shape = shape_of(needs)
            for pod in given.pods:
                cell = where.get(pod.node or "")
                if pod.deleted_s is not None or cell is None or cell not in self.ground.grown:
                    continue
                if not self.ground.cells[cell].geometries[0].count(shape):
                    continue
                key = (str(pod.node), cell)
                by_node.setdefault(key, Counter())[self._holder(name, shape, cell)] += 1
        for (name, cell), replicas in sorted(by_node.items()):
            self.held.append(
                HeldGpu(
                    name=name,
                    cell=cell,
                    geometry=self.ground.cells[cell].geometries[0],
                    replicas=tuple(sorted(replicas.items())),
                )
            )
        for cell, count in Counter(cell for _, cell in by_node).items():
            # What is in use is there, also while a device plugin that starts anew shows nothing.
            known = self.ground.cells[cell]
            self.ground.cells[cell] = replace(known, gpus=max(known.gpus, count))

    def _wished(self, name: str, now: int, wanted_now: int) -> int:
        """Never less than what is wanted now, but for the growth of which only a part fits."""
        wished = max(wanted_now, self.kept.get(name, 0))
        return wished if wished <= now else now + int(self.growth_ratio * (wished - now))

    def _cells_of(self, given: WorkloadInput) -> frozenset[str]:
        needs = given.spec.node_needs
        if needs is None or needs.count != 1:
            return frozenset()
        return self.ground.open.get(needs, frozenset())

    def _holder(self, owner: str | None, shape: str, cell: str, count: int = 1) -> str:
        """Who holds so many slices, by the name of the variant that is counted for them."""
        variant = self._variants.get(owner) if owner is not None else None
        if variant is not None and variant.shape == shape:
            if cell in variant.cells:
                return variant.name
            self._misplaced[variant.name] += count
        self._others[cell, shape] += count
        return others_on(cell, shape)


def drafted(
    record: TickRecord,
    usable: Sequence[SliceNode],
    ground: Ground,
    config: EngineConfig,
    *,
    kept: Mapping[str, int],
    growth_ratio: float,
) -> Draft:
    """What a tick's workloads and groups need on this ground, and what is held of it."""
    draft = Draft(ground=ground, growth_ratio=growth_ratio, kept=kept)
    groups = {group.group: group for group in record.result.slices.groups if group.members}
    grouped = {m.workload for g in groups.values() for m in g.members}
    inputs = record.input.workloads
    for given, decision in zip(inputs, record.result.decisions, strict=True):
        if str(given.spec.id) not in grouped:
            draft.add_single(given, decision)
    by_name = {str(given.spec.id): given for given in inputs}
    for group in groups.values():
        draft.add_group(group, by_name)
    owners = {
        f"{item.spec.id.namespace}/{pod.name}": str(item.spec.id)
        for item in inputs
        for pod in item.pods
    }
    for node in usable:
        draft.add_node(node, owners, config)
    draft.add_grown(inputs, record.input.pools)
    return draft


def spares(record: TickRecord) -> dict[str, int]:
    """By workload that is asked for with what is wanted; of others only what runs is."""
    pairs = zip(record.input.workloads, record.result.decisions, strict=True)
    return {
        str(given.spec.id): spare(decision)
        for given, decision in pairs
        if given.spec.mode is Mode.AUTO
    }


def _running(given: WorkloadInput) -> int:
    """Pods that hold something of a node."""
    return sum(1 for pod in given.pods if pod.deleted_s is None and not pod.unschedulable)


def _counted(name: str, shape: str, count: int, cells: frozenset[str]) -> Workload:
    """A demand of so many replicas."""
    variant = Variant(name=name, shape=shape, capacity_mrps=ONE, cells=cells)
    return Workload(name=name, demand_mrps=count * ONE, variants=(variant,))
