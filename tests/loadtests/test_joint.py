"""The joint bench's world by hand: when a node comes and goes, what is missed, and what a move costs."""

from __future__ import annotations

from collections import Counter

import pytest

from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.packing.plan import PackingPlan
from loadtests.bench.joint import at_goal, best_static, static_day
from loadtests.bench.joint_plan import begin, joint_day, problem_of
from loadtests.bench.joint_world import (
    BOOT_MIN,
    EMPTY_MIN,
    GPUS_PER_NODE,
    START_MIN,
    Outcome,
    Sizer,
    World,
)
from loadtests.bench.packing_data import SHAPES, Scenario

ONES = Geometry(((SHAPES["1g"], 7),))
WHOLE = Geometry(((SHAPES["7g"], 1),))
CAPACITY = {"a": {"1g": 1000, "7g": 3000}}
TWO = CAPACITY | {"b": CAPACITY["a"]}


def world(*cuts: Geometry) -> World:
    return World(CAPACITY, cuts or (ONES,))


def test_a_pod_waits_for_a_node_and_then_starts() -> None:
    one = world()
    one.add("a", "1g", 1)
    missed = []
    for _ in range(BOOT_MIN + START_MIN + 1):
        before = one.outcome.missed
        one.step({"a": 1000})
        missed.append(one.outcome.missed - before)
    assert missed == [1000.0] * (BOOT_MIN + START_MIN) + [0.0]
    # Paid for from the request on.
    assert one.outcome.node_gpu_hours == pytest.approx(7 * GPUS_PER_NODE / 60.0)


def test_pods_share_a_node_until_it_is_full() -> None:
    one = world()
    one.add("a", "1g", 7 * GPUS_PER_NODE)
    one.step({"a": 1})
    assert len(one.nodes) == 1
    one.add("a", "1g", 1)
    one.step({"a": 1})
    assert len(one.nodes) == 2


def test_an_empty_node_goes_after_ten_minutes() -> None:
    one = world()
    one.add("a", "1g", 1)
    for _ in range(BOOT_MIN + 1):
        one.step({"a": 1})
    one.stop(one.replicas[0])
    for _ in range(EMPTY_MIN):
        one.step({"a": 1})
    assert len(one.nodes) == 1
    one.step({"a": 1})
    assert one.nodes == {}


def test_a_half_empty_node_is_given_up_and_its_pod_misses_a_minute() -> None:
    one = world()
    one.add("a", "1g", 7 * GPUS_PER_NODE + 1)
    for _ in range(BOOT_MIN + START_MIN + 1):
        one.step({"a": 1})
    for pod in [p for p in one.replicas if p.node == "n0001"][:3]:
        one.stop(pod)
    for _ in range(2 * EMPTY_MIN + 3):
        one.step({"a": 1})
    assert one.outcome.moves == 1
    assert list(one.nodes) == ["n0001"]


def test_sizing_keeps_the_highest_of_five_minutes() -> None:
    sizer = Sizer(0.5)
    assert sizer.needed_mrps({"a": 100}) == {"a": 200}
    assert [sizer.needed_mrps({"a": 10})["a"] for _ in range(5)] == [200, 200, 200, 200, 20]


def test_a_move_begins_where_a_slice_is_free_and_else_waits_without_a_node() -> None:
    """Each of two is to take the kind of slice that the other has: only a seventh is free."""
    one = World(TWO, (ONES, WHOLE))
    one.add("a", "1g", 7 * GPUS_PER_NODE - 1)
    one.add("b", "7g", GPUS_PER_NODE)
    one.step({"a": 1, "b": 1})
    scenario = Scenario(name="s", demand_mrps={"a": 30_000, "b": 10_000}, capacities_mrps=TWO)
    problem = problem_of(scenario, scenario.demand_mrps, one)
    kept = (("n0001", (("a-1g", 26),)), ("n0002", (("b-7g", 3),)))
    plan = PackingPlan(
        replicas=(("a-1g", 26), ("a-7g", 1), ("b-1g", 2), ("b-7g", 3)),
        opened=(),
        kept=kept,
        price=2,
        bound=0,
        proof=None,
    )
    wanted = {("a", "1g"): 26, ("a", "7g"): 1, ("b", "1g"): 2, ("b", "7g"): 3}
    leaving = begin(problem, plan, wanted, one)
    assert Counter(r.workload for r in leaving) == {"a": 1, "b": 1}
    one.step({"a": 1, "b": 1})
    assert Counter((r.workload, r.size) for r in one.replicas) == {
        ("a", "1g"): 27,
        ("b", "1g"): 1,
        ("b", "7g"): 4,
    }
    assert len(one.nodes) == 2
    assert one.outcome.moves == 1


def steady(mrps: int, minutes: int = 90) -> list[Scenario]:
    one = Scenario(name="steady", demand_mrps={"a": mrps}, capacities_mrps=CAPACITY)
    return [one] * minutes


def test_a_steady_demand_costs_everybody_what_it_must() -> None:
    day = steady(11_000)
    whole = static_day(day, (WHOLE,), 1.0)
    assert whole is not None
    assert (whole.missed, whole.node_gpu_hours) == (0.0, pytest.approx(1.5 * GPUS_PER_NODE))
    joint = joint_day(day, 1.0)
    assert (joint.missed, joint.moves) == (0.0, 0)
    assert joint.node_gpu_hours == pytest.approx(1.5 * GPUS_PER_NODE)


def test_the_static_cut_is_the_best_in_hindsight() -> None:
    name, target, outcome = best_static(steady(28_000))
    assert outcome.node_gpu_hours == pytest.approx(1.5 * GPUS_PER_NODE)
    assert "1g.10gb" in name
    assert target >= 1.0


def test_a_cut_on_which_a_workload_does_not_fit_is_none() -> None:
    large = Scenario(name="s", demand_mrps={"a": 1}, capacities_mrps={"a": {"7g": 3000}})
    assert static_day([large], (ONES,), 1.0) is None


def test_the_goal_is_met_at_the_highest_target_that_attains_it() -> None:
    def run(target: float) -> Outcome:
        return Outcome(demanded=100.0, missed=2.0 if target > 0.9 else 1.0)

    found = at_goal(run)
    assert found is not None
    assert found[0] == 0.9
    assert at_goal(lambda _: Outcome(demanded=100.0, missed=50.0)) is None
