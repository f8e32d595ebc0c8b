"""Whether replicas on another slice find room all at once: the old ones stay until the new ones are ready."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autoscaler.core.nodes.backend import free_units
from autoscaler.core.nodes.choice import choice_of
from autoscaler.core.nodes.observed import NodeNeeds, PoolInput
from autoscaler.core.nodes.settings import PoolSettings
from autoscaler.core.nodes.supply import limit
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.cells import beside_slice_pools, kept_away
from autoscaler.core.slices.observed import SliceNode, SlicePlan, SlicesInput
from autoscaler.core.slices.prices import shape_of, slice_pools
from autoscaler.core.types import Decision, TickInput, WorkloadId


def free(
    needs: NodeNeeds,
    own: WorkloadId,
    tick_input: TickInput,
    decisions: Sequence[Decision],
    plan: SlicePlan | None,
    *,
    config: EngineConfig,
) -> int | str:
    """Slices that are free for such pods and wanted by nobody else, with those that a node autoscaler may bring.

    In words, where the worst that the scheduler may do can't be told.
    """
    if tick_input.slices is None:
        return "slices are not observed"
    if needs.placement.spreads or needs.placement.alone:
        return (
            "its pods are spread over nodes or zones, and that they find room there is not proven"
        )
    here = _on_nodes(needs, tick_input.slices, plan, config)
    grown = _on_pools(needs, tick_input.pools, config)
    return max(0, here + grown - _promised(needs, own, tick_input, decisions))


def staying(
    needs: NodeNeeds,
    own: WorkloadId,
    tick_input: TickInput,
    decisions: Sequence[Decision],
    plan: SlicePlan | None,
    *,
    config: EngineConfig,
) -> int:
    """Slices that are free for such a pod now, wanted by nobody else, and on nodes that it neither brings nor keeps:
    those that no autoscaler grows, and those of a pool that grows which are in use and not to be emptied.
    """
    if tick_input.slices is None or needs.placement.spreads or needs.placement.alone:
        return 0
    here = _on_nodes(needs, tick_input.slices, plan, config)
    emptied = frozenset(plan.emptied) if plan is not None else frozenset()
    used = sum(
        free_units([one for one in seen.nodes if one.used_units and one.node not in emptied])
        for _, seen in _pools_for(needs, tick_input.pools, config)
    )
    return max(0, here + used - _promised(needs, own, tick_input, decisions))


def beside(
    needs: Iterable[NodeNeeds],
    given: SlicesInput | None,
    plan: SlicePlan | None,
    *,
    config: EngineConfig,
) -> dict[NodeNeeds, int]:
    """Slices that are free for such pods on nodes that no autoscaler grows: for those no node need be brought.

    Left out are pods that a spread may keep away from those that are free.
    """
    if given is None or given.stale is not None:
        return {}
    return {
        one: _on_nodes(one, given, plan, config)
        for one in dict.fromkeys(needs)
        if not one.placement.spreads and not one.placement.alone
    }


def _on_nodes(
    needs: NodeNeeds, given: SlicesInput, plan: SlicePlan | None, config: EngineConfig
) -> int:
    shape, pools = shape_of(needs), slice_pools(needs, config)
    # A node that is to be cut otherwise may have none of them in a minute.
    leaving = {name for name, _ in plan.nodes} if plan is not None else set()
    return sum(
        _free_on(node, shape)
        for node in given.nodes
        if node.pool in pools
        and node.name not in leaving
        and kept_away(needs, node, config) is None
    )


def _free_on(node: SliceNode, shape: str) -> int:
    if not node.ready or node.leaving or node.cordoned or node.mark or node.holders is None:
        return 0
    held = sum(item.count for item in node.holders if item.shape == shape)
    return max(0, node.slices.count(shape) - held)


def _on_pools(needs: NodeNeeds, inputs: Sequence[PoolInput], config: EngineConfig) -> int:
    return sum(_units(pool, seen) for pool, seen in _pools_for(needs, inputs, config))


def _pools_for(
    needs: NodeNeeds, inputs: Sequence[PoolInput], config: EngineConfig
) -> list[tuple[PoolSettings, PoolInput]]:
    """Node pools that are no slice pools and may have such pods, as far as they are seen."""
    pools = beside_slice_pools(config)
    seen = {item.pool: item for item in inputs if item.stale is None}
    return [(pools[name], seen[name]) for name in choice_of(needs, pools, inputs) if name in seen]


def _units(pool: PoolSettings, seen: PoolInput) -> int:
    there = [node for node in seen.nodes if not node.leaving]
    now = free_units(seen.nodes)
    if pool.fixed or seen.stock_out is not None:
        return now
    more = pool.max_headroom
    most = limit(pool, seen)
    if most is not None:
        more = min(more, max(0, most - len(there)) * pool.units_per_node)
    return now + more


def _promised(
    needs: NodeNeeds, own: WorkloadId, tick_input: TickInput, decisions: Sequence[Decision]
) -> int:
    """What others ask for and do not hold yet."""
    targets = {item.workload: item.target for item in decisions}
    promised = 0
    for given in tick_input.workloads:
        theirs = given.spec.node_needs
        if theirs is None or theirs.resource != needs.resource or given.spec.id == own:
            continue
        bound = sum(1 for pod in given.pods if pod.deleted_s is None and pod.node is not None)
        wanted = max(targets.get(given.spec.id, 0), given.replicas.desired)
        promised += max(0, wanted - bound) * theirs.count
    return promised
