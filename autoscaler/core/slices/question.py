"""What a tick asks of the packing, and what its answer means for nodes. Solved outside the tick.

A node of a slice pool is one thing to be cut, for the MIG manager takes a config for a node: so what packing calls a
GPU is here a node with all its slices. A pool that an autoscaler grows has one geometry; a whole GPU is one of itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autoscaler.core.mig.choice import WHOLE_GPU
from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.nodes.observed import PoolInput
from autoscaler.core.nodes.plan import choice_of
from autoscaler.core.nodes.settings import PoolSettings
from autoscaler.core.packing.nodes import IdleGpu, recuts
from autoscaler.core.packing.plan import PackingPlan
from autoscaler.core.packing.problem import Cell, HeldGpu, PackingProblem, Variant, Workload
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.demanded import group_name, wanted
from autoscaler.core.slices.observed import GroupDecision, SliceNode, SlicePlan, profile_of
from autoscaler.core.slices.prices import shape_of, slice_pools
from autoscaler.core.types import Decision, Mode, TickRecord, WorkloadInput

PRICE_SCALE = 1000
"""Of a node's price, so that pools of different prices are whole numbers."""
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
    grouped: frozenset[str]
    """Variants that belong to a group."""


@dataclass(slots=True)
class _Draft:
    """A question as it comes together."""

    config: EngineConfig
    growth_ratio: float = 1.0
    kept: Mapping[str, int] = field(default_factory=dict)
    """By the packing's name, what was wanted of late and is more than what is wanted now."""
    cells: dict[str, Cell] = field(default_factory=dict)
    workloads: list[Workload] = field(default_factory=list)
    held: list[HeldGpu] = field(default_factory=list)
    variants: dict[str, Variant] = field(default_factory=dict)
    others: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(cell, shape) held by pods of nobody here."""


def question(
    record: TickRecord, config: EngineConfig, *, keeps: bool = True, growth_ratio: float = 1.0
) -> Question | None:
    """None: there is no slice pool, or it is not known what is on it.

    `keeps` asks for the highest demand of the last minutes, and not for what is wanted now only.
    `growth_ratio` is how much of what is asked for beyond what runs is to find room: where all of it does not fit, a
    part of it may.
    """
    given = record.input.slices
    if given is None or given.stale is not None or not config.slices.pools:
        return None
    if any(not item.pods_known for item in record.input.workloads):
        return None
    kept = {item.name: item.amount for item in record.result.slices.kept} if keeps else {}
    draft = _Draft(config=config, growth_ratio=growth_ratio, kept=kept)
    usable = [node for node in given.nodes if _usable(node, config)]
    gpu_price = _add_cells(draft, usable, record.input.pools)
    _add_workloads(draft, record)
    owners = {
        f"{item.spec.id.namespace}/{pod.name}": str(item.spec.id)
        for item in record.input.workloads
        for pod in item.pods
    }
    for node in usable:
        _add_node(draft, node, owners)
    _add_grown(draft, record.input.workloads, record.input.pools)
    for (cell, shape), count in sorted(draft.others.items()):
        _add_counted(draft, f"others on {cell} with {shape}", shape, count, frozenset({cell}))
    return Question(
        problem=PackingProblem(
            cells=tuple(draft.cells.values()),
            workloads=tuple(draft.workloads),
            held=tuple(draft.held),
        ),
        gpu_price=gpu_price,
        idle=tuple(node for node in usable if node.holders == ()),
        configs={
            name: {pool.slices_of(one): one for one in sorted(pool.configs, reverse=True)}
            for name, pool in config.slices.pools.items()
        },
        grouped=frozenset(
            member.workload for group in record.result.slices.groups for member in group.members
        ),
    )


def answer(asked: Question, plan: PackingPlan, *, now_s: float) -> SlicePlan:
    """Which nodes are to be cut otherwise, and how the groups' members share."""
    changes: list[tuple[str, str]] = []
    for pool, configs in asked.configs.items():
        opened: Counter[Geometry] = Counter()
        for cell, geometry, count in plan.opened:
            if cell == pool:
                opened[geometry] += count
        idle = [
            IdleGpu(name=node.name, node=node.name, geometry=_cut(node, configs))
            for node in asked.idle
            if node.pool == pool
        ]
        changes += [(cut.node, configs[cut.after]) for cut in recuts(idle, opened)]
    # A whole GPU is named by its node and its pod.
    drained = sorted({drain.gpu.partition("/")[0] for drain in plan.drained})
    message = f"{len(plan.kept)} nodes and GPUs stay in use"
    if changes:
        message += f", {len(changes)} are to be cut otherwise"
    if drained:
        message += f", to be emptied: {', '.join(drained[:3])}"
    return SlicePlan(
        made_at_s=now_s,
        replicas=tuple((name, plan.count(name)) for name in sorted(asked.grouped)),
        nodes=tuple(sorted(changes)),
        emptied=tuple(drained),
        message=message,
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
    )


def _cut(node: SliceNode, configs: Mapping[Geometry, str]) -> Geometry:
    """The slices that its config gives it; while it is being cut anew, those that it will have."""
    config = node.mark.after if node.mark is not None else node.config
    return next((g for g, name in configs.items() if name == config), node.slices)


# ---------------------------------------------------------------- cells


def _add_cells(draft: _Draft, nodes: Sequence[SliceNode], inputs: Sequence[PoolInput]) -> int:
    """Slice pools, and the node pools that are none of them; the price of a GPU."""
    config = draft.config
    own = {tuple(sorted(pool.labels.items())) for pool in config.slices.pools.values()}
    grown = {
        name: pool
        for name, pool in config.nodes.pools.items()
        if tuple(sorted(pool.labels.items())) not in own
    }
    priced = [p.price_per_hour for p in config.slices.pools.values()]
    priced += [p.price_per_hour for p in grown.values()]
    known = all(price is not None for price in priced)
    for name, sliced in config.slices.pools.items():
        there = sum(1 for node in nodes if node.pool == name)
        hourly = sliced.price_per_hour if known else sliced.gpus_per_node
        draft.cells[name] = Cell(
            name=name,
            gpus=there,
            geometries=tuple(sorted({sliced.slices_of(one) for one in sliced.configs})),
            price=max(1, round((hourly or 0) * PRICE_SCALE)),
        )
    for name, pool in grown.items():
        seen = next((item for item in inputs if item.pool == name), None)
        cell = _grown_cell(name, pool, seen, known=known)
        if cell is not None:
            draft.cells[name] = cell
    sizes = [pool.gpus_per_node for pool in config.slices.pools.values()]
    least = min(draft.cells[name].price for name in config.slices.pools)
    return max(1, least // max(sizes))


def _grown_cell(
    name: str, pool: PoolSettings, seen: PoolInput | None, *, known: bool
) -> Cell | None:
    """A pool of one geometry: whole GPUs one by one, slices by the node."""
    profile = profile_of(pool.resource)
    if seen is None or seen.stale is not None:
        return None
    there = sum(node.units or 0 for node in seen.nodes if not node.leaving) - (
        seen.foreign_units or 0
    )
    units = max(0, there) + pool.max_headroom
    hourly = pool.price_per_hour if known else None
    if profile is None:
        price = hourly / pool.units_per_node if hourly is not None else 1.0
        geometry, gpus = Geometry.of([WHOLE_GPU]), units
    else:
        price = hourly if hourly is not None else pool.units_per_node / 7.0
        geometry = Geometry(((profile, pool.units_per_node),))
        gpus = -(-units // pool.units_per_node)
    return Cell(
        name=name, gpus=gpus, geometries=(geometry,), price=max(1, round(price * PRICE_SCALE))
    )


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
    names = (*slice_pools(needs, draft.config), *choice_of(needs, draft.config.nodes.pools))
    return frozenset(name for name in names if name in draft.cells)


# ---------------------------------------------------------------- what is there already


def _add_node(draft: _Draft, node: SliceNode, owners: Mapping[str, str]) -> None:
    if not node.holders:
        return
    replicas: Counter[str] = Counter()
    for holder in node.holders:
        owner = owners.get(holder.pod)
        variant = draft.variants.get(owner) if owner is not None else None
        if owner is not None and variant is not None and variant.shape == holder.shape:
            replicas[owner] += 1
        else:
            draft.others[node.pool, holder.shape] += 1
            replicas[f"others on {node.pool} with {holder.shape}"] += 1
    geometry = draft.config.slices.pools[node.pool].slices_of(node.config)
    draft.held.append(
        HeldGpu(
            name=node.name,
            cell=node.pool,
            geometry=geometry,
            replicas=tuple(sorted(replicas.items())),
        )
    )


def _add_grown(draft: _Draft, inputs: Sequence[WorkloadInput], pools: Sequence[PoolInput]) -> None:
    """Pods on nodes of pools with one geometry; nodes are known by the names that the pods have."""
    where = {node.name: item.pool for item in pools for node in item.nodes}
    by_node: dict[tuple[str, str], Counter[str]] = {}
    for given in inputs:
        name = str(given.spec.id)
        for pod in given.pods:
            cell = where.get(pod.node or "")
            if pod.deleted_s is not None or cell not in draft.cells or name not in draft.variants:
                continue
            whole = draft.variants[name].shape == WHOLE_GPU
            key = (f"{pod.node}/{pod.name}" if whole else str(pod.node), cell)
            by_node.setdefault(key, Counter())[name] += 1
    for (name, cell), replicas in sorted(by_node.items()):
        draft.held.append(
            HeldGpu(
                name=name,
                cell=cell,
                geometry=draft.cells[cell].geometries[0],
                replicas=tuple(sorted(replicas.items())),
            )
        )
