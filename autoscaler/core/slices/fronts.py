"""Groups whose members can't share a demand by what each carries: one unweighted Service gives each pod the same share,
and on a GPU that others share nothing is its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autoscaler.core.need import Need
from autoscaler.core.slices.observed import SHARED, Front
from autoscaler.core.slices.prices import shape_of
from autoscaler.core.types import Decision, WorkloadId, WorkloadInput


def on_shared(group: str, pairs: Sequence[tuple[WorkloadInput, Decision]]) -> str | None:
    """Why its members can't be compared where one has a part of a GPU; None: none has."""
    for given, _ in pairs:
        needs = given.spec.node_needs
        if needs is not None and needs.resource.endswith(SHARED):
            return (
                f"variant group {group}: {given.spec.id} asks for {needs.resource}, a part of a GPU that several pods "
                "share: what it carries depends on the others; members have whole GPUs or MIG slices"
            )
    return None


def unequal_shares(
    group: str,
    pairs: Sequence[tuple[WorkloadInput, Decision]],
    needs: Mapping[WorkloadId, Need],
    fronts: tuple[Front, ...] | None,
) -> str | None:
    """Why the members of a group can't share its demand; None: they can."""
    shapes = {
        str(given.spec.id): _served_on(given, needs.get(given.spec.id))
        for given, _ in pairs
        if given.spec.node_needs
    }
    if len(set(shapes.values())) < 2:
        return None
    if fronts is None:
        return (
            f"variant group {group}: Services can't be read, and one that gives unequal pods equal shares must be "
            "ruled out; install the component slices"
        )
    for front in fronts:
        behind = {name: shapes[name] for name in front.workloads if name in shapes}
        if len(set(behind.values())) > 1:
            told = ", ".join(f"{name} on {shape}" for name, shape in sorted(behind.items()))
            return (
                f"variant group {group}: {told} behind one Service, {front.service}: it gives each pod the same share; "
                "a Service for each and a router that weights them are needed"
            )
    return None


def _served_on(given: WorkloadInput, need: Need | None) -> str:
    """The shape, and how many instances of the model share it where that is known: three carry more than one."""
    shape = shape_of(given.spec.node_needs) if given.spec.node_needs is not None else ""
    carried = need.carried if need is not None else None
    instances = carried.dominant.instances if carried is not None else 1
    return shape if instances == 1 else f"{shape} with {instances} instances"
