"""What the packing makes of variant groups: which of its shapes each gets, on slices and on nodes that grow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.nodes.observed import NodeStatus, PoolInput
from autoscaler.core.nodes.settings import NodeSettings, PoolSettings
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import GroupDecision, GroupMember
from autoscaler.core.slices.question import question
from autoscaler.core.slices.settings import SliceSettings, SlicesMode
from tests.controller.packed import CONFIG, POOL, node, planned, workload
from tests.core.slices.records import record


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
