"""A variant group where slices are scarce: what a plan says goes before the list price, and nobody waits in vain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.reasons import Reason
from autoscaler.core.slices.observed import SlicePlan
from autoscaler.core.slices.state import GroupState
from tests.core.slices.variants import Group, ones, whole
from tests.core.story import START_S, spec


def test_where_no_slice_is_free_it_says_so() -> None:
    group = Group([whole(), ones(current=10, ready=4, pending=6)])
    joined = group.join()
    (finding,) = joined.decisions[spec("ones").id].findings
    assert finding.reason is Reason.NO_FREE_SLICE
    assert finding.message == "6 replicas find no free 1g.10gb; team/whole stays until they run"


def test_the_packing_goes_before_the_list_price() -> None:
    """It found room for seven sevenths beside the nodes in use, and two GPUs for the rest."""
    plan = SlicePlan(made_at_s=START_S, replicas=(("team/ones", 7), ("team/whole", 2)))
    assert Group([whole(), ones()], plan=plan).targets() == {"whole": 4, "ones": 7}
    old = replace(plan, infeasible="too few nodes")
    assert Group([whole(), ones()], plan=old).targets()["ones"] == 10


def test_of_a_plan_with_room_for_more_only_what_is_needed_is_taken() -> None:
    """Room for 60 + 20 x 15 = 360; 260 are needed: the dearer GPU is min-replicas, five sevenths are not started."""
    plan = SlicePlan(made_at_s=START_S, replicas=(("team/ones", 15), ("team/whole", 1)))
    assert Group([whole(), ones()], plan=plan).targets() == {"whole": 4, "ones": 10}
    more = replace(plan, replicas=(("team/ones", 8), ("team/whole", 3)))
    group = Group([whole(), ones(current=8)], plan=more)
    # 340: one GPU is 60 of the 80 too many, and one seventh the rest.
    assert group.join().groups[0].members[0].replicas == 2
    assert group.targets() == {"whole": 2, "ones": 7}


def test_a_replica_for_whose_slice_another_must_go_first_waits_for_it() -> None:
    """Three sevenths are free. A pod that waits for a fourth would bring a node, and nothing needs one."""
    plan = SlicePlan(
        made_at_s=START_S,
        replicas=(("team/ones", 10), ("team/whole", 1)),
        first=(("team/ones", 4), ("team/whole", 4)),
    )
    group = Group([whole(), ones()], plan=plan)
    assert group.targets() == {"whole": 4, "ones": 4}
    (told,) = group.join().groups
    assert told.message.endswith("of the cost; 6 x 1g.10gb once slices are free")
    # 80 of 260 are ready there, so one GPU may go, and others take its place.
    group.members = [whole(), ones(current=4)]
    assert group.targets() == {"whole": 3, "ones": 4}
    group.plan = replace(plan, first=(("team/ones", 10), ("team/whole", 3)))
    group.members = [whole(current=3), ones(current=4)]
    assert group.targets() == {"whole": 3, "ones": 10}


def test_what_the_need_asks_for_does_not_wait_for_a_slice() -> None:
    """340 a second are needed, 260 are there: of nine sevenths that the mix has more, four carry the other 80."""
    plan = SlicePlan(
        made_at_s=START_S,
        replicas=(("team/ones", 14), ("team/whole", 1)),
        first=(("team/ones", 1), ("team/whole", 4)),
    )
    group = Group([whole(), ones(wanted=5)], plan=plan)
    assert group.targets() == {"whole": 4, "ones": 5}


@pytest.mark.parametrize(
    ("spare", "targets"),
    [
        pytest.param(
            {}, {"whole": 4, "ones": 9}, id="none: the cheapest, for which a node may come"
        ),
        pytest.param(
            {"team/whole": 2}, {"whole": 6, "ones": 5}, id="GPUs are free, and carry it now"
        ),
        pytest.param(
            {"team/whole": 1}, {"whole": 5, "ones": 6}, id="one is, the rest comes cheapest"
        ),
        pytest.param(
            {"team/whole": 2, "team/ones": 4}, {"whole": 4, "ones": 9}, id="both are free"
        ),
    ],
)
def test_what_grows_beyond_a_plan_takes_slices_that_are_free(
    spare: dict[str, int], targets: dict[str, int]
) -> None:
    """The plan carries 340 on four GPUs and five sevenths; 420 are needed by now."""
    plan = SlicePlan(
        made_at_s=START_S,
        replicas=(("team/ones", 5), ("team/whole", 4)),
        first=(("team/ones", 5), ("team/whole", 4)),
        spare=tuple(spare.items()),
    )
    members = [whole(wanted=4), ones(wanted=9, current=5)]
    moving = (GroupState(group="team/bert", moving=True),)
    assert Group(members, plan=plan, states=moving).targets() == targets


def test_a_plan_of_a_version_before_holds_nothing_back() -> None:
    plan = SlicePlan(made_at_s=START_S, replicas=(("team/ones", 10), ("team/whole", 1)))
    assert Group([whole(), ones()], plan=plan).targets() == {"whole": 4, "ones": 10}
