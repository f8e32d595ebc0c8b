"""The packing's answer to one question, with HiGHS."""

from __future__ import annotations

from autoscaler.core.packing.pack import MOVE_PRICE, pack
from autoscaler.core.packing.plan import PackingPlan
from autoscaler.core.slices.cells import crowding
from autoscaler.core.slices.observed import SlicePlan
from autoscaler.core.slices.question import Question, answer
from autoscaler.errors import PackingError
from autoscaler.solver.highs import HighsSolver


def solve(asked: Question, now_s: float) -> SlicePlan:
    """What can't be packed is a plan that says so."""
    try:
        found: PackingPlan = pack(
            asked.problem, HighsSolver(), move_price=MOVE_PRICE * asked.gpu_price
        )
    except PackingError as error:
        hint = crowding(asked.problem)
        told = str(error) if hint is None else f"{error}; {hint}"
        return SlicePlan(made_at_s=now_s, infeasible=told)
    return answer(asked, found, now_s=now_s)
