"""A proof that no packing is cheaper, which anybody can check with whole numbers and a pencil.

Give each supply of slices a price. If no geometry's slices are worth more than its GPU costs, the GPUs of any plan
cost at least what its slices are worth, and so at least the sum over workloads of the cheapest cover of each one's
demand at these prices. That sum, rounded up, bounds every plan. The prices are the dual values of the master program,
but however they were found: what is checked is the two statements. Where GPUs are few, a cell's surcharge lets its
geometries be worth more and is paid back once for each GPU that there is.

Source: Lagrangian relaxation of the supply rows (Geoffrion 1974); the bound equals that of the Dantzig-Wolfe master.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoscaler.core.mig.choice import cheapest_cover
from autoscaler.core.packing.problem import Cell, PackingProblem, Workload
from autoscaler.core.packing.supply import SupplyRow

UNIT = 100_800
"""Of a price of 1: divisible by every number of slices that a GPU has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Prices in hundred-thousandths or so (`UNIT`) of the price 1, and the bound that they prove."""

    supply: tuple[tuple[SupplyRow, int], ...]
    """What a slice of each row is worth."""
    surcharges: tuple[tuple[str, int], ...]
    """By how much a geometry of that cell may be worth more than its GPU."""
    bound: int

    @property
    def price_bound(self) -> int:
        """Prices are whole, so the bound is rounded up."""
        return -(-self.bound // UNIT)


def certify(problem: PackingProblem, prices: Mapping[SupplyRow, int]) -> Certificate:
    """The bound that these prices prove, whatever they are; for problems without spread and GPUs in use."""
    supply = tuple((row, price) for row, price in sorted(prices.items()) if price > 0)
    surcharges = tuple(
        (cell.name, surcharge) for cell in problem.cells if (surcharge := _surcharge(cell, supply))
    )
    extra = dict(surcharges)
    worth = variant_prices(supply)
    covered = sum(cover_bound(workload, worth) for workload in problem.workloads)
    paid_back = sum(extra.get(cell.name, 0) * cell.gpus for cell in problem.cells)
    return Certificate(supply=supply, surcharges=surcharges, bound=covered - paid_back)


def variant_prices(supply: Sequence[tuple[SupplyRow, int]]) -> dict[str, int]:
    """What one replica of each variant claims, over all the rows in which it counts."""
    worth: dict[str, int] = {}
    for row, price in supply:
        for name, _ in row.claims:
            worth[name] = worth.get(name, 0) + price
    return worth


def cover_bound(workload: Workload, worth: Mapping[str, int]) -> int:
    """The least that any cover of the demand costs at these prices."""
    usable = [variant for variant in workload.variants if variant.capacity_mrps > 0]
    return cheapest_cover(
        [variant.capacity_mrps for variant in usable],
        [worth.get(variant.name, 0) for variant in usable],
        workload.demand_mrps,
    ).bound


def _surcharge(cell: Cell, supply: Sequence[tuple[SupplyRow, int]]) -> int:
    """By how much its most valuable geometry is worth more than its GPU costs."""
    by_shape: dict[str, int] = {}
    for row, price in supply:
        if cell.name in row.cells:
            by_shape[row.shape] = by_shape.get(row.shape, 0) + price
    most = max(
        sum(by_shape.get(shape, 0) * count for shape, count in geometry.counts)
        for geometry in cell.geometries
    )
    return max(0, most - cell.price * UNIT)
