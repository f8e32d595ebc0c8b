"""Which pools a workload's pods may run on, and in which order these are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autoscaler.core.nodes.observed import NodeNeeds, PoolInput
from autoscaler.core.nodes.placement import kept_by_taint, kept_from_labels
from autoscaler.core.nodes.settings import PoolSettings


def choice_of(
    needs: NodeNeeds | None, pools: Mapping[str, PoolSettings], inputs: Sequence[PoolInput] = ()
) -> tuple[str, ...]:
    """The pools that a workload's pods may run on, in the order of asking: policy's, then price, then name.

    A taint that all of a pool's nodes have keeps away pods that don't tolerate it; of a pool without a node none is
    known.
    """
    if needs is None:
        return ()
    taints = {item.pool: item.taints for item in inputs}
    able = [
        name
        for name, pool in pools.items()
        if pool.resource == needs.resource
        and needs.count <= pool.units_per_node
        and kept_from_labels(needs.placement, needs.selector, pool.labels, complete=False) is None
        and kept_by_taint(needs.placement, taints.get(name, ())) is None
    ]
    return tuple(sorted(able, key=lambda name: (*_rank(pools[name]), name)))


def _rank(pool: PoolSettings) -> tuple[int, float]:
    # Price is that of a unit: a node with twice the GPUs may cost twice as much.
    price = pool.price_per_hour
    return pool.order, float("inf") if price is None else price / pool.units_per_node
