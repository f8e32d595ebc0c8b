"""The cells of a tick's question: nodes that the scheduler can't tell apart for any workload that there is.

Nodes of one slice pool are one cell as long as the same workloads may go to all of them; a taint, or a label that
somebody's affinity asks for, splits it, and so does a zone where somebody is spread over zones. A pool that an
autoscaler grows is one cell, for what its next node is like is not known before it is there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoscaler.core.mig.catalogue import gpus_of
from autoscaler.core.mig.choice import WHOLE_GPU
from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.nodes.choice import choice_of
from autoscaler.core.nodes.observed import NodeNeeds, PoolInput
from autoscaler.core.nodes.placement import NODE_NAME, ZONE_LABEL, kept_by_taint, kept_from_labels
from autoscaler.core.nodes.settings import PoolSettings
from autoscaler.core.nodes.supply import limit
from autoscaler.core.packing.problem import Cell, PackingProblem
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import SHARED, SliceNode, profile_of
from autoscaler.core.slices.prices import slice_pools

PRICE_SCALE = 1000
"""Of a node's price, so that pools of different prices are whole numbers."""
SUNK_RATIO = 0.01
"""Of a node's price that counts where it is there anyway, beside nodes that go when they are empty: enough to leave one
of them empty where that costs nothing."""
OTHERS = "others on"
"""How the names of slices begin that nobody here can move."""


def others_on(cell: str, shape: str) -> str:
    """The name under which such slices are counted."""
    return f"{OTHERS} {cell} with {shape}"


@dataclass(slots=True, kw_only=True)
class Ground:
    """Everything that replicas may be put on."""

    gpu_price: int = 1
    """Of one GPU of the cheapest slice pool, in the cells' prices."""
    cells: dict[str, Cell] = field(default_factory=dict)
    pools: dict[str, str] = field(default_factory=dict)
    """By cell, the pool that it is of."""
    of_node: dict[str, str] = field(default_factory=dict)
    """By node of a slice pool, its cell."""
    grown: frozenset[str] = frozenset()
    """Cells that a node autoscaler adds to."""
    open: dict[NodeNeeds, frozenset[str]] = field(default_factory=dict)
    """By what pods ask for, the cells on which they may run."""


def kept_away(needs: NodeNeeds, node: SliceNode, config: EngineConfig) -> str | None:
    """Why the scheduler would not put such a pod on the node, whatever is free there; None: nothing that is known."""
    known = {**config.slices.pools[node.pool].labels, **dict(node.labels or ())}
    known[NODE_NAME] = node.name
    if node.zone is not None:
        known[ZONE_LABEL] = node.zone
    elif node.labels is not None and needs.placement.skew(ZONE_LABEL) is not None:
        return "it is in no zone, and a spread over zones is asked for"
    return kept_from_labels(
        needs.placement, needs.selector, known, complete=node.labels is not None
    ) or kept_by_taint(needs.placement, node.taints)


def stranded(needs: NodeNeeds, nodes: Sequence[SliceNode], config: EngineConfig) -> str | None:
    """Why no node of its slice pools is for such a pod; None: one is, or none is there, or another pool is left."""
    pools = slice_pools(needs, config)
    there = [node for node in nodes if node.pool in pools]
    if not there or choice_of(needs, config.nodes.pools):
        return None
    reasons = [(node.name, kept_away(needs, node, config)) for node in there]
    if any(reason is None for _, reason in reasons):
        return None
    name, reason = min(reasons)
    more = f", and {len(reasons) - 1} more nodes" if len(reasons) > 1 else ""
    return f"no node of {', '.join(pools)} is for its pods: {name}{more}: {reason}"


def crowding(problem: PackingProblem) -> str | None:
    """Who may take the slices of those who can't go elsewhere, in words: it is what most often does not fit."""
    variants = [
        variant
        for _, variant in problem.variants()
        if variant.capacity_mrps > 0 and not variant.name.startswith(OTHERS)
    ]
    for bound in variants:
        for other in variants:
            if bound.shape == other.shape and bound.cells and bound.cells < other.cells:
                return (
                    f"replicas of {other.name} may take {bound.shape} that {bound.name} needs on "
                    f"{', '.join(sorted(bound.cells))}, and are counted there too: a node selector or affinity to "
                    "other nodes keeps them away"
                )
    return None


def lay_out(
    nodes: Sequence[SliceNode],
    needs: Sequence[NodeNeeds],
    inputs: Sequence[PoolInput],
    config: EngineConfig,
    *,
    sold_out: Collection[str] = (),
    as_it_is: Collection[str] = (),
) -> Ground:
    """Slice pools with the nodes that can be used, and the node pools that are none of them.

    Of those `sold_out` no node is to be had, and nodes `as_it_is` are not cut otherwise.
    """
    ground, asked = Ground(), list(dict.fromkeys(needs))
    grown = beside_slice_pools(config)
    priced = [p.price_per_hour for p in config.slices.pools.values()]
    priced += [p.price_per_hour for p in grown.values()]
    known = all(price is not None for price in priced)
    allowed: dict[NodeNeeds, set[str]] = {one: set() for one in asked}
    for name in config.slices.pools:
        there = [node for node in nodes if node.pool == name]
        _add_pool(ground, name, there, asked, allowed, config, priced=known, as_it_is=as_it_is)
    fixed = tuple(ground.cells)
    for name, pool in grown.items():
        seen = next((item for item in inputs if item.pool == name), None)
        cell = _grown_cell(name, pool, seen, sold_out, known=known)
        if cell is None or seen is None:
            continue
        ground.cells[name], ground.pools[name] = cell, name
        for one in asked:
            if name in choice_of(one, {name: pool}, [seen]):
                allowed[one].add(name)
    ground.grown = frozenset(grown) & ground.cells.keys()
    ground.gpu_price = _gpu_price(ground, config)
    if ground.grown:
        # They are there whether they are used or not, and the others go when they are empty.
        for name in fixed:
            cell = ground.cells[name]
            ground.cells[name] = replace(cell, price=max(1, round(cell.price * SUNK_RATIO)))
    ground.open = {one: frozenset(names) for one, names in allowed.items()}
    return ground


def beside_slice_pools(config: EngineConfig) -> dict[str, PoolSettings]:
    """Node pools that are no slice pools by another name: a fixed pool may be named in both."""
    own = {tuple(sorted(pool.labels.items())) for pool in config.slices.pools.values()}
    return {
        name: pool
        for name, pool in config.nodes.pools.items()
        if tuple(sorted(pool.labels.items())) not in own
    }


def _gpu_price(ground: Ground, config: EngineConfig) -> int:
    """Of the cheapest GPU of a slice pool; where there is none, of a pool that grows."""
    sizes = [pool.gpus_per_node for pool in config.slices.pools.values()]
    if sizes:
        cells = [cell for name, cell in ground.cells.items() if name not in ground.grown]
        return max(1, min(cell.price for cell in cells) // max(sizes))
    each = [
        cell.price // _gpus_of_node(config.nodes.pools[name]) for name, cell in ground.cells.items()
    ]
    return max(1, min(each, default=1))


def _gpus_of_node(pool: PoolSettings) -> int:
    profile = profile_of(pool.resource)
    return pool.units_per_node if profile is None else gpus_of(profile, pool.units_per_node)


def _add_pool(
    ground: Ground,
    pool: str,
    nodes: Sequence[SliceNode],
    asked: Sequence[NodeNeeds],
    allowed: Mapping[NodeNeeds, set[str]],
    config: EngineConfig,
    *,
    priced: bool,
    as_it_is: Collection[str],
) -> None:
    """One cell for each zone and set of workloads that may use the same nodes, and for each config that is to stay; a
    pool without a node is one of none."""
    sliced = config.slices.pools[pool]
    fits = [pool in slice_pools(one, config) for one in asked]
    zoned = any(one.placement.skew(ZONE_LABEL) is not None for one in asked)
    alike: dict[tuple[str | None, tuple[bool, ...], str | None], list[str]] = {}
    for node in sorted(nodes, key=lambda node: node.name):
        may = tuple(
            fit and kept_away(one, node, config) is None
            for fit, one in zip(fits, asked, strict=True)
        )
        stays = node.config if node.name in as_it_is else None
        alike.setdefault((node.zone if zoned else None, may, stays), []).append(node.name)
    hourly = sliced.price_per_hour if priced else sliced.gpus_per_node
    for (zone, may, stays), names in (alike or {(None, tuple(fits), None): []}).items():
        # Where there are several, each is called after its first node.
        cell = pool if len(alike) < 2 else f"{pool}/{names[0]}"
        configs = list(sliced.configs) if stays is None else [stays]
        ground.cells[cell] = Cell(
            name=cell,
            gpus=len(names),
            geometries=tuple(sorted({sliced.slices_of(one) for one in configs})),
            price=max(1, round((hourly or 0) * PRICE_SCALE)),
            zone=zone,
        )
        ground.pools[cell] = pool
        ground.of_node |= dict.fromkeys(names, cell)
        for one, fit in zip(asked, may, strict=True):
            if fit:
                allowed[one].add(cell)


def _grown_cell(
    name: str,
    pool: PoolSettings,
    seen: PoolInput | None,
    sold_out: Collection[str],
    *,
    known: bool,
) -> Cell | None:
    """A pool of one geometry, by the node; None: it is not seen, or what it has are parts of GPUs that pods share."""
    profile = profile_of(pool.resource)
    if seen is None or seen.stale is not None or pool.resource.endswith(SHARED):
        return None
    there = sum(node.units or 0 for node in seen.nodes if not node.leaving and not node.broken)
    there -= seen.foreign_units or 0
    units = max(0, there)
    if seen.pool not in sold_out:
        units += pool.max_headroom
    most = limit(pool, seen)
    if most is not None:
        units = min(units, max(there, most * pool.units_per_node))
    hourly = pool.price_per_hour if known else None
    # By the node, of whole GPUs too: the first of them brings all.
    price = hourly if hourly is not None else _gpus_of_node(pool)
    geometry = Geometry(((profile or WHOLE_GPU, pool.units_per_node),))
    gpus = -(-units // pool.units_per_node)
    return Cell(
        name=name, gpus=gpus, geometries=(geometry,), price=max(1, round(price * PRICE_SCALE))
    )
