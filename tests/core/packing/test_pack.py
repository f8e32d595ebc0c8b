"""Packing anew: the fewest GPUs, proven, and what must hold when something is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscaler.core.packing.certificate import UNIT, Certificate, certify
from autoscaler.core.packing.compact import formulate, read
from autoscaler.core.packing.pack import pack
from autoscaler.core.packing.plan import PackingPlan, Proof, check_plan
from autoscaler.core.packing.problem import Domain, PackingProblem, Spread, Workload
from autoscaler.core.packing.program import Limits, Program, Solved
from autoscaler.errors import PackingError, PackingInfeasible
from autoscaler.solver.highs import HighsSolver
from loadtests.bench.packing_check import Answer, Question, layout_faults, proof_faults
from loadtests.bench.packing_check import Proof as PlainProof
from tests.core.packing.fleet import SHAPES, cell, cut, workload

# Little gain from size, much gain, and one that needs half of a GPU's memory.
FLAT = {"1g": 100, "2g": 150, "3g": 180, "4g": 200, "7g": 240}
STEEP = {"1g": 100, "2g": 200, "3g": 360, "4g": 420, "7g": 640}
LARGE = {"3g": 50, "4g": 60, "7g": 110}


def packed(*workloads: Workload, gpus: int = 10) -> PackingPlan:
    return pack(PackingProblem(cells=(cell(gpus=gpus),), workloads=workloads), HighsSolver())


def test_nothing_to_carry_needs_nothing() -> None:
    plan = packed(workload("idle", 0, FLAT))
    assert (plan.price, plan.replicas, plan.opened) == (0, (), ())


def test_a_seventh_of_a_gpu_is_one_slice() -> None:
    plan = packed(workload("bert", 80, FLAT))
    assert plan.replicas == (("bert-1g", 1),)
    assert (plan.price, plan.bound, plan.proof) == (1, 1, Proof.PRICES)


def test_models_share_a_gpu() -> None:
    # A 3g for the large one, four 1g beside it.
    plan = packed(workload("large", 50, LARGE), workload("bert", 400, FLAT))
    assert plan.price == 1
    assert plan.replicas == (("bert-1g", 4), ("large-3g", 1))
    assert plan.opened == (("a", cut(g3=1, g1=4), 1),)


def test_a_model_that_gains_from_size_gets_it() -> None:
    # Two 3g carry 720; seven 1g would carry 700 and a whole GPU 640.
    plan = packed(workload("vgg", 720, STEEP))
    assert (plan.price, plan.replicas) == (1, (("vgg-3g", 2),))


def test_of_equally_few_gpus_the_plan_holds_the_smaller_share() -> None:
    plan = packed(workload("bert", 100, FLAT), workload("vgg", 100, STEEP))
    assert plan.replicas == (("bert-1g", 1), ("vgg-1g", 1))


def test_cheaper_gpus_go_first() -> None:
    problem = PackingProblem(
        cells=(cell("dear", 5, price=3), cell("a", 1, price=2)),
        workloads=(workload("vgg", 1300, STEEP, cells=frozenset({"a", "dear"})),),
    )
    plan = pack(problem, HighsSolver())
    assert (plan.price, plan.bound) == (5, 5)
    assert {name for name, _, _ in plan.opened} == {"a", "dear"}


def test_a_pool_of_one_geometry_is_never_cut_otherwise() -> None:
    problem = PackingProblem(
        cells=(cell(only=cut(g3=1, g2=1, g1=2)),), workloads=(workload("bert", 300, {"1g": 100}),)
    )
    plan = pack(problem, HighsSolver())
    assert plan.opened == (("a", cut(g3=1, g2=1, g1=2), 2),)


def test_too_few_gpus_are_refused_with_what_is_missing() -> None:
    with pytest.raises(PackingInfeasible, match=r"7.0 of 1g.10gb in a slices are missing"):
        packed(workload("bert", 1400, {"1g": 100}), gpus=1)


def test_few_gpus_of_the_cheap_kind_are_paid_back_in_the_proof() -> None:
    problem = PackingProblem(
        cells=(cell("dear", 9, price=3), cell("a", 2)),
        workloads=(workload("bert", 2100, {"1g": 100}, cells=frozenset({"a", "dear"})),),
    )
    plan = pack(problem, HighsSolver())
    assert (plan.price, plan.bound, plan.proof) == (5, 5, Proof.PRICES)
    assert plan.certificate is not None
    assert dict(plan.certificate.surcharges) == {"a": 2 * UNIT}


# ---------------------------------------------------------------- what may be lost

ZONES = (cell("x", zone="x"), cell("y", zone="y"), cell("z", zone="z"))
EVERYWHERE = frozenset({"x", "y", "z"})


def test_the_loss_of_a_zone_is_survived() -> None:
    spread = workload(
        *("bert", 400, {"1g": 100}), cells=EVERYWHERE, spread=Spread(over=Domain.ZONE), survive=Domain.ZONE
    )  # fmt: skip
    plan = pack(PackingProblem(cells=ZONES, workloads=(spread,)), HighsSolver())
    # Two in each of three zones: four are left, whichever goes. Each zone has its GPU.
    assert plan.replicas == (("bert-1g", 6),)
    assert [(name, count) for name, _, count in plan.opened] == [("x", 1), ("y", 1), ("z", 1)]
    assert plan.proof is Proof.SOLVER


def test_without_survival_spread_alone_costs_no_replica() -> None:
    spread = workload("bert", 400, {"1g": 100}, cells=EVERYWHERE, spread=Spread(over=Domain.ZONE))
    plan = pack(PackingProblem(cells=ZONES, workloads=(spread,)), HighsSolver())
    assert plan.replicas == (("bert-1g", 4),)
    assert sum(count for _, _, count in plan.opened) == 3


def test_two_workloads_that_are_spread_share_the_gpus_of_each_zone() -> None:
    pair = tuple(
        workload(
            *(name, 300, {"1g": 100}), cells=EVERYWHERE, spread=Spread(over=Domain.ZONE), survive=Domain.ZONE
        )
        for name in ("bert", "vgg")
    )  # fmt: skip
    plan = pack(PackingProblem(cells=ZONES, workloads=pair), HighsSolver())
    # Five each: two, two and one. Four of seven slices in a zone, so three GPUs.
    assert (plan.count("bert-1g"), plan.count("vgg-1g"), plan.price) == (5, 5, 3)


# ---------------------------------------------------------------- proofs


def plain(problem: PackingProblem, plan: PackingPlan) -> tuple[Question, Answer, PlainProof]:
    """For the check that shares no code."""
    size = {name: kind for kind, name in SHAPES.items()}
    question = Question(
        demand={w.name: w.demand_mrps for w in problem.workloads},
        capacity={
            w.name: {size[v.shape]: v.capacity_mrps for v in w.variants} for w in problem.workloads
        },
        gpus=problem.cells[0].gpus,
    )
    answer = Answer(
        replicas={
            (w.name, size[v.shape]): plan.count(v.name)
            for w in problem.workloads
            for v in w.variants
        },
        gpus=[
            [size[name] for name, n in geometry.counts for _ in range(n)]
            for _, geometry, count in plan.opened
            for _ in range(count)
        ],
    )
    assert plan.certificate is not None
    worth: dict[str, int] = {}
    for row, price in plan.certificate.supply:
        worth[size[row.shape]] = worth.get(size[row.shape], 0) + price
    proof = PlainProof(
        gpu=UNIT,
        slices=worth,
        surcharge=dict(plan.certificate.surcharges).get("a", 0),
        bound=plan.certificate.bound,
    )
    return question, answer, proof


capacities = st.builds(
    lambda base, steps: dict(
        zip(SHAPES, (base + sum(steps[: i + 1]) for i in range(5)), strict=True)
    ),
    st.integers(20, 200),
    st.lists(st.integers(0, 200), min_size=5, max_size=5),
)


@settings(
    max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(st.lists(st.tuples(st.integers(0, 1500), capacities), min_size=1, max_size=4))
def test_plans_and_proofs_pass_a_check_that_shares_no_code(
    drawn: list[tuple[int, dict[str, int]]],
) -> None:
    problem = PackingProblem(
        cells=(cell(gpus=400),),
        workloads=tuple(workload(f"w{i}", rps, caps) for i, (rps, caps) in enumerate(drawn)),
    )
    plan = pack(problem, HighsSolver())
    question, answer, proof = plain(problem, plan)
    assert layout_faults(question, answer) == []
    if plan.proof is Proof.PRICES:
        assert proof_faults(question, proof, plan.price) == []
    assert plan.proof is not None, "small questions are always proven"


def test_the_check_finds_what_is_wrong() -> None:
    problem = PackingProblem(cells=(cell(),), workloads=(workload("bert", 1100, FLAT),))
    question, answer, proof = plain(problem, pack(problem, HighsSolver()))
    assert layout_faults(question, answer) == []
    assert proof_faults(question, proof, 2) == []
    assert layout_faults(replace(question, gpus=1), answer) == ["2 GPUs are used, 1 are there"]
    assert layout_faults(question, replace(answer, gpus=[["3g", "3g", "1g"], ["7g"]]))[0] == (
        "GPU 0 can't be cut into 3g, 3g, 1g"
    )
    fewer = {key: count - (key == ("bert", "1g")) for key, count in answer.replicas.items()}
    assert layout_faults(question, replace(answer, replicas=fewer)) == [
        "1000000 of 1100000 of bert is carried"
    ]
    assert "does not rule out 2 GPUs" in proof_faults(question, proof, 3)[0]
    greedy = replace(proof, slices={**proof.slices, "1g": UNIT})
    assert "a GPU costs" in proof_faults(question, greedy, 2)[0]
    assert "the prices prove" in proof_faults(question, replace(proof, bound=proof.bound * 2), 2)[0]


def test_any_prices_prove_a_true_bound() -> None:
    problem = PackingProblem(cells=(cell(),), workloads=(workload("bert", 1100, FLAT),))
    plan = pack(problem, HighsSolver())
    assert plan.certificate is not None
    for factor in (0, 1, 2, 3, 5):
        prices = {row: price * factor // 2 for row, price in plan.certificate.supply}
        assert certify(problem, prices).price_bound <= plan.price


@settings(
    max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(st.lists(st.tuples(st.integers(0, 1500), capacities), min_size=1, max_size=3))
def test_both_formulations_need_as_many_gpus(drawn: list[tuple[int, dict[str, int]]]) -> None:
    problem = PackingProblem(
        cells=(cell(gpus=400),),
        workloads=tuple(workload(f"w{i}", rps, caps) for i, (rps, caps) in enumerate(drawn)),
    )
    compact = formulate(problem, move_price=0)
    solved = HighsSolver().solve(compact.program, Limits())
    assert solved is not None
    assert sum(read(compact, solved).opened.values()) == pack(problem, HighsSolver()).price


# ---------------------------------------------------------------- a solver is not believed


class Liar:
    """Says that nothing needs anything."""

    def solve(self, program: Program, limits: Limits) -> Solved | None:
        return Solved(
            values=(0.0,) * len(program.costs),
            cost=0.0,
            bound=0.0,
            prices=(0.0,) * len(program.rows),
        )


class GivesUp:
    def solve(self, program: Program, limits: Limits) -> Solved | None:
        return None


def test_a_plan_that_does_not_hold_never_gets_out() -> None:
    problem = PackingProblem(cells=(cell(),), workloads=(workload("bert", 80, FLAT),))
    with pytest.raises(PackingError, match="bert: 0 of 80000 mrps are carried"):
        pack(problem, Liar())


def test_a_solver_that_gives_up_is_said_so() -> None:
    problem = PackingProblem(cells=(cell(),), workloads=(workload("bert", 80, FLAT),))
    with pytest.raises(PackingInfeasible, match=r"or the limits \(10000 nodes\) are too low"):
        pack(problem, GivesUp())


class ColumnsOnly:
    """Solves what is linear or has a convexity row, and gives up on the program of everything."""

    def __init__(self) -> None:
        self._highs = HighsSolver()
        self.asked = 0

    def solve(self, program: Program, limits: Limits) -> Solved | None:
        whole = program.integral and not any(
            least == most == 1 for least, most in zip(program.least, program.most, strict=True)
        )
        self.asked += whole
        return None if whole else self._highs.solve(program, limits)


def test_a_plan_without_a_proof_is_still_a_plan() -> None:
    # Two cells of one GPU each, halves only: the prices see one and a half GPUs for three halves, the cells need two.
    cells = tuple(cell(name, 1, only=cut(g3=2)) for name in "ab")
    problem = PackingProblem(
        cells=cells,
        workloads=tuple(
            workload(name, rps, {"3g": 100}, cells=frozenset({place}))
            for name, rps, place in (("bert", 100, "a"), ("vgg", 100, "b"))
        ),
    )
    solver = ColumnsOnly()
    plan = pack(problem, solver)
    assert (plan.price, plan.bound, plan.proof, solver.asked) == (2, 1, None, 1)
    assert pack(problem, HighsSolver()).proof is Proof.SOLVER


def test_certificates_are_values() -> None:
    assert Certificate(supply=(), surcharges=(), bound=3 * UNIT + 1).price_bound == 4


def test_a_plan_is_checked_against_the_geometries_of_its_cell() -> None:
    problem = PackingProblem(
        cells=(cell(only=cut(g1=7)),), workloads=(workload("bert", 80, {"1g": 100}),)
    )
    plan = pack(problem, HighsSolver())
    other = replace(plan, opened=(("a", cut(g3=1, g1=4), 11),))
    assert check_plan(problem, other) == (
        "1x3g.40gb+4x1g.10gb is none of the geometries of a",
        "11 GPUs of a are used at once, it has 10",
    )
