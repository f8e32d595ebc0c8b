"""The packing beside the loop: asked once a minute in a process of its own, which may hang or be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest

from autoscaler.controller.forecast_worker import ProcessWorker, WorkerLost, follow
from autoscaler.controller.slice_planner import SlicePlanner
from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.nodes.placement import Placement
from autoscaler.core.types import Survive
from tests.controller.packed import CONFIG, ONES, THREES, node, workload
from tests.core.slices.records import record
from tests.core.story import START_S
from tests.fakes.clock import FakeClock, SteppedClock

T = TypeVar("T")


async def test_where_not_all_fits_a_part_of_it_is_planned_for() -> None:
    """Two idle nodes hold eight slices of 3g; twelve are asked for: of half, six, two nodes are cut."""
    tick = record([node("n1"), node("n2")], workload("a", "3g.40gb", 12))
    planner = SlicePlanner(Inline(), lambda: tick, FakeClock(now_s=START_S), CONFIG)
    await planner.minute()
    plan = planner.take()
    assert plan is not None
    assert (plan.infeasible, plan.nodes) == (None, (("n1", THREES), ("n2", THREES)))


@pytest.mark.parametrize(
    ("survive", "nodes", "left_out"),
    [
        (Survive.NODE, 4, ""),
        (Survive.NODE, 3, "no room is kept for the loss of a node: it does not fit"),
        (Survive.NONE, 2, "spread constraints are not counted: with them nothing fits"),
    ],
)
async def test_where_spread_or_survival_does_not_fit_the_rest_is_planned_for(
    survive: Survive, nodes: int, left_out: str
) -> None:
    """Three run, one on a node at most; they stay three, however few nodes there are."""
    needs = NodeNeeds(resource="nvidia.com/mig-3g.40gb", count=1, placement=Placement(alone=True))
    there = [node(f"n{i}", config=THREES) for i in range(nodes)]
    tick = record(there, workload("a", "3g.40gb", 3, pods=3, node_needs=needs, survive=survive))
    planner = SlicePlanner(Inline(), lambda: tick, FakeClock(now_s=START_S), CONFIG)
    await planner.minute()
    plan = planner.take()
    assert plan is not None
    assert (plan.infeasible, plan.left_out) == (None, left_out)


async def test_whose_survival_does_not_fit_takes_it_from_nobody_else() -> None:
    """Three nodes of two slices: two of `b`, room for the loss of one, and three of `a`, which would need a fourth."""
    needs = NodeNeeds(resource="nvidia.com/mig-3g.40gb", count=1, placement=Placement(alone=True))
    asked: dict[str, object] = {"node_needs": needs, "survive": Survive.NODE}
    there = [node(f"n{i}", config=THREES) for i in range(3)]
    tick = record(
        there,
        workload("a", "3g.40gb", 3, pods=3, **asked),
        workload("b", "3g.40gb", 2, pods=2, priority=5, **asked),
    )
    planner = SlicePlanner(Inline(), lambda: tick, FakeClock(now_s=START_S), CONFIG)
    await planner.minute()
    plan = planner.take()
    assert plan is not None
    assert (plan.infeasible, plan.unkept) == (None, ("team/a",))
    assert plan.left_out == "no room is kept for the loss of a node of team/a: it does not fit"


async def test_what_is_wanted_now_goes_before_what_was(caplog: pytest.LogCaptureFixture) -> None:
    """An idle node of 3g was another's a short while ago; seven of 1g find a slice nowhere else."""
    nodes = [node("n1", "team/a-0:3g.40gb", config=THREES), node("n2", config=THREES)]
    mine, new = workload("a", "3g.40gb", 1, pods=1), workload("b", "1g.10gb", 7)
    tick = record(nodes, mine, new, kept={"team/a": 6})
    planner = SlicePlanner(Inline(), lambda: tick, FakeClock(now_s=START_S), CONFIG)
    await planner.minute()
    plan = planner.take()
    assert plan is not None
    assert (plan.infeasible, plan.nodes) == (None, (("n2", ONES),))
    # Nothing is amiss.
    assert not [one for one in caplog.records if one.levelname == "WARNING"]


class Inline:
    """A worker that works here, until it is lost."""

    def __init__(self) -> None:
        self.lost = False
        self.hangs = False
        self.closed = False

    async def call(self, work: Callable[..., T], *given: object) -> T:
        if self.lost:
            raise WorkerLost("gone")
        if self.hangs:
            await asyncio.Event().wait()
        return work(*given)

    def close(self) -> None:
        self.closed = True


async def test_a_plan_is_handed_out_once_and_a_lost_worker_leaves_none() -> None:
    tick = record([node("n1"), node("n2")], workload("a", "3g.40gb", 3))
    worker = Inline()
    planner = SlicePlanner(worker, lambda: tick, FakeClock(now_s=START_S), CONFIG)
    assert planner.take() is None
    await planner.minute()
    plan = planner.take()
    assert plan is not None
    assert plan.made_at_s == START_S
    assert planner.take() is None
    worker.lost = True
    await planner.minute()
    assert planner.take() is None


async def test_a_worker_that_does_not_answer_is_ended_and_the_next_minute_asks_anew() -> None:
    """It would be waited for for ever: no plan, no node cut anew, and nothing said."""
    tick = record([node("n1"), node("n2")], workload("a", "3g.40gb", 3))
    worker = Inline()
    worker.hangs = True
    planner = SlicePlanner(worker, lambda: tick, FakeClock(now_s=START_S), CONFIG)
    await planner.minute()
    assert (planner.take(), worker.closed) == (None, True)
    worker.hangs = False
    await planner.minute()
    plan = planner.take()
    assert plan is not None
    assert plan.nodes == (("n1", THREES),)


async def test_nothing_is_asked_before_the_first_tick() -> None:
    planner = SlicePlanner(Inline(), lambda: None, FakeClock(now_s=START_S), CONFIG)
    await planner.minute()
    assert planner.take() is None


async def test_it_is_solved_in_a_process_of_its_own() -> None:
    tick = record([node("n1"), node("n2")], workload("a", "3g.40gb", 3))
    worker = ProcessWorker(follow)
    try:
        planner = SlicePlanner(worker, lambda: tick, SteppedClock(now_s=START_S), CONFIG)
        await planner.minute()
        plan = planner.take()
    finally:
        worker.close()
    assert plan is not None
    assert plan.nodes == (("n1", THREES),)
