"""An integer program as a value, and the port through which one is solved.

The core formulates and checks; who solves is handed in (`autoscaler.solver`). Limits are in nodes and gap and never
in seconds, so that the same question gets the same answer on a slow machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True)
class Program:
    """Minimise costs * x over whole x between 0 and their highest, with each row's sum between its ends.

    `integral` False: x may be fractions, and the answer has the rows' prices.
    """

    integral: bool = True
    costs: list[int] = field(default_factory=list)
    highest: list[int | None] = field(default_factory=list)
    rows: list[dict[int, int]] = field(default_factory=list)
    """For each row, the coefficient of each variable in it."""
    least: list[int | None] = field(default_factory=list)
    most: list[int | None] = field(default_factory=list)

    def variable(self, cost: int = 0, highest: int | None = None) -> int:
        """A new variable's place."""
        self.costs.append(cost)
        self.highest.append(highest)
        return len(self.costs) - 1

    def row(
        self, coefficients: dict[int, int], *, least: int | None = None, most: int | None = None
    ) -> int:
        """A new row's place."""
        self.rows.append(coefficients)
        self.least.append(least)
        self.most.append(most)
        return len(self.rows) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When to stop looking for a better answer."""

    nodes: int = 10_000
    """Of the search tree."""
    gap_ratio: float = 0.0
    """Good enough: (cost - proven bound) / cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """The best answer found, and what it can't be better than."""

    values: tuple[float, ...]
    """One for each variable; whole, within the solver's tolerance, if the program is integral."""
    cost: float
    bound: float
    prices: tuple[float, ...] = ()
    """What one more unit of each row's end would change the cost by; only of a program that is not integral."""


class Solver(Protocol):
    """Solves programs; an answer depends on the program and the limits alone."""

    def solve(self, program: Program, limits: Limits) -> Solved | None:
        """None: there is no answer, or none was found within the limits."""
        ...
