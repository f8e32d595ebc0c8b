"""The answer to a packing, and the exact check of it against the question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.packing.certificate import Certificate
from autoscaler.core.packing.problem import Cell, Domain, HeldGpu, PackingProblem, Workload
from autoscaler.core.packing.supply import (
    lost_with_a_node,
    most_on,
    most_on_held,
    peak,
    supply_rows,
)


class Proof(StrEnum):
    """What shows that no plan is cheaper."""

    PRICES = "prices"
    """The plan's certificate: whole-number prices that anybody can check."""
    SOLVER = "solver"
    """The solver's search of the whole tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """A GPU in use that the plan empties, and the replicas that go from it."""

    gpu: str
    cell: str
    replicas: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingPlan:
    """How many replicas each Deployment is to have, and how many GPUs of each cell are to be cut how."""

    replicas: tuple[tuple[str, int], ...]
    """By variant; variants with none are left out."""
    opened: tuple[tuple[str, Geometry, int], ...]
    """Idle GPUs to be used: cell, geometry, how many."""
    kept: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()
    """GPUs that stay in use, with the replicas that stay on each; what else they held is to go first."""
    drained: tuple[Drain, ...] = ()
    price: int
    """Of all GPUs with anything on them."""
    bound: int
    """No plan costs less; 0 with GPUs in use, where moves are weighed against price."""
    proof: Proof | None
    """None: the price is within `price - bound` of the least."""
    certificate: Certificate | None = None

    def count(self, variant: str) -> int:
        return dict(self.replicas).get(variant, 0)


def check_plan(problem: PackingProblem, plan: PackingPlan) -> tuple[str, ...]:
    """Everything in which the plan does not keep what was asked, in exact arithmetic; empty: it holds.

    The solver works in floating point, so no plan goes out unchecked.
    """
    cells = {cell.name: cell for cell in problem.cells}
    held = {gpu.name: gpu for gpu in problem.held}
    return (
        *_supply_faults(problem, plan, held),
        *_limit_faults(problem, plan, held),
        *(
            fault
            for workload in problem.workloads
            for fault in _demand_faults(workload, plan, cells)
        ),
        *_gpu_faults(plan, cells, held),
    )


def supply(plan: PackingPlan, held: Mapping[str, HeldGpu]) -> Counter[tuple[str, str]]:
    """Slices by cell and shape once the plan is carried out."""
    found: Counter[tuple[str, str]] = Counter()
    for cell, geometry, gpus in plan.opened:
        for shape, count in geometry.counts:
            found[cell, shape] += count * gpus
    for name, _ in plan.kept:
        for shape, count in held[name].geometry.counts:
            found[held[name].cell, shape] += count
    return found


def _supply_faults(
    problem: PackingProblem, plan: PackingPlan, held: Mapping[str, HeldGpu]
) -> list[str]:
    slices, counts = supply(plan, held), dict(plan.replicas)
    cells = {cell.name: cell for cell in problem.cells}
    variants = {variant.name: variant for _, variant in problem.variants()}
    faults = []
    for row in supply_rows(problem):
        claimed = 0
        for name, at_peak in row.claims:
            count, spread = counts.get(name, 0), variants[name].spread
            if at_peak and spread is not None:
                count = peak(
                    count, _domain_count(variants[name].cells, cells, spread.over), spread.max_skew
                )
            claimed += count
        there = sum(slices[cell, row.shape] for cell in row.cells)
        if claimed > there:
            faults.append(
                f"{claimed} replicas may need {row.shape} in {', '.join(row.cells)}, {there} are there"
            )
    return faults


def _limit_faults(
    problem: PackingProblem, plan: PackingPlan, held: Mapping[str, HeldGpu]
) -> list[str]:
    """Variants of which a GPU takes only so many, and that need more GPUs than there are."""
    shapes = {variant.name: variant.shape for _, variant in problem.variants()}
    kept = [replace(held[name], replicas=replicas) for name, replicas in plan.kept if name in held]
    faults = []
    for _, variant in problem.variants():
        if variant.per_gpu is None:
            continue
        there = sum(
            count * most_on(variant, geometry.count(variant.shape))
            for cell, geometry, count in plan.opened
            if cell in variant.cells
        )
        there += sum(
            most_on_held(variant, gpu, shapes) for gpu in kept if gpu.cell in variant.cells
        )
        count = plan.count(variant.name)
        if count > there:
            faults.append(
                f"{count} of {variant.name} at {variant.per_gpu} on a GPU, there is room for {there}"
            )
    return faults


def _domain_count(names: frozenset[str], cells: Mapping[str, Cell], kind: Domain) -> int:
    return len({cells[name].domain(kind) for name in names})


def _demand_faults(workload: Workload, plan: PackingPlan, cells: Mapping[str, Cell]) -> list[str]:
    counts = dict(plan.replicas)
    carried = surviving = 0
    for variant in workload.variants:
        count = counts.get(variant.name, 0)
        carried += variant.capacity_mrps * count
        lost_at_once = lost_with_a_node(workload, variant)
        if lost_at_once is not None:
            surviving += variant.capacity_mrps * max(0, count - lost_at_once)
        elif workload.survive and variant.spread and variant.spread.over is workload.survive:
            there = _domain_count(variant.cells, cells, workload.survive)
            lost = peak(count, there, variant.spread.max_skew)
            surviving += variant.capacity_mrps * (count - lost)
    faults = []
    if carried < workload.demand_mrps:
        faults.append(f"{workload.name}: {carried} of {workload.demand_mrps} mrps are carried")
    if workload.survive and surviving < workload.demand_mrps:
        faults.append(
            f"{workload.name}: {surviving} of {workload.demand_mrps} mrps are carried when a {workload.survive} is lost"
        )
    return faults


def _gpu_faults(
    plan: PackingPlan, cells: Mapping[str, Cell], held: Mapping[str, HeldGpu]
) -> list[str]:
    faults = []
    used = Counter(gpu.cell for gpu in held.values())
    for cell, geometry, gpus in plan.opened:
        used[cell] += gpus
        if geometry not in cells[cell].geometries:
            faults.append(f"{geometry} is none of the geometries of {cell}")
    for cell, count in used.items():
        if count > cells[cell].gpus:
            # Drained GPUs count: they are not idle before their replicas run elsewhere.
            faults.append(f"{count} GPUs of {cell} are used at once, it has {cells[cell].gpus}")
    names = [name for name, _ in plan.kept] + [drain.gpu for drain in plan.drained]
    if sorted(names) != sorted(held):
        faults.append("a GPU in use is neither kept nor drained, or both")
    for name, replicas in plan.kept:
        before = dict(held[name].replicas)
        faults += [
            f"{count} of {variant} are kept on {name}, {before.get(variant, 0)} are there"
            for variant, count in replicas
            if count > before.get(variant, 0)
        ]
    return faults
