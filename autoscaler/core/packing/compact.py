"""One program for everything: GPUs in use, spread, and what must survive a loss.

Whole numbers say how many replicas each variant has, how many idle GPUs are cut how, and what stays of what is in
use. A GPU in use keeps its geometry: it stays, with any part of its replicas, or it is drained. A move has a price,
paid for a replica that starts although its workload's demand is carried, and for one that stops although it is not.

A GPU whose draining would cost more in moves than the GPU is worth stays for sure. Only the others are looked at one
by one; what all the rest holds is added up, which keeps the program small whatever the fleet.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.packing.problem import Cell, HeldGpu, PackingProblem, Variant, Workload
from autoscaler.core.packing.program import Program, Solved
from autoscaler.core.packing.supply import (
    domains,
    lost_with_a_node,
    most_on,
    most_on_held,
    shares,
    supply_rows,
)

PRICE = 1_000_000
"""Of one GPU of price 1, in what the program minimises."""

MAX_DRAINABLE = 64
"""GPUs looked at one by one in a program: its search is bounded, whatever the fleet."""


@dataclass(slots=True)
class Compact:
    """The program, and where its parts are."""

    program: Program
    replicas: dict[str, int] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)
    opened: dict[tuple[str, Geometry], int] = field(default_factory=dict)
    stays: dict[str, int] = field(default_factory=dict)
    """By name of the GPUs that may be drained."""
    kept: dict[tuple[str, str], int] = field(default_factory=dict)
    """By GPU that may be drained and variant."""
    settled: dict[str, int] = field(default_factory=dict)
    """By variant: its replicas kept on GPUs that stay for sure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The program's answer in whole numbers."""

    replicas: dict[str, int]
    opened: dict[tuple[str, Geometry], int]
    looked_at: frozenset[str]
    """GPUs that might have been drained."""
    drained: frozenset[str]
    kept: dict[tuple[str, str], int]
    settled: dict[str, int]


def formulate(problem: PackingProblem, *, move_price: int) -> Compact:
    """The program for a problem; `move_price` is in parts of `PRICE`."""
    compact = Compact(program=Program())
    held = _held_counts(problem)
    lacking = {w.name for w in problem.workloads if _surplus_mrps(w, held) < 0}
    drainable = {gpu.name for gpu in _drainable(problem, held, lacking, move_price)}
    _add_idle_gpus(compact, problem)
    _add_replicas(compact, problem, held, lacking, move_price)
    _add_held(compact, problem, drainable, move_price)
    _add_supply(compact, problem, drainable)
    _add_limits(compact, problem, drainable)
    return compact


def read(compact: Compact, solved: Solved) -> Counts:
    """The answer, rounded; whether it holds is checked by `check_plan`."""
    values = [round(value) for value in solved.values]
    return Counts(
        replicas={name: n for name, place in compact.replicas.items() if (n := values[place])},
        opened={key: n for key, place in compact.opened.items() if (n := values[place])},
        looked_at=frozenset(compact.stays),
        drained=frozenset(name for name, place in compact.stays.items() if not values[place]),
        kept={key: n for key, place in compact.kept.items() if (n := values[place])},
        settled={name: values[place] for name, place in compact.settled.items()},
    )


def _held_counts(problem: PackingProblem) -> Counter[str]:
    held: Counter[str] = Counter()
    for gpu in problem.held:
        held.update(dict(gpu.replicas))
    return held


def _surplus_mrps(workload: Workload, held: Counter[str]) -> int:
    """What it carries today beyond its demand; negative: it lacks."""
    carried = sum(variant.capacity_mrps * held[variant.name] for variant in workload.variants)
    return carried - workload.demand_mrps


def _drainable(
    problem: PackingProblem, held: Counter[str], lacking: set[str], move_price: int
) -> list[HeldGpu]:
    """GPUs for which draining may pay, the `MAX_DRAINABLE` that need the fewest moves.

    What a workload carries too much may go for nothing; each other replica is at least one move.
    """
    cells = {cell.name: cell for cell in problem.cells}
    spare = {}
    for workload in problem.workloads:
        surplus = max(0, _surplus_mrps(workload, held))
        for variant in workload.variants:
            if variant.capacity_mrps > 0:
                spare[variant.name] = surplus // variant.capacity_mrps
    moves = {
        gpu.name: sum(max(0, n - spare.get(name, n)) for name, n in gpu.replicas)
        for gpu in problem.held
    }
    paying = [
        gpu for gpu in problem.held if move_price * moves[gpu.name] < PRICE * cells[gpu.cell].price
    ]
    paying.sort(key=lambda gpu: (moves[gpu.name], sum(n for _, n in gpu.replicas), gpu.name))
    return paying[:MAX_DRAINABLE]


def _add_idle_gpus(compact: Compact, problem: PackingProblem) -> None:
    used = Counter(gpu.cell for gpu in problem.held)
    for cell in problem.cells:
        count = {}
        for geometry in cell.geometries:
            place = compact.program.variable(cell.price * PRICE, cell.gpus - used[cell.name])
            compact.opened[cell.name, geometry] = place
            count[place] = 1
        compact.program.row(count, most=cell.gpus - used[cell.name])


def _add_replicas(
    compact: Compact,
    problem: PackingProblem,
    held: Counter[str],
    lacking: set[str],
    move_price: int,
) -> None:
    share, cells = shares(problem), {cell.name: cell for cell in problem.cells}
    for workload in problem.workloads:
        carried: dict[int, int] = {}
        surviving: dict[int, int] = {}
        for variant in workload.variants:
            if variant.capacity_mrps <= 0 or not variant.cells:
                continue
            start_price = 0 if workload.name in lacking else move_price
            most = _most(workload, variant, held[variant.name])
            place = compact.program.variable(share.get(variant.shape, 0) + start_price, most)
            compact.replicas[variant.name] = place
            carried[place] = variant.capacity_mrps
            lost = lost_with_a_node(workload, variant)
            if lost is not None:
                gone = _add_lost(compact, place, lost, most)
                surviving |= {place: variant.capacity_mrps, gone: -variant.capacity_mrps}
            if variant.spread is None:
                continue
            peak = _add_peak(compact, variant, cells, most)
            if variant.spread.over is workload.survive and lost is None:
                surviving |= {place: variant.capacity_mrps, peak: -variant.capacity_mrps}
        compact.program.row(carried, least=workload.demand_mrps)
        if workload.survive:
            compact.program.row(surviving, least=workload.demand_mrps)


def _most(workload: Workload, variant: Variant, held: int) -> int | None:
    """More replicas are never of use; None where a loss is to be survived: the others then count twice."""
    if workload.survive:
        return None
    return max(held, -(-workload.demand_mrps // variant.capacity_mrps))


def _add_peak(compact: Compact, variant: Variant, cells: dict[str, Cell], most: int | None) -> int:
    """A number that is at least the replicas which one domain may get; see `supply.peak`."""
    assert variant.spread is not None
    count, skew = len(domains(variant, cells)), variant.spread.max_skew
    place = compact.replicas[variant.name]
    peak = compact.program.variable()
    compact.peaks[variant.name] = peak
    row = {peak: count, place: -1}
    if skew > 1:
        some = _add_some(compact, place, most)
        row[some] = -(count - 1) * (skew - 1)
    compact.program.row(row, least=0)
    return peak


def _add_some(compact: Compact, place: int, most: int | None) -> int:
    """1 where there is a replica."""
    some = compact.program.variable(0, 1)
    limit = most if most is not None else 1_000_000
    compact.program.row({some: limit, place: -1}, least=0)
    return some


def _add_lost(compact: Compact, place: int, lost: int, most: int | None) -> int:
    """A number that is at least the replicas which go with one node."""
    gone = compact.program.variable()
    compact.program.row({gone: 1, _add_some(compact, place, most): -lost}, least=0)
    return gone


def _add_limits(compact: Compact, problem: PackingProblem, drainable: set[str]) -> None:
    """Where a GPU takes only so many of a variant, there are enough GPUs with a slice for it."""
    shapes = {variant.name: variant.shape for _, variant in problem.variants()}
    for _, variant in problem.variants():
        if variant.per_gpu is None or variant.name not in compact.replicas:
            continue
        coefficients, there = {compact.replicas[variant.name]: -1}, 0
        for (cell, geometry), place in compact.opened.items():
            if cell in variant.cells and (n := most_on(variant, geometry.count(variant.shape))):
                coefficients[place] = n
        for gpu in problem.held:
            if gpu.cell not in variant.cells:
                continue
            n = most_on_held(variant, gpu, shapes)
            if gpu.name in drainable:
                coefficients[compact.stays[gpu.name]] = n
            else:
                there += n
        compact.program.row(coefficients, least=-there)


def _add_held(
    compact: Compact, problem: PackingProblem, drainable: set[str], move_price: int
) -> None:
    cells = {cell.name: cell for cell in problem.cells}
    settled: Counter[str] = Counter()
    stay: dict[str, dict[int, int]] = {}
    for gpu in problem.held:
        if gpu.name not in drainable:
            settled.update(dict(gpu.replicas))
            continue
        on = compact.program.variable(cells[gpu.cell].price * PRICE, 1)
        compact.stays[gpu.name] = on
        for name, count in gpu.replicas:
            place = compact.program.variable(-move_price, count)
            compact.kept[gpu.name, name] = place
            stay.setdefault(name, {})[place] = -1
            compact.program.row({on: count, place: -1}, least=0)
    for name, count in settled.items():
        place = compact.program.variable(-move_price, count)
        compact.settled[name] = place
        stay.setdefault(name, {})[place] = -1
    for name, coefficients in stay.items():
        if name in compact.replicas:
            coefficients[compact.replicas[name]] = 1
            compact.program.row(coefficients, least=0)
        else:
            # It carries nothing within its SLO any more: none stays.
            compact.program.row({place: 1 for place in coefficients}, most=0)


def _add_supply(compact: Compact, problem: PackingProblem, drainable: set[str]) -> None:
    for row in supply_rows(problem):
        coefficients = {}
        for name, at_peak in row.claims:
            place = compact.peaks[name] if at_peak else compact.replicas[name]
            coefficients[place] = -1
        for (cell, geometry), place in compact.opened.items():
            if cell in row.cells and (slices := geometry.count(row.shape)):
                coefficients[place] = slices
        there = 0
        for gpu in problem.held:
            slices = gpu.geometry.count(row.shape) if gpu.cell in row.cells else 0
            if slices and gpu.name in drainable:
                coefficients[compact.stays[gpu.name]] = slices
            else:
                there += slices
        compact.program.row(coefficients, least=-there)
