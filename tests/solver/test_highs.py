"""HiGHS behind the port: whole numbers, prices, and no answer where there is none."""

from __future__ import annotations

import pytest

from autoscaler.core.packing.program import Limits, Program
from autoscaler.solver.highs import HighsSolver


def covering(*, integral: bool) -> Program:
    """The least 3x + 5y with 2x + 4y >= 7000 thousandths, x at most one."""
    program = Program(integral=integral)
    x, y = program.variable(3, 1), program.variable(5)
    program.row({x: 2000, y: 4000}, least=7000)
    return program


def test_whole_numbers() -> None:
    solved = HighsSolver().solve(covering(integral=True), Limits())
    assert solved is not None
    assert [round(value) for value in solved.values] == [0, 2]
    assert (solved.cost, solved.bound) == (pytest.approx(10.0), pytest.approx(10.0))


def test_a_price_is_what_one_more_of_a_rows_end_costs() -> None:
    solved = HighsSolver().solve(covering(integral=False), Limits())
    assert solved is not None
    # y = 7/4; one more of the 7000 costs 5/4000, however the solver scales the row.
    assert solved.cost == pytest.approx(8.75)
    assert solved.prices == (pytest.approx(0.00125),)


def test_prices_of_equal_and_upper_rows() -> None:
    program = Program(integral=False)
    x, y = program.variable(1), program.variable(2)
    program.row({x: 1, y: 1}, least=10, most=10)
    program.row({x: 1}, most=4)
    solved = HighsSolver().solve(program, Limits())
    assert solved is not None
    assert solved.values == (pytest.approx(4.0), pytest.approx(6.0))
    assert solved.prices == (pytest.approx(2.0), pytest.approx(-1.0))


@pytest.mark.parametrize("integral", [True, False])
def test_no_answer(integral: bool) -> None:
    program = Program(integral=integral)
    x = program.variable(1, 3)
    program.row({x: 1}, least=4)
    assert HighsSolver().solve(program, Limits()) is None


def test_the_same_question_has_the_same_answer() -> None:
    answers = {HighsSolver().solve(covering(integral=True), Limits()) for _ in range(5)}
    assert len(answers) == 1
