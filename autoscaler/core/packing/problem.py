"""What is to be packed, onto what, and what is there already.

A *cell* is GPUs that the scheduler can't tell apart: same labels, same taints, same zone (and same node, where a
workload must survive the loss of one). Kubernetes chooses node and device inside it, so nothing here says which pod
goes where; a plan holds whatever it chooses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from autoscaler.core.mig.geometry import Geometry
from autoscaler.errors import PackingInvalid, Problem


class Domain(StrEnum):
    """What may be lost at once, and over what replicas are spread."""

    NODE = "node"
    ZONE = "zone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """GPUs that are alike to the scheduler."""

    name: str
    gpus: int
    """How many there are, or may come to be; those in use included."""
    geometries: tuple[Geometry, ...]
    """What an idle GPU of it may be cut into; a pool that an autoscaler grows has one."""
    price: int = 1
    """Of one GPU with anything on it, relative to the others."""
    zone: str | None = None
    node: str | None = None
    """Set where the cell is one node."""

    def domain(self, kind: Domain) -> str | None:
        return self.node if kind is Domain.NODE else self.zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A topology spread constraint that the scheduler enforces (`whenUnsatisfiable: DoNotSchedule`)."""

    over: Domain
    max_skew: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A Deployment: replicas of one shape, and where its affinity and tolerations let them go."""

    name: str
    shape: str
    """A MIG profile's name, or `gpu`."""
    capacity_mrps: int
    """What one replica carries within the SLO, in thousandths of a request a second; on the slowest of its cells."""
    cells: frozenset[str]
    spread: Spread | None = None
    per_gpu: int | None = None
    """The scheduler puts at most so many on one of what the cells count, where that is a node; None: as many as fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One model's demand and the Deployments that can carry it together."""

    name: str
    demand_mrps: int
    variants: tuple[Variant, ...]
    survive: Domain | None = None
    """The demand is still carried when any one of these is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldGpu:
    """A GPU with slices in use: its geometry stays as long as they are."""

    name: str
    cell: str
    geometry: Geometry
    replicas: tuple[tuple[str, int], ...]
    """By the name of their variant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingProblem:
    """All of it. Without `held` everything is packed anew."""

    cells: tuple[Cell, ...]
    workloads: tuple[Workload, ...]
    held: tuple[HeldGpu, ...] = ()

    def variants(self) -> Iterator[tuple[Workload, Variant]]:
        for workload in self.workloads:
            for variant in workload.variants:
                yield workload, variant


def check_problem(problem: PackingProblem) -> None:
    """Refuses a question that contradicts itself.

    Raises:
        PackingInvalid: with everything that is wrong.
    """
    found = [
        *_twice("cell", (cell.name for cell in problem.cells)),
        *_twice("workload", (workload.name for workload in problem.workloads)),
        *_twice("variant", (variant.name for _, variant in problem.variants())),
        *_twice("GPU", (held.name for held in problem.held)),
    ]
    cells = {cell.name: cell for cell in problem.cells}
    for cell in problem.cells:
        found += _cell_problems(cell)
    for workload in problem.workloads:
        found += _workload_problems(workload, cells)
    found += _held_problems(problem, cells)
    if found:
        raise PackingInvalid(tuple(found))


def _twice(what: str, names: Iterator[str]) -> list[Problem]:
    return [
        Problem(f"{what} {name}", f"is there {count} times", "once is allowed")
        for name, count in Counter(names).items()
        if count > 1
    ]


def _cell_problems(cell: Cell) -> list[Problem]:
    where, found = f"cell {cell.name}", []
    if cell.gpus < 0:
        found.append(Problem(where, f"{cell.gpus} GPUs", "0 or more are allowed"))
    if cell.price < 1:
        found.append(Problem(where, f"a price of {cell.price}", "1 or more is allowed"))
    if not cell.geometries or not all(geometry.counts for geometry in cell.geometries):
        found.append(Problem(where, "a GPU cut into nothing", "at least one slice is needed"))
    return found


def _workload_problems(workload: Workload, cells: dict[str, Cell]) -> list[Problem]:
    where, found = f"workload {workload.name}", []
    if workload.demand_mrps < 0:
        found.append(Problem(where, f"a demand of {workload.demand_mrps}", "0 or more is allowed"))
    if workload.demand_mrps > 0 and not any(v.capacity_mrps > 0 for v in workload.variants):
        found.append(Problem(where, "no variant carries anything", "one must, within the SLO"))
    for variant in workload.variants:
        where = f"variant {variant.name}"
        unknown = sorted(variant.cells - cells.keys())
        if unknown:
            found.append(Problem(where, f"cells {', '.join(unknown)}", "known cells are allowed"))
        if variant.capacity_mrps < 0:
            given = f"a capacity of {variant.capacity_mrps}"
            found.append(Problem(where, given, "0 or more is allowed"))
        needed = {variant.spread.over} if variant.spread else set()
        if workload.survive and not _bounded(variant, workload.survive):
            needed.add(workload.survive)
        for kind in sorted(needed):
            blank = [
                name
                for name in sorted(variant.cells & cells.keys())
                if cells[name].domain(kind) is None
            ]
            if blank:
                given = f"its cells {', '.join(blank)} name no {kind}"
                found.append(Problem(where, given, f"cells split by {kind} are needed"))
        if variant.spread and variant.spread.max_skew < 1:
            given = f"a skew of {variant.spread.max_skew}"
            found.append(Problem(where, given, "1 or more is allowed"))
        if variant.per_gpu is not None and variant.per_gpu < 1:
            found.append(Problem(where, f"{variant.per_gpu} on a GPU", "1 or more is allowed"))
    if workload.survive and not any(
        _bounded(variant, workload.survive)
        or (variant.spread and variant.spread.over is workload.survive)
        for variant in workload.variants
    ):
        found.append(
            Problem(
                f"workload {workload.name}",
                f"is to survive the loss of a {workload.survive}, and nothing spreads it",
                f"a topology spread constraint over {workload.survive}s with DoNotSchedule is needed: without it "
                "Kubernetes may put every replica into one",
            )
        )
    return found


def _bounded(variant: Variant, kind: Domain) -> bool:
    """Whether it is told how many of its replicas one loss takes at most, without a spread."""
    return kind is Domain.NODE and variant.per_gpu is not None


def _held_problems(problem: PackingProblem, cells: dict[str, Cell]) -> list[Problem]:
    shapes = {variant.name: variant.shape for _, variant in problem.variants()}
    found, used = [], Counter(held.cell for held in problem.held)
    for held in problem.held:
        where = f"GPU {held.name}"
        if held.cell not in cells:
            found.append(Problem(where, f"cell {held.cell}", "a known cell is allowed"))
        taken: Counter[str] = Counter()
        for name, count in held.replicas:
            if name not in shapes:
                found.append(Problem(where, f"holds {name}", "known variants are allowed"))
            else:
                taken[shapes[name]] += count
        for shape, count in taken.items():
            if count > held.geometry.count(shape):
                given = f"{count} replicas on {shape}"
                allowed = f"{held.geometry.count(shape)} slices are there"
                found.append(Problem(where, given, allowed))
    for name, count in used.items():
        if name in cells and count > cells[name].gpus:
            given = f"{count} GPUs in use"
            found.append(Problem(f"cell {name}", given, f"it has {cells[name].gpus}"))
    return found
