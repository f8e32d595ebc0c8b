"""Packing anew by column generation: exact up to a handful of slices, at any size.

A column is one way to cover one workload's demand. The master program chooses a column for each workload and
geometries for the GPUs; only the few supply rows tie workloads together. So at the optimum of its relaxation all but
as many workloads as there are supply rows have one whole column: rounding costs a few GPUs, whether there are ten or
a thousand. New columns are the cheapest covers at the master's prices, until none is cheaper. The prices then prove
the bound (`certificate`).

Source: Gilmore and Gomory 1961, for cutting stock; the decomposition is Dantzig and Wolfe's, 1960.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autoscaler.core.mig.choice import cheapest_cover
from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.packing.certificate import UNIT, Certificate, certify, variant_prices
from autoscaler.core.packing.problem import PackingProblem, Workload
from autoscaler.core.packing.program import Limits, Program, Solved, Solver
from autoscaler.core.packing.supply import SHARE, SupplyRow, shares, supply_rows
from autoscaler.errors import PackingInfeasible

Column = tuple[tuple[str, int], ...]
"""Replicas by variant that cover one workload's demand."""

MAX_ROUNDS = 200
# In the relaxation a missing slice costs more than any plan, so that only real shortage leaves one missing.
_SHORTAGE = 1_000
# Of a GPU when whole plans are compared; below that, the share of slices held decides: less leaves more room.
_PRICE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A whole plan and the best certificate found on the way."""

    replicas: dict[str, int]
    opened: dict[tuple[str, Geometry], int]
    certificate: Certificate


@dataclass(slots=True)
class _Master:
    """The program over the columns so far, and where its parts are."""

    program: Program
    supply: list[int]
    convexity: list[int]
    shortage: list[int]
    gpus: dict[tuple[str, Geometry], int] = field(default_factory=dict)
    columns: list[tuple[int, Column]] = field(default_factory=list)


def applies(problem: PackingProblem) -> bool:
    """Whether a workload's cost is linear in its replicas: nothing spreads it or is to survive a loss, nothing held."""
    return not problem.held and not any(
        variant.spread or variant.per_gpu or workload.survive
        for workload, variant in problem.variants()
    )


def pack_columns(problem: PackingProblem, solver: Solver, limits: Limits) -> Packed | None:
    """A plan and a proven bound; None: the solver found no whole plan within the limits.

    Raises:
        PackingInfeasible: the demand does not fit onto the GPUs that there are.
    """
    rows = supply_rows(problem)
    found: list[dict[Column, None]] = [{} for _ in problem.workloads]
    prices = _first_prices(problem, rows)
    best = certify(problem, prices)
    _extend(problem, prices, found, None)
    for _ in range(MAX_ROUNDS):
        master = _master(problem, rows, found, integral=False)
        solved = solver.solve(master.program, limits)
        if solved is None:
            return None
        prices = {
            # Dual values come with an error of about 1e-9 of the price: 719.99997 is meant to be 720.
            row: max(0, int(solved.prices[place] * UNIT + 1e-3))
            for row, place in zip(rows, master.supply, strict=True)
        }
        certificate = certify(problem, prices)
        if certificate.bound > best.bound:
            best = certificate
        ceilings = [solved.prices[place] * UNIT for place in master.convexity]
        if not _extend(problem, prices, found, ceilings):
            _refuse_shortage(rows, master, solved)
            break
    master = _master(problem, rows, found, integral=True)
    solved = solver.solve(master.program, limits)
    return None if solved is None else _read(master, solved, best)


def _first_prices(problem: PackingProblem, rows: tuple[SupplyRow, ...]) -> dict[SupplyRow, int]:
    """As if a GPU were cut into that shape alone."""
    share = shares(problem)
    return {row: share.get(row.shape, SHARE) * UNIT // SHARE for row in rows}


def _extend(
    problem: PackingProblem,
    prices: Mapping[SupplyRow, int],
    found: list[dict[Column, None]],
    ceilings: list[float] | None,
) -> bool:
    """Adds each workload's cheapest cover where it costs less than the columns so far; whether any did."""
    worth = variant_prices(tuple(prices.items()))
    added = False
    for index, workload in enumerate(problem.workloads):
        price, column = _cheapest(workload, worth)
        # Half a unit for each slice is what rounding the prices down took away.
        slack = 1.0 + sum(count for _, count in column)
        if column in found[index] or (ceilings is not None and price >= ceilings[index] - slack):
            continue
        found[index][column] = None
        added = True
    return added


def _cheapest(workload: Workload, worth: Mapping[str, int]) -> tuple[int, Column]:
    usable = [variant for variant in workload.variants if variant.capacity_mrps > 0]
    cover = cheapest_cover(
        [variant.capacity_mrps for variant in usable],
        [worth.get(variant.name, 0) for variant in usable],
        workload.demand_mrps,
    )
    counts = zip(usable, cover.counts, strict=True)
    return cover.price, tuple((variant.name, count) for variant, count in counts if count)


def _master(
    problem: PackingProblem,
    rows: tuple[SupplyRow, ...],
    found: list[dict[Column, None]],
    *,
    integral: bool,
) -> _Master:
    program = Program(integral=integral)
    scale = _PRICE if integral else 1
    supply: list[dict[int, int]] = [{} for _ in rows]
    convexity: list[dict[int, int]] = [{} for _ in problem.workloads]
    master = _Master(program=program, supply=[], convexity=[], shortage=[])
    for cell in problem.cells:
        gpus = {}
        for geometry in cell.geometries:
            place = program.variable(cell.price * scale, cell.gpus)
            master.gpus[cell.name, geometry] = place
            gpus[place] = 1
            for row, coefficients in zip(rows, supply, strict=True):
                if cell.name in row.cells and (slices := geometry.count(row.shape)):
                    coefficients[place] = slices
        program.row(gpus, most=cell.gpus)
    claims, share = _claims(rows), shares(problem)
    shapes = {variant.name: variant.shape for _, variant in problem.variants()}
    for columns, chosen in zip(found, convexity, strict=True):
        for column in columns:
            # Ties go to the plan that holds the smaller share of slices.
            held = sum(share.get(shapes[name], 0) * count for name, count in column)
            place = program.variable(held if integral else 0, 1)
            master.columns.append((place, column))
            chosen[place] = 1
            for name, count in column:
                for row_index in claims.get(name, ()):
                    supply[row_index][place] = supply[row_index].get(place, 0) - count
    if not integral:
        for coefficients in supply:
            place = program.variable(_SHORTAGE)
            master.shortage.append(place)
            coefficients[place] = 1
    master.supply = [program.row(coefficients, least=0) for coefficients in supply]
    master.convexity = [program.row(coefficients, least=1, most=1) for coefficients in convexity]
    return master


def _claims(rows: tuple[SupplyRow, ...]) -> dict[str, list[int]]:
    claims: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        for name, _ in row.claims:
            claims.setdefault(name, []).append(index)
    return claims


def _refuse_shortage(rows: tuple[SupplyRow, ...], master: _Master, solved: Solved) -> None:
    short = [
        f"{solved.values[place]:.1f} of {row.shape} in {', '.join(row.cells)}"
        for row, place in zip(rows, master.shortage, strict=True)
        if solved.values[place] > 1e-6
    ]
    if short:
        raise PackingInfeasible(
            f"the demand does not fit onto the GPUs that there are: {'; '.join(short)} slices are missing"
        )


def _read(master: _Master, solved: Solved, best: Certificate) -> Packed:
    replicas: dict[str, int] = {}
    for place, column in master.columns:
        if round(solved.values[place]):
            replicas.update(column)
    opened = {
        key: count for key, place in master.gpus.items() if (count := round(solved.values[place]))
    }
    return Packed(replicas=replicas, opened=opened, certificate=best)
