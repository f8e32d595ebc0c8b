"""From a question to a checked plan: which formulation, which proof."""

from __future__ import annotations

from dataclasses import replace

from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.packing.certificate import Certificate
from autoscaler.core.packing.columns import Packed, applies, pack_columns
from autoscaler.core.packing.compact import PRICE
from autoscaler.core.packing.plan import Drain, PackingPlan, Proof, check_plan
from autoscaler.core.packing.problem import PackingProblem, check_problem
from autoscaler.core.packing.program import Limits, Solver
from autoscaler.core.packing.supply import SHARE
from autoscaler.core.packing.today import repack
from autoscaler.errors import PackingError, PackingInfeasible

LIMITS = Limits()
MOVE_PRICE = PRICE * 7 // 10
"""A GPU is drained for one move and not for two; docs/results-mig.md has what other prices cost."""
# With more variants the whole program is not tried after the columns: it takes long, and their gap is small by then.
_SMALL = 200


def pack(
    problem: PackingProblem,
    solver: Solver,
    *,
    limits: Limits = LIMITS,
    move_price: int = MOVE_PRICE,
) -> PackingPlan:
    """All workloads onto the GPUs of least price, then with the least movement, then holding the least slices.

    With GPUs in use, moves are weighed against GPUs by `move_price`, in parts of `PRICE`.

    Raises:
        PackingInvalid: the question contradicts itself.
        PackingInfeasible: the demand does not fit onto the GPUs that there are.
        PackingError: the solver found no plan within the limits, or one that does not hold.
    """
    check_problem(problem)
    certificate, plan = None, None
    if applies(problem):
        packed = pack_columns(problem, solver, limits)
        if packed is not None:
            plan, certificate = _from_columns(problem, packed), packed.certificate
            if plan.proof or sum(1 for _ in problem.variants()) > _SMALL:
                return _checked(problem, plan)
    whole = _from_compact(problem, solver, limits, move_price, certificate)
    found = [one for one in (plan, whole) if one is not None]
    if not found:
        raise PackingInfeasible(_why_not(problem, solver, limits))
    return _checked(problem, min(found, key=lambda one: (one.price, -one.bound)))


def _checked(problem: PackingProblem, plan: PackingPlan) -> PackingPlan:
    faults = check_plan(problem, plan)
    if faults:
        raise PackingError(f"the solver's answer does not hold: {'; '.join(faults)}")
    return plan


def _why_not(problem: PackingProblem, solver: Solver, limits: Limits) -> str:
    """What stands in the way: too few GPUs, or only the slices that are in use."""
    if problem.held:
        try:
            anew = pack(replace(problem, held=()), solver, limits=limits)
        except PackingError:
            pass
        else:
            gpus = sum(count for _, _, count in anew.opened)
            return (
                f"the demand would fit if GPUs in use were cut anew (GPUs needed then: {gpus}): "
                "add one for the time of the change, or stop the replicas on one"
            )
    return (
        "no plan was found: the demand does not fit onto the GPUs that there are, or the limits "
        f"({limits.nodes} nodes) are too low"
    )


def _from_columns(problem: PackingProblem, packed: Packed) -> PackingPlan:
    prices = {cell.name: cell.price for cell in problem.cells}
    price = sum(prices[cell] * count for (cell, _), count in packed.opened.items())
    bound = packed.certificate.price_bound
    return PackingPlan(
        replicas=tuple(sorted(packed.replicas.items())),
        opened=_opened(packed.opened),
        price=price,
        bound=bound,
        proof=Proof.PRICES if price == bound else None,
        certificate=packed.certificate,
    )


def _from_compact(
    problem: PackingProblem,
    solver: Solver,
    limits: Limits,
    move_price: int,
    certificate: Certificate | None,
) -> PackingPlan | None:
    repacked = repack(problem, solver, limits, move_price=move_price)
    if repacked is None:
        return None
    prices = {cell.name: cell.price for cell in problem.cells}
    price = sum(prices[cell] * count for (cell, _), count in repacked.opened.items())
    price += sum(prices[gpu.cell] for gpu in problem.held if gpu.name in repacked.kept)
    bound = _price_bound(problem, repacked.bound) if not problem.held else 0
    if certificate is not None:
        bound = max(bound, certificate.price_bound)
    return PackingPlan(
        replicas=tuple(sorted(repacked.replicas.items())),
        opened=_opened(repacked.opened),
        kept=tuple(sorted(repacked.kept.items())),
        drained=tuple(
            Drain(gpu=gpu.name, cell=gpu.cell, replicas=gpu.replicas)
            for gpu in problem.held
            if gpu.name not in repacked.kept
        ),
        price=price,
        bound=bound,
        proof=Proof.SOLVER if price == bound else None,
        certificate=certificate,
    )


def _price_bound(problem: PackingProblem, bound: float) -> int:
    """Of the GPUs alone, from a bound that has the shares of held slices in it."""
    most = SHARE * sum(cell.gpus for cell in problem.cells)
    return max(0, -int(-(bound - most) // PRICE)) if bound > most else 0


def _opened(
    counts: dict[tuple[str, Geometry], int],
) -> tuple[tuple[str, Geometry, int], ...]:
    return tuple(sorted((cell, geometry, count) for (cell, geometry), count in counts.items()))
