"""Variant groups that are to survive a loss: what it leaves of all members together carries what is needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.nodes.placement import HOST_LABEL, Placement, SpreadRule
from autoscaler.core.reasons import Reason
from autoscaler.core.slices.observed import GroupDecision, GroupMember
from autoscaler.core.slices.outlast import Standing, outlasting
from autoscaler.core.slices.question import question
from autoscaler.core.slices.settings import SlicesMode
from autoscaler.core.slices.spread import EVERYTHING, Honour, names_of, survivors
from autoscaler.core.survival import Loss
from autoscaler.core.types import Finding, Survive, WorkloadId
from autoscaler.solver.slices import solve
from tests.core.slices.records import record
from tests.core.slices.test_cells import CONFIG, asks, workload
from tests.core.slices.test_spread import ALONE, NODES
from tests.core.slices.variants import AUTO, Group, ones, whole
from tests.core.story import START_S, spec

ONE_EACH = Loss(survive=Survive.NODE, skew=1)
BOTH: dict[WorkloadId, Loss | Finding] = {
    spec("whole").id: ONE_EACH,
    spec("ones").id: ONE_EACH,
}


def test_the_cheaper_shape_stands_in_for_what_goes() -> None:
    """260 a second: one GPU, which min-replicas asks for, and ten sevenths. Without the GPU it takes thirteen, and one
    of these may go with it."""
    group = Group([whole(), ones()], losses=BOTH)
    assert group.targets() == {"whole": 4, "ones": 14}
    (told,) = group.join().groups
    assert told.message.endswith(", and by 4 more when a node is lost")
    group.members = [whole(), ones(current=14)]
    assert group.targets() == {"whole": 1, "ones": 14}


def test_where_no_mix_is_worth_a_move_the_members_own_numbers_are_raised() -> None:
    """248.5 a second of four GPUs and a seventh: without one of each 180 are left, and a GPU more leaves 240."""
    group = Group([whole(), ones(replica_rps=8.5)], losses=BOTH)
    assert group.targets() == {"whole": 6, "ones": 1}
    (step,) = group.join().decisions[spec("whole").id].steps
    assert (step.before, step.after, step.reason) == (4, 6, Reason.SURVIVES_LOSS)
    assert step.message == "group team/bert: the loss of a node is to leave 248/s"
    recommend = replace(AUTO, slices=replace(AUTO.slices, mode=SlicesMode.RECOMMEND))
    group = Group([whole(), ones()], losses=BOTH, config=recommend)
    assert group.targets() == {"whole": 4, "ones": 5}


def test_a_skew_without_bounds_ends_at_the_limits() -> None:
    loose = Loss(survive=Survive.NODE, skew=2_147_483_647)
    members = [
        Standing(name=name, mrps=10, price=price, limit=999_999_999, loss=loose)
        for name, price in (("a", 1), ("b", 2))
    ]
    assert outlasting(members, {"a": 3, "b": 0}, 100) == {"a": 999_999_999, "b": 999_999_999}
    # Of five that may go together the sixth is the first that is left.
    tight = replace(members[0], loss=Loss(survive=Survive.NODE, skew=5), limit=100)
    assert outlasting([tight], {"a": 1}, 20) == {"a": 7}


def test_a_member_that_nothing_spreads_leaves_the_group_as_it_is() -> None:
    unspread = Finding(reason=Reason.UNSUPPORTED, message="nothing spreads its pods")
    losses = {**BOTH, spec("ones").id: unspread}
    assert Group([whole(), ones()], losses=losses).targets() == {"whole": 4, "ones": 10}


def test_what_is_there_for_a_loss_stays_while_a_member_is_not_known() -> None:
    group = Group([whole(current=6), ones(replica_rps=8.5)], losses=BOTH)
    assert group.targets() == {"whole": 6, "ones": 1}
    # What sizing finds for the GPUs by themselves is four.
    unknown = [whole(current=6), ones(replica_rps=8.5, wanted=None)]
    group.members = unknown
    assert group.targets() == {"whole": 6, "ones": 1}
    # Where it never was known, nothing is there for a loss yet.
    assert Group(unknown, losses=BOTH).targets() == {"whole": 4, "ones": 1}


def test_what_is_there_for_a_loss_stays_while_its_nodes_can_not_be_listed() -> None:
    group = Group([whole(current=6), ones(replica_rps=8.5)], losses=BOTH)
    assert group.targets() == {"whole": 6, "ones": 1}
    unlisted = Finding(reason=Reason.PARTIAL_DATA, message="nodes: not listed")
    group.losses = dict.fromkeys(BOTH, unlisted)
    assert group.targets() == {"whole": 6, "ones": 1}


def test_a_group_that_can_not_share_its_demand_says_that_nothing_is_added_for_a_loss() -> None:
    group = Group([whole(), ones()], losses=BOTH, fronts=None)
    assert group.targets() == {"whole": 4, "ones": 1}
    (finding,) = group.join().decisions[spec("whole").id].findings
    assert finding.message.endswith("; until then nothing is added for a loss")


@pytest.mark.parametrize(
    ("limit", "counts"),
    [
        # 100 a second are left by eleven of the cheap one.
        (20, {"cheap": 11, "dear": 1}),
        # Ten of them leave 90; of two dear ones one is left.
        (10, {"cheap": 10, "dear": 2}),
    ],
)
def test_the_first_of_a_shape_may_be_the_one_that_goes(limit: int, counts: dict[str, int]) -> None:
    members = [
        Standing(name="cheap", mrps=10, price=1, limit=limit, loss=ONE_EACH),
        Standing(name="dear", mrps=10, price=5, limit=20, loss=ONE_EACH),
    ]
    assert outlasting(members, {"cheap": 4, "dear": 1}, 100) == counts


def test_limits_end_it() -> None:
    member = Standing(name="a", mrps=10, price=1, limit=5, loss=ONE_EACH)
    assert outlasting([member], {"a": 3}, 1000) == {"a": 5}


# ---------------------------------------------------------------- packed


def members(*names: str) -> tuple[GroupMember, ...]:
    return tuple(
        GroupMember(workload=f"team/{name}", shape=shape, replica_mrps=1000, price=1, replicas=0)
        for name, shape in zip(names, ("3g.40gb", "1g.10gb"), strict=True)
    )


@pytest.mark.parametrize(
    ("survive", "placement", "replicas"),
    [
        # Of either shape a node has one at most.
        (Survive.NONE, ALONE, 4),
        (Survive.NODE, ALONE, 5),
        # Nothing spreads the other member: nothing is counted for it.
        (Survive.NODE, Placement(), 4),
    ],
)
def test_room_is_kept_for_the_loss_of_a_node_of_a_group(
    survive: Survive, placement: Placement, replicas: int
) -> None:
    pairs = [
        workload("a", 2, asks("3g.40gb", ALONE)),
        workload("b", 2, asks("1g.10gb", placement)),
    ]
    grouped = [
        (
            replace(given, spec=replace(given.spec, variant_group="g", survive=survive)),
            decision,
        )
        for given, decision in pairs
    ]
    group = GroupDecision(group="team/g", needed_mrps=4000, members=members("a", "b"), message="")
    asked = question(record(NODES, *grouped, groups=(group,)), CONFIG)
    assert asked is not None
    plan = solve(asked, START_S)
    assert plan.infeasible is None
    assert sum(count for _, count in plan.replicas) == replicas


def test_a_group_has_room_kept_as_one_by_its_highest_priority() -> None:
    over = Placement(spreads=(SpreadRule(key=HOST_LABEL),))
    given = [
        spec("a", node_needs=asks(placement=over), variant_group="g", survive=Survive.NODE),
        spec("b", node_needs=asks(placement=over), variant_group="g", priority=7),
        spec("c", node_needs=asks(placement=over), survive=Survive.NODE, priority=5),
    ]
    groups = {"team/a": "team/g", "team/b": "team/g"}
    kept, left = survivors(given, EVERYTHING, groups)
    assert [sorted(one.members) for one in kept] == [["team/a", "team/b"], ["team/c"]]
    assert left == ()
    kept, left = survivors(given, Honour(surviving_ratio=0.5), groups)
    assert (names_of(kept), names_of(left)) == ({"team/a", "team/b"}, {"team/c"})
