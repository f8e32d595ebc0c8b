"""What a tick asks of the packing, and what its answer means for nodes. Solved outside the tick.

A node of a slice pool is one thing to be cut, for the MIG manager takes a config for a node: so what packing calls a
GPU is here a node with all its slices. A pool that an autoscaler grows has one geometry, whole GPUs or slices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.nodes.observed import PoolInput
from autoscaler.core.packing.nodes import IdleGpu, recuts
from autoscaler.core.packing.plan import PackingPlan
from autoscaler.core.packing.problem import HeldGpu, PackingProblem, Variant, Workload
from autoscaler.core.packing.turns import first_turn
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.cells import Ground, lay_out, others_on
from autoscaler.core.slices.demanded import group_name, spare, wanted
from autoscaler.core.slices.observed import GroupDecision, Holder, MigState, SliceNode, SlicePlan
from autoscaler.core.slices.prices import shape_of
from autoscaler.core.slices.settings import SlicePoolSettings
from autoscaler.core.slices.spread import (
    EVERYTHING,
    Honour,
    Spreading,
    left_out,
    names_of,
    survivors,
)
from autoscaler.core.types import Decision, Mode, TickRecord, WorkloadInput

ONE = 1000
"""What a replica carries of a demand that is counted in replicas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The problem, and what is needed to read its answer."""

    problem: PackingProblem
    gpu_price: int
    """Of one GPU, in the problem's prices: what a move is weighed against."""
    idle: tuple[SliceNode, ...]
    configs: Mapping[str, Mapping[Geometry, str]]
    """By pool, the config that gives a node these slices."""
    pools: Mapping[str, str]
    """By cell, its pool."""
    of_node: Mapping[str, str]
    """By node of a slice pool, its cell."""
    grouped: frozenset[str]
    """Variants that belong to a group."""
    left_out: str = ""
    """What was left out so that the rest fits, in words."""
    unkept: frozenset[str] = frozenset()
    """Workloads for whose loss of a node or a zone no room is kept, though it is to be."""


@dataclass(slots=True)
class _Draft:
    """A question as it comes together."""

    config: EngineConfig
    ground: Ground
    growth_ratio: float = 1.0
    kept: Mapping[str, int] = field(default_factory=dict)
    """By the packing's name, what was wanted of late and is more than what is wanted now."""
    workloads: list[Workload] = field(default_factory=list)
    held: list[HeldGpu] = field(default_factory=list)
    variants: dict[str, Variant] = field(default_factory=dict)
    others: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(cell, shape) held by pods of nobody here, and by pods where no new one of theirs may go."""
    misplaced: Counter[str] = field(default_factory=Counter)
    """By variant, its pods where no new one may go: they stay, and need no room elsewhere."""


def question(
    record: TickRecord,
    config: EngineConfig,
    *,
    keeps: bool = True,
    growth_ratio: float = 1.0,
    honour: Honour = EVERYTHING,
) -> Question | None:
    """None: there is nothing to choose - no node may be cut, and no group shares its demand -, no pool is seen, or it
    is not known what is on one.

    `keeps` asks for the highest demand of the last minutes, and not for what is wanted now only.
    `growth_ratio` is how much of what is asked for beyond what runs is to find room: where all of it does not fit, a
    part of it may. `honour` is how much of spread and of what is to survive is asked for.
    """
    given = record.input.slices
    if given is None or given.stale is not None:
        return None
    if not config.slices.pools and not any(one.members for one in record.result.slices.groups):
        # Nodes of one geometry, and nobody who may choose between two.
        return None
    if any(not item.pods_known for item in record.input.workloads):
        return None
    kept = {item.name: item.amount for item in record.result.slices.kept} if keeps else {}
    stuck = {one.node for one in record.result.slices.pools if one.reason is Reason.MIG_STUCK}
    usable = [node for node in given.nodes if node.name not in stuck and _usable(node, config)]
    needs = [item.spec.node_needs for item in record.input.workloads]
    ground = lay_out(
        usable,
        [one for one in needs if one is not None],
        record.input.pools,
        config,
        sold_out={one.pool for one in record.result.pools if not one.available},
        as_it_is={name for one in record.result.slices.pools for name in one.left_alone},
    )
    if not ground.cells:
        return None
    draft = _Draft(config=config, ground=ground, growth_ratio=growth_ratio, kept=kept)
    _add_workloads(draft, record)
    owners = {
        f"{item.spec.id.namespace}/{pod.name}": str(item.spec.id)
        for item in record.input.workloads
        for pod in item.pods
    }
    for node in usable:
        _add_node(draft, node, owners)
    _add_grown(draft, record.input.workloads, record.input.pools)
    specs = [item.spec for item in record.input.workloads]
    groups = {m.workload: one.group for one in record.result.slices.groups for m in one.members}
    kept_for, unkept = survivors(specs, honour, groups)
    spreading = Spreading(
        ground=ground,
        specs={str(spec.id): spec for spec in specs},
        spread=honour.spread,
        surviving={name: one.survive for one in kept_for for name in one.members},
        spares=_spares(record),
    )
    draft.workloads = [spreading.of(_less_misplaced(draft, one)) for one in draft.workloads]
    for (cell, shape), count in sorted(draft.others.items()):
        _add_counted(draft, others_on(cell, shape), shape, count, frozenset({cell}))
    return Question(
        problem=PackingProblem(
            cells=tuple(ground.cells.values()),
            workloads=tuple(draft.workloads),
            held=tuple(draft.held),
        ),
        gpu_price=ground.gpu_price,
        idle=tuple(node for node in usable if node.holders == ()),
        configs={
            name: {pool.slices_of(one): one for one in sorted(pool.configs, reverse=True)}
            for name, pool in config.slices.pools.items()
        },
        pools=ground.pools,
        of_node=ground.of_node,
        grouped=frozenset(groups),
        left_out=left_out(honour, kept_for, unkept),
        unkept=names_of(unkept),
    )


def answer(asked: Question, plan: PackingPlan, *, now_s: float) -> SlicePlan:
    """Which nodes are to be cut otherwise, and how the groups' members share."""
    changes: list[tuple[str, str]] = []
    for cell in sorted({asked.of_node[node.name] for node in asked.idle}):
        configs = asked.configs[asked.pools[cell]]
        opened: Counter[Geometry] = Counter()
        for opened_in, geometry, count in plan.opened:
            if opened_in == cell:
                opened[geometry] += count
        idle = [
            IdleGpu(name=node.name, node=node.name, geometry=_cut(node, configs))
            for node in asked.idle
            if asked.of_node[node.name] == cell
        ]
        changes += [(cut.node, configs[cut.after]) for cut in recuts(idle, opened)]
    drained = sorted({drain.gpu for drain in plan.drained})
    message = f"{len(plan.kept)} nodes and GPUs stay in use"
    if changes:
        message += f", {len(changes)} are to be cut otherwise"
    if drained:
        message += f", to be emptied: {', '.join(drained[:3])}"
    if asked.left_out:
        message += f"; {asked.left_out}"
    turn, grouped = first_turn(asked.problem, plan), sorted(asked.grouped)
    return SlicePlan(
        made_at_s=now_s,
        replicas=tuple((name, plan.count(name)) for name in grouped),
        first=tuple((name, turn.first.get(name, 0)) for name in grouped),
        spare=tuple((name, turn.spare.get(name, 0)) for name in grouped),
        nodes=tuple(sorted(changes)),
        emptied=tuple(drained),
        message=message,
        left_out=asked.left_out,
        unkept=tuple(sorted(asked.unkept)),
    )


def _usable(node: SliceNode, config: EngineConfig) -> bool:
    pool = config.slices.pools.get(node.pool)
    return (
        pool is not None
        and node.ready
        and not node.leaving
        and node.config in pool.configs
        and node.holders is not None
        # One that is being cut anew counts as what it will be; one that a person cordoned is theirs.
        and (not node.cordoned or node.mark is not None)
        # Where it failed there may be no slice at all; pods that run on one keep it.
        and (node.state is not MigState.FAILED or bool(node.holders))
        and _is_as_told(node, pool)
    )


def _is_as_told(node: SliceNode, pool: SlicePoolSettings) -> bool:
    """Whether its config has the slices that its pods hold: after a label by hand, or with a whole GPU in use, it is
    cut in a way that nobody told. One such node would make the question of all of them contradict itself."""
    held: Counter[str] = Counter()
    for holder in _sure(node):
        held[holder.shape] += holder.count
    if node.holders and not held:
        return False
    slices = pool.slices_of(node.config)
    return all(count <= slices.count(shape) for shape, count in held.items())


def _sure(node: SliceNode) -> list[Holder]:
    return [holder for holder in node.holders or () if holder.sure]


def _cut(node: SliceNode, configs: Mapping[Geometry, str]) -> Geometry:
    """The slices that its config gives it; while it is being cut anew, those that it will have."""
    config = node.mark.after if node.mark is not None else node.config
    return next((g for g, name in configs.items() if name == config), node.slices)


# ---------------------------------------------------------------- workloads


def _add_workloads(draft: _Draft, record: TickRecord) -> None:
    groups = {group.group: group for group in record.result.slices.groups if group.members}
    grouped = {m.workload: g for g in groups.values() for m in g.members}
    pairs = list(zip(record.input.workloads, record.result.decisions, strict=True))
    for given, decision in pairs:
        if str(given.spec.id) not in grouped:
            _add_single(draft, given, decision)
    by_name = {str(given.spec.id): given for given, _ in pairs}
    for group in groups.values():
        _add_group(draft, group, by_name)


def _add_single(draft: _Draft, given: WorkloadInput, decision: Decision) -> None:
    cells = _cells_of(draft, given)
    if not cells or given.spec.node_needs is None:
        return
    name, runs = str(given.spec.id), _running(given)
    count = _wished(draft, name, runs, wanted(decision)) if given.spec.mode is Mode.AUTO else runs
    _add_counted(draft, name, shape_of(given.spec.node_needs), count, cells)


def _spares(record: TickRecord) -> dict[str, int]:
    """By workload that is asked for with what is wanted; of others only what runs is."""
    pairs = zip(record.input.workloads, record.result.decisions, strict=True)
    return {
        str(given.spec.id): spare(decision)
        for given, decision in pairs
        if given.spec.mode is Mode.AUTO
    }


def _wished(draft: _Draft, name: str, now: int, wanted_now: int) -> int:
    """Never less than what is wanted now, but for the growth of which only a part fits."""
    wished = max(wanted_now, draft.kept.get(name, 0))
    return wished if wished <= now else now + int(draft.growth_ratio * (wished - now))


def _running(given: WorkloadInput) -> int:
    """Pods that hold something of a node."""
    return sum(1 for pod in given.pods if pod.deleted_s is None and not pod.unschedulable)


def _add_counted(draft: _Draft, name: str, shape: str, count: int, cells: frozenset[str]) -> None:
    variant = Variant(name=name, shape=shape, capacity_mrps=ONE, cells=cells)
    draft.variants[name] = variant
    draft.workloads.append(Workload(name=name, demand_mrps=count * ONE, variants=(variant,)))


def _add_group(draft: _Draft, group: GroupDecision, given: Mapping[str, WorkloadInput]) -> None:
    variants = []
    for member in group.members:
        cells = _cells_of(draft, given[member.workload])
        variant = Variant(
            name=member.workload,
            shape=member.shape,
            capacity_mrps=member.replica_mrps if cells else 0,
            cells=cells,
        )
        draft.variants[variant.name] = variant
        variants.append(variant)
    carries = any(variant.capacity_mrps for variant in variants)
    now = sum(_running(given[m.workload]) * m.replica_mrps for m in group.members)
    name = group_name(group.group)
    demand = _wished(draft, name, now, group.needed_mrps or 0) if carries else 0
    draft.workloads.append(Workload(name=name, demand_mrps=demand, variants=tuple(variants)))


def _cells_of(draft: _Draft, given: WorkloadInput) -> frozenset[str]:
    needs = given.spec.node_needs
    if needs is None or needs.count != 1:
        return frozenset()
    return draft.ground.open.get(needs, frozenset())


# ---------------------------------------------------------------- what is there already


def _add_node(draft: _Draft, node: SliceNode, owners: Mapping[str, str]) -> None:
    if not node.holders:
        return
    cell = draft.ground.of_node[node.name]
    replicas: Counter[str] = Counter()
    for holder in _sure(node):
        owner = owners.get(holder.pod)
        replicas[_holder(draft, owner, holder.shape, cell, holder.count)] += holder.count
    geometry = draft.config.slices.pools[node.pool].slices_of(node.config)
    draft.held.append(
        HeldGpu(
            name=node.name,
            cell=cell,
            geometry=geometry,
            replicas=tuple(sorted(replicas.items())),
        )
    )


def _holder(draft: _Draft, owner: str | None, shape: str, cell: str, count: int = 1) -> str:
    """Who holds so many slices, by the name of the variant that is counted for them."""
    variant = draft.variants.get(owner) if owner is not None else None
    if variant is not None and variant.shape == shape:
        if cell in variant.cells:
            return variant.name
        draft.misplaced[variant.name] += count
    draft.others[cell, shape] += count
    return others_on(cell, shape)


def _less_misplaced(draft: _Draft, workload: Workload) -> Workload:
    """A group may replace such pods with others; what is no group keeps them."""
    carried = ONE * draft.misplaced[workload.name]
    return replace(workload, demand_mrps=max(0, workload.demand_mrps - carried))


def _add_grown(draft: _Draft, inputs: Sequence[WorkloadInput], pools: Sequence[PoolInput]) -> None:
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
            if pod.deleted_s is not None or cell is None or cell not in draft.ground.grown:
                continue
            if not draft.ground.cells[cell].geometries[0].count(shape):
                continue
            key = (str(pod.node), cell)
            by_node.setdefault(key, Counter())[_holder(draft, name, shape, cell)] += 1
    for (name, cell), replicas in sorted(by_node.items()):
        draft.held.append(
            HeldGpu(
                name=name,
                cell=cell,
                geometry=draft.ground.cells[cell].geometries[0],
                replicas=tuple(sorted(replicas.items())),
            )
        )
    for cell, count in Counter(cell for _, cell in by_node).items():
        # What is in use is there, also while a device plugin that starts anew shows nothing.
        known = draft.ground.cells[cell]
        draft.ground.cells[cell] = replace(known, gpus=max(known.gpus, count))
