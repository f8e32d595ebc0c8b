"""What a tick asks of the packing, solved for real: which idle node is cut how, and what is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from autoscaler.controller.forecast_worker import ProcessWorker, WorkerLost, follow
from autoscaler.controller.slice_planner import SlicePlanner
from autoscaler.core.nodes.observed import NodeNeeds, NodeStatus, PoolInput
from autoscaler.core.nodes.placement import Placement
from autoscaler.core.nodes.settings import NodeSettings, PoolSettings
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import (
    GroupDecision,
    GroupMember,
    Holder,
    Mark,
    MigState,
    SliceNode,
    SlicePlan,
    SlicePoolDecision,
    SlicesInput,
)
from autoscaler.core.slices.question import question
from autoscaler.core.slices.settings import SlicePoolSettings, SliceSettings, SlicesMode
from autoscaler.core.types import (
    Decision,
    DecisionStep,
    Mode,
    PodStatus,
    ReplicaStatus,
    Survive,
    TickRecord,
    WorkloadInput,
)
from autoscaler.solver.slices import solve
from tests.core.slices.records import record
from tests.core.story import START_S, spec
from tests.fakes.clock import FakeClock, SteppedClock

T = TypeVar("T")
ONES, THREES = "all-1g.10gb", "all-3g.40gb"
POOL = SlicePoolSettings(
    labels={"pool": "mig"},
    gpu="A100-80GB",
    configs={ONES: "7x1g.10gb", THREES: "2x3g.40gb"},
    gpus_per_node=2,
)
CONFIG = EngineConfig(slices=SliceSettings(mode=SlicesMode.AUTO, pools={"mig": POOL}))


def node(name: str, *pods: str, config: str = ONES, **changes: object) -> SliceNode:
    """Two GPUs; each pod is `name:shape`."""
    holders = tuple(Holder(pod=p.split(":")[0], shape=p.split(":")[1]) for p in pods)
    base = SliceNode(
        name=name,
        pool="mig",
        config=config,
        state=MigState.SUCCESS,
        slices=POOL.slices_of(config if config in POOL.configs else ONES),
        holders=holders,
        devices=len(holders),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def workload(
    name: str, shape: str, target: int, pods: int = 0, **changes: object
) -> tuple[WorkloadInput, Decision]:
    resource = "nvidia.com/gpu" if shape == "gpu" else f"nvidia.com/mig-{shape}"
    needs = NodeNeeds(resource=resource, count=1)
    own = spec(name, **({"node_needs": needs} | changes))
    given = WorkloadInput(
        spec=own,
        replicas=ReplicaStatus(desired=max(1, pods)),
        pods=tuple(PodStatus(name=f"{name}-{i}", created_s=START_S) for i in range(pods)),
    )
    decision = Decision(
        workload=own.id,
        current=pods,
        target=target,
        reason=Reason.STEADY,
        message="",
        mode=own.mode,
    )
    return given, decision


def planned(tick: TickRecord, config: EngineConfig = CONFIG) -> SlicePlan:
    asked = question(tick, config)
    assert asked is not None
    return solve(asked, START_S)


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


def test_a_group_is_asked_for_as_of_late() -> None:
    members = (
        GroupMember(workload="team/ones", shape="1g.10gb", replica_mrps=20_000, price=290, replicas=0),
        GroupMember(workload="team/threes", shape="3g.40gb", replica_mrps=50_000, price=900, replicas=0),
    )  # fmt: skip
    group = GroupDecision(group="team/bert", needed_mrps=40_000, members=members, message="")
    tick = record(
        [node("n1")],
        workload("ones", "1g.10gb", 1, variant_group="bert"),
        workload("threes", "3g.40gb", 1, variant_group="bert"),
        groups=(group,),
        kept={"group team/bert": 110_000, "team/ones": 9},
    )
    asked = question(tick, CONFIG)
    assert asked is not None
    (workload_,) = asked.problem.workloads
    assert (workload_.name, workload_.demand_mrps) == ("group team/bert", 110_000)


def test_an_idle_node_waits_for_what_was_wanted_a_short_while_ago() -> None:
    """Six of 3g need two nodes of four. With one of them wanted now, the other could be given to nobody else."""
    nodes = [node("n1", "team/a-0:3g.40gb", config=THREES), node("n2", config=THREES)]
    mine = workload("a", "3g.40gb", 1, pods=1)
    kept = record(nodes, mine, workload("b", "1g.10gb", 0), kept={"team/a": 6})
    assert planned(kept).nodes == ()
    asked = question(kept, CONFIG)
    assert asked is not None
    assert asked.problem.workloads[0].demand_mrps == 6000


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
def test_a_node_that_can_not_be_used_is_not_counted_on(changes: dict[str, object]) -> None:
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


GROWN = PoolSettings(labels={"pool": "whole"}, max_headroom=8, units_per_node=2, price_per_hour=6.0)


def test_a_group_gets_the_shapes_that_cost_least_with_what_is_there() -> None:
    """120 a second: two GPUs at 3 an hour, or six sevenths on a node that costs 4 in all."""
    config = EngineConfig(
        nodes=NodeSettings(pools={"whole": GROWN}),
        slices=replace(CONFIG.slices, pools={"mig": replace(POOL, price_per_hour=4.0)}),
    )
    members = (
        GroupMember(workload="team/whole", shape="gpu", replica_mrps=60_000, price=3000, replicas=0),
        GroupMember(workload="team/ones", shape="1g.10gb", replica_mrps=20_000, price=290, replicas=0),
    )  # fmt: skip
    group = GroupDecision(group="team/bert", needed_mrps=120_000, members=members, message="")
    pools = (PoolInput(pool="whole", nodes=(NodeStatus(name="w1", units=2),), foreign_units=0),)
    tick = record(
        [node("n1"), node("n2")],
        workload("whole", "gpu", 2, variant_group="bert"),
        workload("ones", "1g.10gb", 1, variant_group="bert"),
        groups=(group,),
        pools=pools,
    )
    plan = planned(tick, config)
    assert plan.replicas == (("team/ones", 6), ("team/whole", 0))
    # All six find a slice on a node that is idle.
    assert plan.first is not None
    assert dict(plan.first)["team/ones"] == 6
    assert dict(plan.spare)["team/ones"] == 8


def test_without_a_slice_pool_groups_share_the_nodes_that_grow() -> None:
    """30 a second are two halves, the cheaper ones, on a node to be brought, or eight of the sevenths that lie free."""
    shapes = {"ones": ("1g.10gb", 14), "halves": ("3g.40gb", 4)}
    pools = {
        name: PoolSettings(
            labels={"pool": name},
            resource=f"nvidia.com/mig-{profile}",
            units_per_node=units,
            max_headroom=units,
        )
        for name, (profile, units) in shapes.items()
    }
    config = EngineConfig(
        nodes=NodeSettings(pools=pools), slices=SliceSettings(mode=SlicesMode.AUTO)
    )
    members = (
        GroupMember(workload="team/ones", shape="1g.10gb", replica_mrps=4_000, price=143, replicas=0),
        GroupMember(workload="team/halves", shape="3g.40gb", replica_mrps=15_000, price=500, replicas=0),
    )  # fmt: skip
    group = GroupDecision(group="team/bert", needed_mrps=30_000, members=members, message="")
    given, decision = workload("other", "1g.10gb", 3, pods=3)
    pods = tuple(replace(pod, node="o1") for pod in given.pods)
    there = NodeStatus(name="o1", units=14, used_units=3)
    seen = (
        PoolInput(pool="ones", nodes=(there,), foreign_units=0),
        PoolInput(pool="halves", foreign_units=0),
    )
    tick = record(
        [],
        (replace(given, pods=pods), decision),
        workload("ones", "1g.10gb", 1, variant_group="bert"),
        workload("halves", "3g.40gb", 2, variant_group="bert"),
        groups=(group,),
        pools=seen,
    )
    plan = planned(tick, config)
    assert plan.replicas == (("team/halves", 0), ("team/ones", 8))
    assert (plan.nodes, plan.infeasible) == ((), None)
    # Where no pool is seen there is nothing to pack onto.
    unseen = replace(tick.input, pools=tuple(replace(one, stale="403") for one in seen))
    assert question(replace(tick, input=unseen), config) is None
    assert question(tick, EngineConfig(slices=config.slices)) is None
    # And without a group nothing to choose.
    assert question(record([], workload("a", "1g.10gb", 3), pools=seen), config) is None


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        pytest.param({}, 1, id="as it should be"),
        # Karpenter's nodes are called after their claims; pods know the node's own name.
        pytest.param({"name": "whole-x7k2l", "node": "w1"}, 1, id="a node of a claim"),
        pytest.param({"units": 0}, 1, id="its device plugin starts anew"),
        pytest.param({"leaving": True}, 0, id="it is being removed"),
    ],
)
def test_a_grown_pools_node_in_use_does_not_end_the_packing(
    changes: dict[str, object], held: int
) -> None:
    small = replace(GROWN, max_headroom=0, units_per_node=3)
    config = EngineConfig(nodes=NodeSettings(pools={"whole": small}), slices=CONFIG.slices)
    there = NodeStatus(name="w1", units=3, used_units=3)
    seen = PoolInput(pool="whole", nodes=(replace(there, **changes),), foreign_units=0)  # type: ignore[arg-type]
    given, decision = workload("a", "gpu", 3, pods=3)
    pods = tuple(replace(pod, node="w1") for pod in given.pods)
    tick = record(
        [node("n1")],
        (replace(given, pods=pods), decision),
        workload("b", "3g.40gb", 1),
        pools=(seen,),
    )
    asked = question(tick, config)
    assert asked is not None
    assert len(asked.problem.held) == held
    # Where the node goes three are asked for and none may come: they don't fit, and that is no contradiction.
    told = planned(tick, config).infeasible
    assert (told is None) == (held > 0)
    assert "in use" not in str(told)


def test_a_whole_gpu_that_is_to_be_brought_costs_its_node() -> None:
    """Seven a second more are one GPU of a node of four, or a node of sevenths that is there and idle."""
    ones = PoolSettings(
        labels={"pool": "ones"},
        resource="nvidia.com/mig-1g.10gb",
        units_per_node=28,
        max_headroom=28,
    )
    whole = PoolSettings(labels={"pool": "whole"}, max_headroom=8, units_per_node=4)
    config = EngineConfig(
        nodes=NodeSettings(pools={"ones": ones, "whole": whole}), slices=CONFIG.slices
    )
    members = (
        GroupMember(workload="team/whole", shape="gpu", replica_mrps=24_000, price=1000, replicas=0),
        GroupMember(workload="team/ones", shape="1g.10gb", replica_mrps=6_000, price=143, replicas=14),
    )  # fmt: skip
    group = GroupDecision(group="team/bert", needed_mrps=91_000, members=members, message="")
    idle = NodeStatus(name="o1", units=28)
    tick = record(
        [node("n1", *(f"team/ones-{i}:1g.10gb" for i in range(14)))],
        workload("whole", "gpu", 0, variant_group="bert"),
        workload("ones", "1g.10gb", 14, pods=14, variant_group="bert"),
        groups=(group,),
        pools=(
            PoolInput(pool="ones", nodes=(idle,), foreign_units=0),
            PoolInput(pool="whole", foreign_units=0),
        ),
    )
    assert planned(tick, config).replicas == (("team/ones", 16), ("team/whole", 0))


def test_what_is_not_known_asks_nothing() -> None:
    tick = record([node("n1")], workload("a", "3g.40gb", 1))
    stale = replace(tick.input, slices=SlicesInput(stale="watch cut"))
    assert question(replace(tick, input=stale), CONFIG) is None
    off = replace(tick.input, slices=None)
    assert question(replace(tick, input=off), CONFIG) is None
    blind = replace(tick.input.workloads[0], pods_known=False)
    unknown = replace(tick.input, workloads=(blind,))
    assert question(replace(tick, input=unknown), CONFIG) is None


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
