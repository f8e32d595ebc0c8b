"""What a replica costs: the price of its pool where all that are compared name one, else its share of a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from autoscaler.core.mig.catalogue import find_gpu
from autoscaler.core.mig.choice import WHOLE_GPU, share_price
from autoscaler.core.nodes.choice import choice_of
from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.nodes.placement import kept_from_labels
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import shape_of_resource
from autoscaler.core.slices.settings import SlicePoolSettings
from autoscaler.errors import GpuError

SCALE = 1000
"""Prices are whole numbers: thousandths of what is counted."""
SEVENTHS = 7


def shape_of(needs: NodeNeeds) -> str:
    """A MIG profile's name, or `gpu`."""
    return shape_of_resource(needs.resource)


def prices(needs: Sequence[NodeNeeds], config: EngineConfig) -> tuple[int, ...]:
    """Of one replica of each, comparable with each other and with nothing else."""
    money = [_money(item, config) for item in needs]
    if all(price is not None for price in money):
        return tuple(max(1, round((price or 0.0) * SCALE)) for price in money)
    return tuple(max(1, round(_share(item, config) * SCALE)) for item in needs)


def slice_pools(needs: NodeNeeds, config: EngineConfig) -> tuple[str, ...]:
    """Slice pools on which such a pod may find its slice, under at least one config."""
    shape = shape_of(needs)
    return tuple(
        name
        for name, pool in sorted(config.slices.pools.items())
        if needs.count == 1
        and kept_from_labels(needs.placement, needs.selector, pool.labels, complete=False) is None
        and any(pool.slices_of(one).count(shape) for one in pool.configs)
    )


def _money(needs: NodeNeeds, config: EngineConfig) -> float | None:
    """For an hour, on the cheapest of its pools."""
    found = []
    for name in slice_pools(needs, config):
        sliced = config.slices.pools[name]
        if sliced.price_per_hour is not None:
            share = _share_on(sliced, shape_of(needs))
            found.append(sliced.price_per_hour / sliced.gpus_per_node * float(share))
    for name in choice_of(needs, config.nodes.pools):
        pool = config.nodes.pools[name]
        if pool.price_per_hour is not None:
            found.append(pool.price_per_hour / pool.units_per_node * needs.count)
    return min(found, default=None)


def _share(needs: NodeNeeds, config: EngineConfig) -> Fraction:
    """Of a GPU: compute or memory, whichever is more, where the GPU is known; else its sevenths of compute."""
    shape = shape_of(needs)
    if shape == WHOLE_GPU:
        return Fraction(needs.count)
    for name in slice_pools(needs, config):
        return _share_on(config.slices.pools[name], shape) * needs.count
    compute = shape.partition("g")[0]
    return Fraction(int(compute) if compute.isdigit() else SEVENTHS, SEVENTHS) * needs.count


def _share_on(pool: SlicePoolSettings, shape: str) -> Fraction:
    try:
        gpu = find_gpu(pool.gpu)
        return Fraction(share_price(gpu, shape), gpu.compute_slices * gpu.memory_slices)
    except GpuError:
        return Fraction(1)
