"""What the nodes cost under the pods: GPU-hours of whole nodes, boot and idle time included.

Counted by one rule for both sides, so that they compare; it is no record of the nodes that there really were:

- nodes of 8 GPUs, or of as many as the largest replica needs; the pods of all workloads share them;
- a pod goes to the fullest node with room, else a node is asked for, and paid for from then on: its boot is a part of
  the pod's start-up;
- pods never move; of a workload that shrinks the youngest pod goes; a node goes 10 minutes after its last pod.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autoscaler.simulation.nodes import Node, NodePool, NodeSettings
from autoscaler.simulation.recommended.estimate import Estimate
from autoscaler.simulation.recommended.observed import Observed

GPUS_PER_NODE = 8
UNNEEDED_S = 600.0
RULE = f"nodes of {GPUS_PER_NODE} GPUs, each gone {UNNEEDED_S / 60:.0f} minutes after its last pod"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The pods of one workload: (time in seconds, how many from then on), ascending."""

    gpus_per_replica: float
    pods: tuple[tuple[float, int], ...]


def node_gpu_hours(workloads: Sequence[Held], *, until_s: float) -> float:
    """GPU-hours of the nodes under all of them together, to `until_s`; those still there are paid until then."""
    largest = max((item.gpus_per_replica for item in workloads), default=1.0)
    gpus = max(GPUS_PER_NODE, math.ceil(largest))
    pool = NodePool(NodeSettings(gpus=gpus, unneeded_s=UNNEEDED_S))
    places: list[list[Node]] = [[] for _ in workloads]
    changes = sorted(
        (at_s, number, count)
        for number, item in enumerate(workloads)
        for at_s, count in item.pods
        if at_s < until_s
    )
    for at_s, number, count in changes:
        own, size = places[number], workloads[number].gpus_per_replica
        while len(own) > count:
            pool.release(own.pop(), at_s, size)
        while len(own) < count:
            node = pool.place(at_s, size)
            assert node is not None  # there is no limit on nodes
            own.append(node)
    return pool.gpu_hours(until_s)


def both_sides(items: Iterable[tuple[Observed, Estimate | str]]) -> tuple[float, float] | None:
    """(what was there, forescale by the estimate), of the workloads that have one; None: none has.

    Both from the first moment for which the estimate tells something: before it there is nothing to compare.
    """
    told = [(seen, found) for seen, found in items if isinstance(found, Estimate)]
    if not told:
        return None
    until_s = max(seen.start_s + seen.duration_s for seen, _ in told)
    there = [_held(seen, seen.start_s, seen.pods, found) for seen, found in told]
    ours = [_held(seen, _from_s(seen, found), found.run.pods, found) for seen, found in told]
    return (node_gpu_hours(there, until_s=until_s), node_gpu_hours(ours, until_s=until_s))


def _from_s(seen: Observed, found: Estimate) -> float:
    return seen.start_s + found.offset_s


def _held(
    seen: Observed, origin_s: float, pods: tuple[tuple[float, int], ...], found: Estimate
) -> Held:
    """From the estimate's start until the workload's last tick; what was before stands at the start."""
    start_s, end_s = _from_s(seen, found), seen.start_s + seen.duration_s
    shifted = [(max(start_s, origin_s + at_s), count) for at_s, count in pods]
    # Of several changes before the start the last one holds; sorted by time alone, the order of equals stays.
    last = dict(shifted)
    return Held(
        gpus_per_replica=seen.spec.gpus_per_replica,
        pods=(*((at_s, count) for at_s, count in sorted(last.items()) if at_s < end_s), (end_s, 0)),
    )
