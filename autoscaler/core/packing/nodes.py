"""Which idle GPU of which node is cut how.

The MIG manager takes a geometry for each GPU of a node and works on a node at a time, with the node cordoned. So as
few GPUs and as few nodes as possible are changed; GPUs in use are not even looked at. An idle GPU that the plan has
no use for stays as it is: one that is enabled and cut into nothing makes the operator's validator fail.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autoscaler.core.mig.geometry import Geometry


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleGpu:
    """A GPU with no slice in use, and how it is cut now."""

    name: str
    node: str
    geometry: Geometry


@dataclass(frozen=True, slots=True, kw_only=True)
class Recut:
    """An idle GPU that is to have another geometry."""

    gpu: str
    node: str
    before: Geometry
    after: Geometry


def recuts(idle: Iterable[IdleGpu], opened: Mapping[Geometry, int]) -> tuple[Recut, ...]:
    """The changes that give a cell's idle GPUs the geometries a plan opens; GPUs cut right already come first.

    `opened` must not be more than the GPUs that are idle; `check_plan` sees to it.
    """
    wanted = Counter({geometry: count for geometry, count in opened.items() if count > 0})
    others = []
    for gpu in sorted(idle, key=lambda g: g.name):
        if wanted[gpu.geometry] > 0:
            wanted[gpu.geometry] -= 1
        else:
            others.append(gpu)
    # Nodes with the most GPUs to give are cut first: the same work touches fewer of them.
    per_node = Counter(gpu.node for gpu in others)
    others.sort(key=lambda g: (-per_node[g.node], g.node, g.name))
    missing = [geometry for geometry in sorted(wanted) for _ in range(wanted[geometry])]
    return tuple(
        Recut(gpu=gpu.name, node=gpu.node, before=gpu.geometry, after=after)
        for gpu, after in zip(others, missing, strict=False)
    )
