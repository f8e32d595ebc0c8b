"""Headroom as stories: asked for before the pods come, let go with them, and never because something is not known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.nodes.choice import choice_of
from autoscaler.core.nodes.claims import Claim, sum_quantile, summed_demand
from autoscaler.core.nodes.observed import Backend, NodeNeeds, NodeStatus, PoolInput
from autoscaler.core.nodes.placement import Placement, Taint, Toleration
from autoscaler.core.nodes.settings import HeadroomMode, NodeSettings
from autoscaler.core.reasons import Reason
from autoscaler.core.types import WorkloadId
from tests.core.nodes.pools import GPU, Workload, World, decided, node, pool


def test_a_forecast_rise_is_asked_for_before_any_pod_is() -> None:
    # 2 pods carry 15 rps now; 60 rps within the node's lead time is 6 replicas at the median, 7 at the upper quantile.
    world = World(workloads=[Workload(ahead_rps=(60.0, 70.0))])
    answer = decided(world.run())
    assert answer.headroom == 5
    assert answer.reason is Reason.NODE_DEMAND_AHEAD
    assert answer.message == "7 nvidia.com/gpu expected within 300 s, 2 held by pods"
    assert world.written["h100"] == ((Backend.CAPACITY_BUFFER, 5), (Backend.PLACEHOLDER, 0))


def test_what_sizing_asks_for_beyond_the_demand_has_to_find_nodes_too() -> None:
    # 60 rps are 6 replicas; at 8 times what it costs to serve, a miss is worth a seventh.
    assert World(workloads=[Workload(ahead_rps=(60.0, 60.0))]).headroom() == 4
    assert World(workloads=[Workload(ahead_rps=(60.0, 60.0), price=8.0)]).headroom() == 5


def test_what_runs_for_a_loss_comes_on_top_of_what_is_expected() -> None:
    # 7 for 70 rps at the upper quantile, and one that a node may take with it; 3 are there.
    bert = Workload(pods=3, ahead_rps=(60.0, 70.0), for_a_loss=1)
    assert World(workloads=[bert]).headroom() == 5


@pytest.mark.parametrize(
    ("age_s", "headroom"),
    [
        # A pod takes 30 s: sizing reads the first minute now, and nodes that take 60 s what is 120 s ahead.
        (0.0, 0),
        # From 30 s on it begins to read the third minute, 60 s later still: what comes within ten is in sight.
        (40.0, 4),
    ],
)
def test_headroom_looks_as_far_as_sizing_will_when_the_node_is_there(
    age_s: float, headroom: int
) -> None:
    bert = Workload(ahead_rps=(15.0, 15.0), later_rps=(60.0, 60.0), age_s=age_s)
    world = World(workloads=[bert], pools={"h100": pool(lead_time_s=60.0)})
    assert world.headroom() == headroom


def test_a_forecast_without_skill_counts_for_nothing() -> None:
    # What is left is the prior: within 330 s demand rises by 0.3 x sqrt(1.1) in one case of ten.
    world = World(workloads=[Workload(ahead_rps=(60.0, 70.0), skill=0.0)])
    assert world.headroom() == 1  # 1.5 replicas of load: 2 whole + 1.5 x 0.35 = 2.5 -> 3


def test_headroom_falls_with_the_pods_that_arrive_and_with_nothing_else() -> None:
    bert = Workload(ahead_rps=(60.0, 70.0))
    world = World(workloads=[bert])
    assert world.headroom() == 5
    bert.pods = 4
    assert world.headroom() == 3  # in the same tick
    bert.ahead_rps = (15.0, 15.0)
    assert world.headroom() == 3  # the forecast fell: patience
    assert decided(world.run()).reason is Reason.NODE_HEADROOM_KEPT
    assert world.headroom(seconds=270.0) == 3
    assert world.headroom(seconds=30.0) == 0  # a lead time of 300 s later
    assert decided(world.run()).reason is Reason.NODES_UNNEEDED


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stale": {"h100": "the node watch is cut"}}, "held: the node watch is cut"),
        ({"pods_known": False}, "held: the pods of team/bert are not known"),
    ],
)
def test_what_is_not_known_changes_nothing(change: dict[str, object], said: str) -> None:
    bert = Workload(ahead_rps=(60.0, 70.0))
    world = World(workloads=[bert])
    assert world.headroom() == 5
    bert.ahead_rps = (90.0, 99.0)
    bert.pods = 0
    world.stale = change.get("stale", {})  # type: ignore[assignment]
    bert.pods_known = bool(change.get("pods_known", True))
    answer = world.run(seconds=3600.0)
    assert decided(answer).headroom == 5
    assert decided(answer).message == said
    assert answer.actions == ()


def test_demand_that_is_not_known_is_taken_to_go_on_as_it_is() -> None:
    bert = Workload(pods=4, rps=None)
    world = World(workloads=[bert, Workload(name="gpt", ahead_rps=(30.0, 30.0))])
    # 4 go on as they are, 3 of the other, of which 2 are there.
    assert world.headroom() == 1


def test_a_pool_that_was_never_seen_gets_no_number_and_no_write() -> None:
    world = World(stale={"h100": "not listed yet"})
    answer = world.run()
    assert decided(answer).headroom is None
    assert answer.actions == ()


def test_the_cap_holds_and_says_so() -> None:
    world = World(workloads=[Workload(ahead_rps=(600.0, 700.0))])
    answer = decided(world.run())
    assert (answer.headroom, answer.reason) == (32, Reason.NODE_HEADROOM_CAPPED)


def test_a_schedule_raises_where_nothing_else_is_known() -> None:
    world = World(workloads=[Workload(rps=None, floor_ahead=10)])
    assert world.headroom() == 8


def test_the_cap_is_whole_placeholders_too() -> None:
    """Ten units are three placeholders of four: twelve were asked for, and written anew in every tick."""
    world = World(
        workloads=[Workload(ahead_rps=(300.0, 400.0))],
        pools={"h100": pool(max_headroom=10, unit=4)},
    )
    world.run()
    answer = world.run()
    assert (decided(answer).headroom, decided(answer).reason) == (8, Reason.NODE_HEADROOM_CAPPED)
    assert answer.actions == ()


def test_what_other_tenants_took_leaves_whole_placeholders() -> None:
    world = World(workloads=[Workload(ahead_rps=(60.0, 70.0))], pools={"h100": pool(unit=4)})
    assert world.headroom() == 8
    world.foreign["h100"] = 11  # three more than are replaced
    assert world.headroom() == 8
    world.foreign["h100"] = 12
    assert world.headroom() == 4


def test_a_pool_that_the_policy_does_not_name_any_more_is_let_go() -> None:
    """Its objects would ask for nodes for ever: the controller lives, so that nothing sweeps them."""
    world = World(pools={"h100": pool()})
    left = PoolInput(pool="h200", headroom=((Backend.PLACEHOLDER, 3),))
    world.left = [left]
    answer = world.run()
    decision = decided(answer, "h200")
    assert (decision.headroom, decision.message) == (
        0,
        "the policy does not name this pool any more",
    )
    (action,) = [one for one in answer.actions if one.pool == "h200"]
    assert (action.backend, action.observed, action.units) == (Backend.PLACEHOLDER, 3, 0)
    world.frozen = "an incident"
    assert [one for one in world.run().actions if one.pool == "h200"] == []
    world.frozen = None
    world.settings = NodeSettings(mode=HeadroomMode.RECOMMEND)
    assert world.run().actions == ()


def test_units_round_up_to_whole_placeholders() -> None:
    world = World(
        workloads=[Workload(ahead_rps=(60.0, 70.0), needs=NodeNeeds(resource=GPU, count=4))],
        pools={"h100": pool(unit=4)},
    )
    assert world.headroom() == 20  # 5 replicas of 4 GPUs


def test_recommend_shows_and_writes_nothing() -> None:
    world = World(
        workloads=[Workload(ahead_rps=(60.0, 70.0))],
        settings=NodeSettings(mode=HeadroomMode.RECOMMEND),
    )
    answer = world.run()
    assert (decided(answer).headroom, answer.actions) == (5, ())


def test_a_freeze_holds_headroom() -> None:
    world = World(workloads=[Workload(ahead_rps=(60.0, 70.0))])
    world.run()
    world.frozen, world.workloads = "maintenance", []
    answer = world.run(seconds=3600.0)
    assert (decided(answer).headroom, decided(answer).reason) == (5, Reason.FROZEN)
    assert answer.actions == ()


def test_other_tenants_are_served_one_node_and_not_for_ever() -> None:
    # Placeholders give way to anybody: each GPU that a stranger takes would be bought anew, without an end.
    world = World(workloads=[Workload(ahead_rps=(60.0, 70.0))], foreign={"h100": 3})
    assert world.headroom() == 5
    world.foreign["h100"] = 11  # 8 more: the allowance is one node's
    assert world.headroom() == 5
    world.foreign["h100"] = 13
    answer = decided(world.run())
    assert answer.headroom == 3
    assert answer.findings == (
        (
            Reason.NODE_HEADROOM_EATEN,
            "other tenants took 10 units while headroom was asked for; 8 are replaced, so 3 of 5 are asked for",
        ),
    )


def test_lead_times_are_learned_from_the_request_on_and_nodes_under_way_count() -> None:
    world = World(nodes={"h100": [node(f"n{i}", took_s=100.0) for i in range(5)]})
    facts = decided(world.run()).facts
    assert facts.lead_time_s == 100.0
    assert facts.stages_s == (("registered", 50.0), ("ready", 80.0), ("allocatable", 100.0))
    late = NodeStatus(name="late", requested_s=world.now_s - 900.0)
    world.nodes["h100"] += [late, NodeStatus(name="later", requested_s=world.now_s - 800.0)]
    assert decided(world.run()).facts.lead_time_s == 910.0


def test_a_node_that_broke_after_days_is_none_that_takes_days() -> None:
    """Its device plugin stops once, and headroom looked five days ahead."""
    world = World(nodes={"h100": [node(f"n{i}", took_s=100.0) for i in range(5)]})
    world.run()
    old = replace(world.nodes["h100"][0], allocatable_s=None, units=0, broken=True)
    world.nodes["h100"][0] = replace(old, requested_s=world.now_s - 432_000.0)
    assert decided(world.run()).facts.lead_time_s == 100.0


def test_a_node_of_which_no_request_was_seen_teaches_nothing() -> None:
    old = NodeStatus(name="old", registered_s=1.0, ready_s=2.0, allocatable_s=3.0, units=8)
    assert decided(World(nodes={"h100": [old]}).run()).facts.lead_time_s == 300.0


@pytest.mark.parametrize(
    ("needs", "choice"),
    [
        (NodeNeeds(resource=GPU, count=1), ("reserved", "spot", "h200")),
        (NodeNeeds(resource=GPU, count=1, selector=(("pool", "h200"),)), ("h200",)),
        (NodeNeeds(resource=GPU, count=1, selector=(("zone", "a"),)), ("reserved", "spot", "h200")),
        (NodeNeeds(resource=GPU, count=16), ()),
        (NodeNeeds(resource="nvidia.com/mig-1g.10gb", count=1), ("mig",)),
        (None, ()),
    ],
)
def test_pools_are_asked_in_the_order_of_policy_then_price(
    needs: NodeNeeds | None, choice: tuple[str, ...]
) -> None:
    pools = {
        "h200": pool("h200"),
        "spot": pool("spot", price_per_hour=30.0),
        "mig": pool("mig", resource="nvidia.com/mig-1g.10gb", units_per_node=56),
        "reserved": pool("reserved", price_per_hour=90.0, order=-1),
    }
    assert choice_of(needs, pools) == choice


TEAM_B = Taint(key="team", value="b")


@pytest.mark.parametrize(
    ("tolerations", "choice"),
    [
        pytest.param((), ("spot",), id="pods that would never go there ask for no node there"),
        pytest.param(
            (Toleration(key="team", value="b"),), ("reserved", "spot"), id="pods that may, do"
        ),
    ],
)
def test_a_pool_whose_nodes_a_taint_keeps_for_others_is_not_asked(
    tolerations: tuple[Toleration, ...], choice: tuple[str, ...]
) -> None:
    pools = {"reserved": pool("reserved", order=-1), "spot": pool("spot")}
    inputs = [PoolInput(pool="reserved", taints=(TEAM_B,)), PoolInput(pool="spot")]
    needs = NodeNeeds(resource=GPU, count=1, placement=Placement(tolerations=tolerations))
    assert choice_of(needs, pools, inputs) == choice


def claim(level: float, median: int, upper: int, trust: float = 1.0, limit: int = 1000) -> Claim:
    return Claim(
        workload=WorkloadId(namespace="team", name="x"),
        held=0,
        level=level,
        level_whole=math.ceil(level),
        median=median,
        upper=upper,
        trust=trust,
        floor=0,
        limit=limit,
    )


def test_a_quantile_of_the_sum_is_no_sum_of_quantiles() -> None:
    # Ten times 10 with 5 more at the quantile: 50 more as a sum, 15.8 if independent, 37.1 at a correlation of 0.5.
    assert sum_quantile([claim(8.0, 10, 15)] * 10) == pytest.approx(100.0 + 37.08, abs=0.01)
    assert summed_demand([claim(8.0, 10, 15)] * 10, rise_units=0.0) == 138


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=20),
    st.floats(0.0, 500.0),
    st.floats(0.0, 1.0),
)
def test_the_sum_lies_between_the_medians_and_the_sum_of_quantiles(
    pairs: list[tuple[int, int]], rise_units: float, trust: float
) -> None:
    claims = [claim(float(low), low, low + more, trust) for low, more in pairs]
    total = sum_quantile(claims)
    assert sum(c.median for c in claims) <= total <= sum(c.upper for c in claims) + 1e-6
    demand = summed_demand(claims, rise_units=rise_units)
    assert sum(c.level_whole for c in claims) <= demand <= sum(c.limit for c in claims)


def test_a_fixed_pool_is_asked_for_nothing_and_its_free_units_are_used_first() -> None:
    # 7 are expected, 2 held; the fixed pool has 3 free, so the one that grows is asked for 2.
    bert = Workload(ahead_rps=(60.0, 70.0))
    world = World(
        workloads=[bert],
        pools={"a": pool("a", fixed=True, max_headroom=0), "h100": pool()},
        nodes={"a": [node("n", used=5)]},
    )
    answer = world.run()
    assert (decided(answer, "a").headroom, decided(answer).headroom) == (0, 2)
    assert decided(answer, "a").facts.supply == 8
    assert "a" not in world.written


def test_slices_that_are_free_on_nodes_that_nobody_grows_are_used_first() -> None:
    # 7 sevenths are expected, 2 held: 5 are free on nodes that are there anyway, and no node is brought for them.
    seventh = NodeNeeds(resource="nvidia.com/mig-1g.10gb", count=1)
    bert = Workload(ahead_rps=(60.0, 70.0), needs=seventh)
    world = World(workloads=[bert], pools={"sevenths": pool("sevenths", resource=seventh.resource)})
    assert world.headroom("sevenths") == 5
    bert.free_slices = 5
    assert world.headroom("sevenths") == 0
    bert.free_slices = 4
    assert world.headroom("sevenths") == 1
    # A pod that waits for a place will hold one of them.
    bert.waiting = 1
    assert world.headroom("sevenths") == 2


def test_a_free_slice_is_counted_for_one_choice_of_pools() -> None:
    # Each lacks five, and the same six slices are free for both: five and one.
    pools = {
        name: pool(name, resource="nvidia.com/mig-1g.10gb", labels={"zone": name})
        for name in ("a", "b")
    }
    workloads = [
        Workload(
            name=name,
            ahead_rps=(60.0, 70.0),
            needs=NodeNeeds(resource="nvidia.com/mig-1g.10gb", count=1, selector=(("zone", name),)),
            free_slices=6,
        )
        for name in ("a", "b")
    ]
    answer = World(workloads=workloads, pools=pools).run()
    assert [decided(answer, name).headroom for name in ("a", "b")] == [0, 4]


def test_what_its_group_does_not_grow_by_is_not_asked_for_ahead() -> None:
    # 7 are expected, but they go to a cheaper shape: two have pods, and the one that is wanted now has none yet.
    bert = Workload(ahead_rps=(60.0, 70.0), rests=True)
    world = World(workloads=[bert])
    assert world.headroom() == 0
    bert.target = 3
    assert world.headroom() == 1


def test_what_begins_to_rest_is_not_asked_for_anew() -> None:
    # 7 are expected and six have pods, when its group begins to grow by another shape and takes three of them there.
    bert = Workload(pods=6, rps=55.0, ahead_rps=(60.0, 70.0))
    world = World(workloads=[bert])
    assert world.headroom() == 1
    bert.rests = True
    assert world.headroom() == 1
    bert.pods = 3
    assert world.headroom() == 1
    # For as long as what is expected no more is kept, and then none.
    assert world.headroom(seconds=270.0) == 1
    assert world.headroom(seconds=30.0) == 0
    # It grows again: what is expected then, and nothing of before.
    bert.rests = False
    assert world.headroom() == 4


@pytest.mark.parametrize("fixed", [False, True])
def test_a_node_that_is_of_no_use_is_told_of_after_ten_minutes(fixed: bool) -> None:
    settings = pool(fixed=True, max_headroom=0) if fixed else pool()
    world = World(pools={"h100": settings})
    gone = replace(node("claim-1"), node="n1", allocatable_s=None, broken=True)
    world.nodes["h100"] = [gone, node("n2")]
    assert decided(world.run(600.0)).findings == ()
    assert decided(world.run()).findings == (
        (
            Reason.NODE_BROKEN,
            "n1: not ready, or no nvidia.com/gpu to allocate, for 10 minutes; look at the node's conditions and its "
            "device plugin, or delete it",
        ),
    )
    # One that leaves is on its way out, and one that came back begins anew.
    for calm in (replace(gone, leaving=True), node("n1"), gone):
        world.nodes["h100"] = [calm]
        assert decided(world.run()).findings == ()
