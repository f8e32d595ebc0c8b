"""What a tick asks of the packing, solved for real: which idle node is cut how, and what is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.core.reasons import Reason
from autoscaler.core.slices.observed import (
    Holder,
    Mark,
    MigState,
    SliceNode,
    SlicePoolDecision,
    SlicesInput,
)
from autoscaler.core.slices.question import question
from autoscaler.core.types import DecisionStep, Mode
from tests.controller.packed import CONFIG, ONES, THREES, node, planned, workload
from tests.core.slices.records import record


def test_an_idle_node_is_cut_as_what_is_asked_for() -> None:
    plan = planned(record([node("n1"), node("n2")], workload("a", "3g.40gb", 3)))
    assert plan.nodes == (("n1", THREES),)
    assert plan.infeasible is None


def test_nodes_that_are_cut_right_are_left() -> None:
    tick = record(
        [node("n1"), node("n2", config=THREES)],
        workload("a", "3g.40gb", 3),
        workload("b", "1g.10gb", 5),
    )
    assert planned(tick).nodes == ()


def test_a_node_in_use_keeps_its_slices() -> None:
    held = [f"team/b-{i}:1g.10gb" for i in range(3)]
    tick = record(
        [node("n1", *held), node("n2")],
        workload("a", "3g.40gb", 2),
        workload("b", "1g.10gb", 3, pods=3),
    )
    assert planned(tick).nodes == (("n2", THREES),)


def test_other_tenants_pods_are_never_planned_away() -> None:
    tick = record(
        [node("n1", "other/x:1g.10gb"), node("n2", "other/y:1g.10gb")],
        workload("a", "3g.40gb", 1),
    )
    plan = planned(tick)
    assert plan.nodes == ()
    assert plan.infeasible is not None


def test_what_does_not_fit_is_said() -> None:
    plan = planned(record([node("n1")], workload("a", "3g.40gb", 9)))
    assert (plan.nodes, plan.replicas) == ((), ())
    assert plan.infeasible is not None
    assert "does not fit" in plan.infeasible


def test_what_scarcity_cut_is_planned_for() -> None:
    given, decision = workload("a", "3g.40gb", 1)
    step = DecisionStep(
        stage="allocate", before=3, after=1, reason=Reason.SCARCE_GPUS, message="no 3g there"
    )
    tick = record([node("n1"), node("n2")], (given, replace(decision, steps=(step,))))
    asked = question(tick, CONFIG)
    assert asked is not None
    assert asked.problem.workloads[0].demand_mrps == 3000


@pytest.mark.parametrize(
    ("target", "kept", "pods", "growth_ratio", "asked_for"),
    [
        pytest.param(2, {}, 2, 1.0, 2, id="nothing was higher"),
        pytest.param(2, {"team/a": 5}, 2, 1.0, 5, id="five a short while ago"),
        pytest.param(2, {"team/a": 5}, 4, 1.0, 5, id="and four still run"),
        pytest.param(6, {"team/a": 5}, 2, 1.0, 6, id="never less than is wanted now"),
        pytest.param(2, {"team/b": 5}, 2, 1.0, 2, id="another's"),
        pytest.param(2, {"team/a": 6}, 2, 0.5, 4, id="half of the growth"),
        pytest.param(2, {"team/a": 6}, 2, 0.0, 2, id="none of it"),
    ],
)
def test_room_is_asked_for_as_of_late(
    target: int, kept: dict[str, int], pods: int, growth_ratio: float, asked_for: int
) -> None:
    tick = record([node("n1")], workload("a", "1g.10gb", target, pods=pods), kept=kept)
    asked = question(tick, CONFIG, growth_ratio=growth_ratio)
    assert asked is not None
    assert asked.problem.workloads[0].demand_mrps == asked_for * 1000
    now = question(tick, CONFIG, keeps=False)
    assert now is not None
    assert now.problem.workloads[0].demand_mrps == target * 1000


def test_an_idle_node_waits_for_what_was_wanted_a_short_while_ago() -> None:
    """Six of 3g need two nodes of four. With one of them wanted now, the other could be given to nobody else."""
    nodes = [node("n1", "team/a-0:3g.40gb", config=THREES), node("n2", config=THREES)]
    mine = workload("a", "3g.40gb", 1, pods=1)
    kept = record(nodes, mine, workload("b", "1g.10gb", 0), kept={"team/a": 6})
    assert planned(kept).nodes == ()
    asked = question(kept, CONFIG)
    assert asked is not None
    assert asked.problem.workloads[0].demand_mrps == 6000


def test_a_workload_that_is_only_recommended_for_keeps_its_pods() -> None:
    held = [f"team/a-{i}:1g.10gb" for i in range(2)]
    shown = workload("a", "1g.10gb", 14, pods=2, mode=Mode.RECOMMEND)
    assert planned(record([node("n1", *held), node("n2")], shown)).nodes == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"cordoned": True},
        {"ready": False},
        {"leaving": True},
        {"config": "by-hand"},
        {"holders": None},
        {"state": MigState.FAILED},
        {"state": MigState.FAILED, "cordoned": True, "mark": Mark(before=ONES, after=THREES)},
    ],
)
def test_a_node_that_can_not_be_used_is_not_counted_on(changes: dict[str, Any]) -> None:
    tick = record([node("n1", **changes)], workload("a", "3g.40gb", 1))
    assert planned(tick).infeasible is not None


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(node("odd", "their/p:1g.10gb", config=THREES), id="a label by hand"),
        pytest.param(node("odd", "their/p:gpu"), id="a whole GPU in use"),
        pytest.param(node("odd", "their/p:nvidia.com/gpu.shared"), id="a part of a GPU in use"),
        pytest.param(
            node("odd", holders=(Holder(pod="their/p", shape="resource claim", sure=False),)),
            id="who knows what in use",
        ),
    ],
)
def test_one_node_that_is_not_cut_as_its_label_says_does_not_end_the_packing_of_all(
    odd: SliceNode,
) -> None:
    plan = planned(record([odd, node("n2")], workload("a", "3g.40gb", 3)))
    assert (plan.infeasible, plan.nodes) == (None, (("n2", THREES),))


def test_a_pod_that_holds_several_slices_takes_as_many() -> None:
    """Nine of the node's fourteen are left, and ten are asked for."""
    theirs = node("n1", holders=(Holder(pod="their/p", shape="1g.10gb", count=5),))
    assert planned(record([theirs], workload("a", "1g.10gb", 9))).infeasible is None
    assert planned(record([theirs], workload("a", "1g.10gb", 10))).infeasible is not None


def test_a_network_card_beside_a_slice_takes_none() -> None:
    """NVIDIA's are called nvidia.com/hostdev."""
    slice_ = Holder(pod="team/a-0", shape="1g.10gb")
    card = Holder(pod="team/a-0", shape="nvidia.com/hostdev", sure=False)
    both = node("n1", holders=(slice_, card))
    assert planned(record([both], workload("a", "1g.10gb", 14, pods=1))).infeasible is None
    assert planned(record([both], workload("a", "1g.10gb", 15, pods=1))).infeasible is not None


def test_a_node_that_is_stuck_is_not_counted_on() -> None:
    """It stays cordoned until a person has looked: replicas that are planned on it would wait for as long."""
    moving = node("n1", cordoned=True, mark=Mark(before=ONES, after=THREES))
    tick = record([moving], workload("a", "3g.40gb", 3))
    assert planned(tick).infeasible is None
    pool = SlicePoolDecision(pool="mig", reason=Reason.MIG_STUCK, message="", node="n1")
    slices = replace(tick.result.slices, pools=(pool,))
    stuck = replace(tick, result=replace(tick.result, slices=slices))
    assert planned(stuck).infeasible is not None


def test_a_node_that_is_left_alone_after_a_failure_is_planned_with_as_it_is() -> None:
    """Three halves take one node. The plan named the one that nobody may touch, for as long as that lasts."""
    tick = record([node("n1"), node("n2")], workload("a", "3g.40gb", 3))
    assert planned(tick).nodes == (("n1", THREES),)
    pool = SlicePoolDecision(pool="mig", reason=Reason.MIG_WANTED, message="", left_alone=("n1",))
    slices = replace(tick.result.slices, pools=(pool,))
    alone = replace(tick, result=replace(tick.result, slices=slices))
    assert planned(alone).nodes == (("n2", THREES),)
    # Its sevenths are there for those who want them.
    given = [workload("a", "3g.40gb", 3), workload("b", "1g.10gb", 14)]
    both = record([node("n1"), node("n2")], *given)
    assert planned(replace(both, result=replace(both.result, slices=slices))).nodes == (
        ("n2", THREES),
    )


def test_pods_that_run_on_a_node_whose_change_failed_keep_their_slices() -> None:
    failed = node("n1", "team/a-0:1g.10gb", state=MigState.FAILED)
    assert planned(record([failed], workload("a", "1g.10gb", 1, pods=1))).infeasible is None


def test_a_node_that_is_being_cut_counts_as_what_it_will_be() -> None:
    moving = node("n1", cordoned=True, mark=Mark(before=ONES, after=THREES))
    tick = record([moving, node("n2")], workload("a", "3g.40gb", 3))
    assert planned(tick).nodes == ()


def test_what_is_not_known_asks_nothing() -> None:
    tick = record([node("n1")], workload("a", "3g.40gb", 1))
    stale = replace(tick.input, slices=SlicesInput(stale="watch cut"))
    assert question(replace(tick, input=stale), CONFIG) is None
    off = replace(tick.input, slices=None)
    assert question(replace(tick, input=off), CONFIG) is None
    blind = replace(tick.input.workloads[0], pods_known=False)
    unknown = replace(tick.input, workloads=(blind,))
    assert question(replace(tick, input=unknown), CONFIG) is None
