"""Stock-outs and back-ends as stories: the next pool in the same tick, a second try, and what proves itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.nodes import stock
from autoscaler.core.nodes.backend import PREFERRED
from autoscaler.core.nodes.observed import Backend, StockOut
from autoscaler.core.nodes.settings import BackendChoice, NodeSettings
from autoscaler.core.nodes.state import StockState
from autoscaler.core.reasons import Reason
from tests.core.nodes.pools import Workload, World, decided, node, pool, under_way


def two_pools() -> World:
    return World(
        workloads=[Workload(ahead_rps=(60.0, 70.0))],
        pools={
            "cheap": pool("cheap", price_per_hour=10.0),
            "dear": pool("dear", price_per_hour=20.0),
        },
    )


def headrooms(world: World, seconds: float = 10.0) -> tuple[int | None, int | None]:
    answer = world.run(seconds)
    return decided(answer, "cheap").headroom, decided(answer, "dear").headroom


def refuse(world: World) -> None:
    world.stock_outs["cheap"] = StockOut(at_s=world.now_s, source="NodeClaim", message="sold out")


def test_the_next_pool_takes_over_in_the_same_tick() -> None:
    world = two_pools()
    assert headrooms(world) == (5, 0)
    refuse(world)
    answer = world.run()
    cheap, dear = decided(answer, "cheap"), decided(answer, "dear")
    assert (cheap.headroom, dear.headroom) == (0, 5)
    assert not cheap.available
    assert cheap.findings == ((Reason.NODE_STOCK_OUT, "NodeClaim: sold out; asked again in 300 s"),)
    assert "instead of cheap, which can't be had" in dear.message
    # What is asked for now is written before what is not any more.
    assert [(a.pool, a.units, a.beside) for a in answer.actions] == [
        ("dear", 5, ("cheap",)),
        ("cheap", 0, ("dear",)),
    ]


def test_after_its_time_it_is_tried_with_one_unit_and_taken_back_when_a_node_comes() -> None:
    world = two_pools()
    headrooms(world)
    refuse(world)
    assert headrooms(world, 300.0) == (0, 5)
    assert headrooms(world) == (1, 5)
    answer = world.run()
    assert decided(answer, "cheap").reason is Reason.NODE_STOCK_PROBE
    world.nodes["cheap"] = [node("new", age_s=-(world.now_s - node("x").requested_s - 3600.0))]  # type: ignore[operator]
    assert headrooms(world) == (5, 0)


def test_each_refusal_doubles_the_wait_up_to_half_an_hour() -> None:
    world = two_pools()
    waits = []
    for _ in range(5):
        headrooms(world)
        refuse(world)
        headrooms(world)
        refused_s = world.now_s
        while headrooms(world)[0] == 0:
            pass
        waits.append(world.now_s - refused_s)
    assert waits == [300.0, 600.0, 1200.0, 1800.0, 1800.0]


def test_a_pool_that_is_sold_out_for_months_is_asked_every_half_hour() -> None:
    """A thousand refusals in a row, three weeks of them, ended the step: 2.0 ** 1024 is no number."""
    evidence = StockOut(at_s=5000.0, source="Event", message="sold out")
    state = StockState(failures=1024, probing=True)
    judged = stock.judge(state, evidence, (), now_s=5000.0, settings=NodeSettings())
    assert (judged.failures, judged.until_s) == (1025, 6800.0)


def test_a_clock_that_was_ahead_leaves_no_pool_alone_for_longer_than_the_longest_wait() -> None:
    ahead = StockState(failures=1, until_s=5000.0 + 86400.0)
    judged = stock.judge(ahead, None, (), now_s=5000.0, settings=NodeSettings())
    assert (judged.until_s, judged.probing) == (None, True)


def test_a_stock_out_that_is_told_beyond_its_time_is_not_asked_again_in_minus_so_many_seconds() -> (
    None
):
    world = two_pools()
    headrooms(world)
    for _ in range(40):  # the cluster-autoscaler's status is written anew while it lasts
        refuse(world)
        answer = world.run()
    assert decided(answer, "cheap").findings == (
        (Reason.NODE_STOCK_OUT, "NodeClaim: sold out; asked again once that is told no more"),
    )


def test_a_refusal_that_a_node_has_outlived_says_nothing() -> None:
    world = two_pools()
    headrooms(world)
    world.stock_outs["cheap"] = StockOut(at_s=world.now_s - 7200.0, source="Event", message="old")
    world.nodes["cheap"] = [node("since")]
    assert headrooms(world) == (5, 0)


def test_where_no_pool_can_be_had_the_first_is_asked_all_the_same() -> None:
    world = World(workloads=[Workload(ahead_rps=(60.0, 70.0))])
    world.run()
    world.stock_outs["h100"] = StockOut(at_s=world.now_s, source="Event", message="sold out")
    answer = decided(world.run())
    assert (answer.headroom, answer.available) == (5, False)


def test_a_back_end_that_brings_no_node_gives_way_to_the_next() -> None:
    # The cluster-autoscaler serves CapacityBuffers with both flags off: nothing comes.
    world = World(workloads=[Workload(ahead_rps=(60.0, 70.0))])
    assert decided(world.run(600.0)).backend is Backend.CAPACITY_BUFFER
    answer = world.run(20.0)
    assert decided(answer).backend is Backend.PLACEHOLDER
    assert world.written["h100"] == ((Backend.CAPACITY_BUFFER, 0), (Backend.PLACEHOLDER, 5))
    assert decided(world.run(3600.0)).backend is Backend.PLACEHOLDER


def test_what_the_object_says_of_itself_is_told_at_once() -> None:
    """A quota, a webhook: nobody has to wait for ten minutes to hear of it."""
    why = "ReplicaFailure: FailedCreate: exceeded quota"
    world = World(
        workloads=[Workload(ahead_rps=(60.0, 70.0))],
        served=((Backend.PLACEHOLDER, 0),),
        trouble=((Backend.PLACEHOLDER, why),),
    )
    assert decided(world.run()).findings == (
        (
            Reason.NODE_BACKEND_UNPROVEN,
            f"the placeholder does not ask for all of its 5 units: {why}",
        ),
    )
    ((_, message),) = decided(world.run(1200.0)).findings
    assert message.endswith(f"through placeholder and no node is on its way ({why})")


def test_a_node_on_its_way_is_proof_enough() -> None:
    world = World(
        workloads=[Workload(ahead_rps=(60.0, 70.0))],
        nodes={"h100": [under_way("n", since_s=0.0)]},
    )
    assert decided(world.run(7200.0)).backend is Backend.CAPACITY_BUFFER


def test_a_node_that_is_broken_is_no_proof() -> None:
    """One GPU node whose device plugin failed last week, and no other back-end would ever have been tried."""
    broken = replace(under_way("n", since_s=0.0), requested_s=None, broken=True)
    world = World(workloads=[Workload(ahead_rps=(60.0, 70.0))], nodes={"h100": [broken]})
    assert decided(world.run(7200.0)).backend is Backend.PLACEHOLDER


def test_free_units_are_proof_enough() -> None:
    world = World(workloads=[Workload(ahead_rps=(60.0, 70.0))], nodes={"h100": [node("n", used=3)]})
    assert decided(world.run(7200.0)).backend is Backend.CAPACITY_BUFFER


def test_every_back_end_has_its_turn_and_can_be_chosen() -> None:
    assert set(PREFERRED) == set(Backend)
    assert set(BackendChoice) == {BackendChoice.AUTO, *Backend}


def test_a_policy_that_names_what_is_not_served_is_told() -> None:
    world = World(
        pools={"h100": pool(backend=BackendChoice.CAPACITY_BUFFER)},
        served=((Backend.PLACEHOLDER, 0),),
    )
    answer = decided(world.run())
    assert answer.backend is None
    assert answer.findings[0][0] is Reason.NODE_BACKEND_MISSING


@pytest.mark.parametrize(("policys", "autoscalers"), [(2, None), (None, 2), (2, 9), (9, 2)])
def test_what_a_pool_has_no_room_for_below_its_limit_goes_to_the_next(
    policys: int | None, autoscalers: int | None
) -> None:
    """Two of two nodes are there, and fifteen of their GPUs in use: nobody refuses a third, for none is asked for."""
    world = two_pools()
    world.pools = {**world.pools, "cheap": pool("cheap", price_per_hour=10.0, max_nodes=policys)}
    if autoscalers is not None:
        world.most_nodes["cheap"] = autoscalers
    world.nodes["cheap"] = [node("a", used=8), node("b", used=7)]
    answer = world.run()
    cheap, dear = decided(answer, "cheap"), decided(answer, "dear")
    assert (cheap.headroom, dear.headroom) == (1, 4)
    assert dear.message == "4 nvidia.com/gpu that are beyond the limit of cheap"
    assert cheap.reason is dear.reason is Reason.NODE_DEMAND_AHEAD
    # Nothing is on its way, and no interface is to blame for it.
    answer = world.run(1200.0)
    assert decided(answer, "cheap").findings == ()
    # A node on its way has room, as one has that may yet be asked for.
    world.nodes["cheap"] = [node("a", used=8), under_way("b", since_s=world.now_s)]
    assert headrooms(world) == (5, 0)
    world.nodes["cheap"] = [node("a", used=8)]
    assert headrooms(world) == (5, 0)


def test_where_every_pool_is_at_its_limit_it_is_said() -> None:
    world = World(
        workloads=[Workload(ahead_rps=(60.0, 70.0))], pools={"h100": pool(max_nodes=1, unit=2)}
    )
    world.nodes["h100"] = [node("a", used=5)]
    answer = world.run(1200.0)
    decision = decided(answer)
    assert (decision.headroom, decision.reason) == (2, Reason.NODE_HEADROOM_CAPPED)
    assert decision.message.endswith("its limit is 1 nodes, and no pool has room for 3 of them")
    assert decision.findings == ()


in_use = st.lists(st.integers(0, 8), max_size=3)
limits = st.one_of(st.none(), st.integers(0, 4))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(in_use, limits, st.sampled_from([1, 2, 4])), min_size=1, max_size=3),
    st.integers(2, 40),
)
def test_no_pool_is_asked_for_more_than_it_can_have_and_all_of_them_for_no_less(
    made: list[tuple[list[int], int | None, int]], expected: int
) -> None:
    world = World(
        workloads=[Workload(pods=0, ahead_rps=(10.0 * expected, 10.0 * expected))],
        pools={
            f"p{i}": pool(f"p{i}", order=i, unit=unit, max_headroom=64)
            for i, (_, _, unit) in enumerate(made)
        },
    )
    rooms = []
    for i, (used, most, unit) in enumerate(made):
        world.nodes[f"p{i}"] = [node(f"p{i}-{n}", used=held) for n, held in enumerate(used)]
        if most is not None:
            world.most_nodes[f"p{i}"] = most
        more = max(0, (most or 0) - len(used)) * 8
        rooms.append(
            None if most is None else (sum(8 - held for held in used) + more) // unit * unit
        )
    answer = world.run()
    asked = [decided(answer, f"p{i}").headroom or 0 for i in range(len(made))]
    for units, room, (_, _, unit) in zip(asked, rooms, made, strict=True):
        assert units % unit == 0
        assert room is None or units <= room
    if None in rooms:
        assert sum(asked) >= expected
    else:
        assert sum(asked) >= min(expected, sum(room or 0 for room in rooms))
    capped = [one for one in answer.decisions if one.reason is Reason.NODE_HEADROOM_CAPPED]
    assert bool(capped) == (sum(asked) < expected)
