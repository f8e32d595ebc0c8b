"""HiGHS (https://highs.dev), through scipy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array

from autoscaler.core.packing.program import Limits, Program, Solved


class HighsSolver:
    """Solves on one core. Rows are scaled to a largest coefficient of 1: demands are large numbers, slices small."""

    def solve(self, program: Program, limits: Limits) -> Solved | None:
        """See `autoscaler.core.packing.program.Solver`."""
        matrix, scale = _matrix(program)
        least, most = _ends(program.least, -np.inf) / scale, _ends(program.most, np.inf) / scale
        costs, highest = np.array(program.costs, dtype=float), _ends(program.highest, np.inf)
        if not program.integral:
            return _relaxed(costs, highest, matrix, scale, least, most)
        answer = milp(
            costs,
            integrality=np.ones(costs.size),
            bounds=Bounds(0.0, highest),
            constraints=LinearConstraint(matrix, least, most),
            options={"node_limit": limits.nodes, "mip_rel_gap": limits.gap_ratio},
        )
        if answer.x is None:
            return None
        bound = answer.mip_dual_bound
        return Solved(
            values=tuple(answer.x.tolist()),
            cost=float(answer.fun),
            bound=-np.inf if bound is None else float(bound),
        )


def _relaxed(
    costs: NDArray[np.float64],
    highest: NDArray[np.float64],
    matrix: csr_array,
    scale: NDArray[np.float64],
    least: NDArray[np.float64],
    most: NDArray[np.float64],
) -> Solved | None:
    """The linear program, with prices of the rows as they were before scaling."""
    equal = least == most
    above, below = ~equal & np.isfinite(least), ~equal & np.isfinite(most)
    answer = linprog(
        costs,
        A_ub=_stack(matrix[below], -matrix[above]),
        b_ub=np.concatenate([most[below], -least[above]]),
        A_eq=matrix[equal],
        b_eq=least[equal],
        bounds=np.column_stack([np.zeros(costs.size), highest]),
        method="highs",
    )
    if answer.x is None or not answer.success:
        return None
    prices = np.zeros(scale.size)
    marginals = answer.ineqlin.marginals
    prices[below] += marginals[: below.sum()]
    prices[above] -= marginals[below.sum() :]
    prices[equal] += answer.eqlin.marginals
    return Solved(
        values=tuple(answer.x.tolist()),
        cost=float(answer.fun),
        bound=float(answer.fun),
        prices=tuple((prices / scale).tolist()),
    )


def _stack(upper: csr_array, lower: csr_array) -> csr_array:
    from scipy.sparse import vstack

    return csr_array(vstack([upper, lower]))


def _matrix(program: Program) -> tuple[csr_array, NDArray[np.float64]]:
    """The rows, each divided by its largest coefficient, and those."""
    starts = np.cumsum([0, *(len(row) for row in program.rows)])
    places = np.array([place for row in program.rows for place in row], dtype=np.int64)
    values = np.array([value for row in program.rows for value in row.values()], dtype=float)
    scale = np.array([max((abs(v) for v in row.values()), default=1) or 1 for row in program.rows])
    values /= np.repeat(scale, np.diff(starts))
    shape = (len(program.rows), len(program.costs))
    return csr_array((values, places, starts), shape=shape), scale.astype(float)


def _ends(ends: list[int | None], missing: float) -> NDArray[np.float64]:
    return np.array([missing if end is None else end for end in ends], dtype=float)
