"""From today's layout, a bounded number of GPUs at a time.

Each pass looks one by one at the GPUs that are cheapest to drain and adds up the rest (`compact`). What it drains is
settled, and the next pass looks at the next ones, until a pass has nothing left to look at or drains nothing. So the
program stays small on a large fleet; on one of a hundred GPUs the first pass is mostly the only one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.packing.compact import MAX_DRAINABLE, Counts, formulate, read
from autoscaler.core.packing.problem import HeldGpu, PackingProblem
from autoscaler.core.packing.program import Limits, Solver
from autoscaler.core.packing.supply import shares

MAX_PASSES = 16

Kept = tuple[tuple[str, int], ...]
"""Replicas by variant that stay on one GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repacked:
    """The last pass's counts, and what stays on each GPU after all of them."""

    replicas: dict[str, int]
    opened: dict[tuple[str, Geometry], int]
    kept: dict[str, Kept]
    bound: float
    """What the program can't be better than; of the first pass."""


def repack(
    problem: PackingProblem, solver: Solver, limits: Limits, *, move_price: int
) -> Repacked | None:
    """None: the solver found nothing in the first pass."""
    found: Repacked | None = None
    for _ in range(MAX_PASSES):
        compact = formulate(problem, move_price=move_price)
        solved = solver.solve(compact.program, limits)
        if solved is None:
            return found
        counts = read(compact, solved)
        kept = _kept(problem, counts)
        found = Repacked(
            replicas=counts.replicas,
            opened=counts.opened,
            kept=kept,
            bound=solved.bound if found is None else found.bound,
        )
        if len(counts.looked_at) < MAX_DRAINABLE or not counts.drained:
            return found
        problem = _after(problem, kept)
    return found


def _after(problem: PackingProblem, kept: dict[str, Kept]) -> PackingProblem:
    """The problem with the drains of a pass settled; drained GPUs are not idle yet, so their cells are without them."""
    drained = Counter(gpu.cell for gpu in problem.held if gpu.name not in kept)
    return replace(
        problem,
        cells=tuple(replace(cell, gpus=cell.gpus - drained[cell.name]) for cell in problem.cells),
        held=tuple(
            replace(gpu, replicas=kept[gpu.name]) for gpu in problem.held if gpu.name in kept
        ),
    )


def _kept(problem: PackingProblem, counts: Counts) -> dict[str, Kept]:
    """What stays on each GPU. Of replicas that are only counted, those on the emptiest GPUs go first.

    One order for all workloads: then what shrinks together leaves the same GPUs, and they empty by themselves.
    """
    left = Counter(counts.settled)
    fullness = _fullness(problem)
    kept: dict[str, Kept] = {}
    for gpu in sorted(problem.held, key=lambda g: (fullness[g.name], g.name), reverse=True):
        if gpu.name in counts.drained:
            continue
        staying = []
        for name, count in gpu.replicas:
            if gpu.name in counts.looked_at:
                n = counts.kept.get((gpu.name, name), 0)
            else:
                n = min(count, left[name])
                left[name] -= n
            if n:
                staying.append((name, n))
        kept[gpu.name] = tuple(staying)
    return kept


def _fullness(problem: PackingProblem) -> dict[str, int]:
    """The share of each GPU that is held, by its name."""
    share = shares(problem)
    sizes = {variant.name: share.get(variant.shape, 0) for _, variant in problem.variants()}

    def of(gpu: HeldGpu) -> int:
        return sum(sizes[name] * count for name, count in gpu.replicas)

    return {gpu.name: of(gpu) for gpu in problem.held}
