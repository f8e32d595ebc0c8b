"""Which replicas of a plan may start before others have gone.

A plan says what is to run in the end, and may give one replica the slice that another leaves. Started at once such a
replica finds none: a node autoscaler takes it for lack of room and brings a node, to save which it was to move.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.core.packing.plan import PackingPlan
from autoscaler.core.packing.problem import PackingProblem, Variant, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What finds a slice while all that run today still do."""

    first: Mapping[str, int]
    """By variant how many may run, up to what the plan gives it; what runs may stay."""
    spare: Mapping[str, int]
    """By variant the slices that are free for it even then. Those of one shape are told to each that may take them."""


def first_turn(problem: PackingProblem, plan: PackingPlan) -> Turn:
    """Free slices go to workloads that lack replicas first."""
    held: Counter[str] = Counter()
    for gpu in problem.held:
        held.update(dict(gpu.replicas))
    free = free_slices(problem, plan)
    order = sorted(problem.workloads, key=lambda one: (not _lacks(one, held), one.name))
    first = {
        variant.name: held[variant.name]
        + take(free, variant, max(0, plan.count(variant.name) - held[variant.name]))
        for workload in order
        for variant in workload.variants
    }
    spare = {
        variant.name: sum(max(0, free[cell, variant.shape]) for cell in variant.cells)
        for _, variant in problem.variants()
    }
    return Turn(first=first, spare=spare)


def free_slices(problem: PackingProblem, plan: PackingPlan) -> Counter[tuple[str, str]]:
    """Those that nobody holds, by cell and shape: of GPUs that stay in use, and of idle ones that the plan opens."""
    shapes = {variant.name: variant.shape for _, variant in problem.variants()}
    stays = {name for name, _ in plan.kept}
    free: Counter[tuple[str, str]] = Counter()
    for gpu in problem.held:
        if gpu.name not in stays:
            continue
        for shape, count in gpu.geometry.counts:
            free[gpu.cell, shape] += count
        for name, count in gpu.replicas:
            free[gpu.cell, shapes[name]] -= count
    for cell, geometry, gpus in plan.opened:
        for shape, count in geometry.counts:
            free[cell, shape] += count * gpus
    return free


def _lacks(workload: Workload, held: Mapping[str, int]) -> bool:
    carried = sum(one.capacity_mrps * held.get(one.name, 0) for one in workload.variants)
    return carried < workload.demand_mrps


def take(free: Counter[tuple[str, str]], variant: Variant, wanted: int) -> int:
    """As many as are wanted and free where the variant may go; `free` is left without them."""
    taken = 0
    for cell in sorted(variant.cells):
        here = max(0, min(wanted - taken, free[cell, variant.shape]))
        free[cell, variant.shape] -= here
        taken += here
    return taken
