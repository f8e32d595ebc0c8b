"""What a pool has for the workloads that are managed: nothing is scarce before its nodes, or their limit, say so."""

from __future__ import annotations

from autoscaler.core.nodes.backend import coming, free_units
from autoscaler.core.nodes.observed import NodeStatus, PoolInput
from autoscaler.core.nodes.settings import PoolSettings
from autoscaler.core.nodes.state import StockState
from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import TickInput


def units(pool: PoolSettings, given: PoolInput, stock: StockState) -> int | None:
    """The most units that managed pods can hold there; None: not known, or the node autoscaler brings what is asked.

    A fixed pool has what its nodes have. One that grows has no end until it is sold out - then it has its nodes and
    those on their way, and one more while it is tried again - or until its limit.
    """
    if given.stale is not None or given.foreign_units is None:
        return None
    there = sum(_of_node(node, pool) for node in given.nodes)
    if not pool.fixed:
        ends = []
        if stock.until_s is not None:
            ends.append(there)
        elif stock.probing:
            ends.append(there + pool.units_per_node)
        most = limit(pool, given)
        if most is not None:
            ends.append(max(there, most * pool.units_per_node))
        if not ends:
            return None
        there = min(ends)
    return max(0, there - given.foreign_units)


def limit(pool: PoolSettings, given: PoolInput) -> int | None:
    """Nodes that it may have: the node autoscaler's limit, or the policy's where that is lower. None: no end known."""
    known = [one for one in (pool.max_nodes, given.most_nodes) if one is not None]
    return min(known, default=None)


def most_headroom(pool: PoolSettings, given: PoolInput) -> int | None:
    """The most units beyond what pods hold that its nodes, and those that may yet come, have; None: no end is known.

    Of two nodes of eight with eleven in use and a limit of three nodes these are 5 and 8.
    """
    most = limit(pool, given)
    if most is None or given.stale is not None:
        return None
    more = max(0, most - len(given.nodes)) + coming(given.nodes)
    return free_units(given.nodes) + more * pool.units_per_node


def _of_node(node: NodeStatus, pool: PoolSettings) -> int:
    """What pods hold there is there, whatever it shows: a device plugin that starts anew shows nothing for a while.

    A node that is not ready any more shows all of its units, and none of those that are free can be had.
    """
    if node.leaving or node.broken:
        return node.used_units
    shown = pool.units_per_node if node.units is None else node.units
    return max(shown, node.used_units)


def nodes_that_stay(tick_input: TickInput, config: EngineConfig) -> frozenset[str]:
    """Names of the nodes that no autoscaler takes when they are empty."""
    fixed = {name for name, pool in config.nodes.pools.items() if pool.fixed}
    found = {
        node.node or node.name
        for given in tick_input.pools
        if given.pool in fixed
        for node in given.nodes
    }
    sliced = tick_input.slices.nodes if tick_input.slices is not None else ()
    return frozenset(found | {node.name for node in sliced})
