"""A variant group as a table and as a story: the cheapest mix, new pods first, nothing lowered on what is unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.members import resting
from autoscaler.core.slices.observed import Front
from autoscaler.core.slices.settings import SliceSettings, SlicesMode
from autoscaler.core.slices.state import GroupState
from autoscaler.core.types import Mode, Pause
from tests.core.slices.variants import AUTO, POOL, Group, Variant, ones, whole
from tests.core.story import spec


def test_replicas_move_to_the_cheaper_shape_new_ones_first() -> None:
    """240 a second on GPUs and 20 on a seventh: one GPU is min-replicas, the other 200 are ten sevenths."""
    group = Group([whole(), ones()])
    assert group.targets() == {"whole": 4, "ones": 10}
    (told,) = group.join().groups
    assert told.message.startswith(
        "260/s are carried by 1 x gpu (60/s each) and 10 x 1g.10gb (20/s each) at "
    )
    group.members = [whole(), ones(current=10, ready=1)]
    assert group.targets() == {"whole": 4, "ones": 10}
    # Six sevenths are ready: 120 of 260, so three GPUs stay for the other 140.
    group.members = [whole(), ones(current=10, ready=6)]
    assert group.targets() == {"whole": 3, "ones": 10}
    group.members = [whole(), ones(current=10, ready=10)]
    assert group.targets() == {"whole": 1, "ones": 10}


def test_while_services_can_not_be_read_what_is_on_its_way_stays() -> None:
    group = Group([whole(), ones()])
    group.targets()
    # Ten sevenths were asked for; alone each member would be sized for its own demand again.
    group.members = [whole(), ones(current=10, ready=1)]
    group.fronts = None
    assert group.targets() == {"whole": 4, "ones": 10}
    held = group.join()
    assert held.groups[0].message.startswith("held: ")
    assert {f.reason for d in held.decisions.values() for f in d.findings} == {Reason.UNSUPPORTED}
    # A group that never could share its demand is refused, and its members are sized alone.
    fresh = Group([whole(), ones(current=10, ready=1)], fronts=None)
    assert fresh.targets() == {"whole": 4, "ones": 1}


NONE = {spec("whole").id: 0, spec("ones").id: 1}


def test_a_member_that_may_sleep_goes_once_the_others_carry_it_all() -> None:
    asleep: dict[str, object] = {"may_sleep": True}
    group = Group([whole(changes=asleep), ones(current=13, ready=12)], floors=NONE)
    assert group.targets() == {"whole": 1, "ones": 13}
    group.members = [whole(changes=asleep), ones(current=13)]
    assert group.targets() == {"whole": 0, "ones": 13}
    # Asleep it shows nothing, and what it could carry is remembered: it wakes where the others have their limit.
    gone = Variant("whole", 60.0, wanted=None, current=0, changes=asleep)
    limited = ones(wanted=15, current=13, changes={"max_replicas": 13})
    group.members = [gone, limited]
    assert group.targets() == {"whole": 1, "ones": 13}


def test_a_member_that_wakes_and_has_no_node_yet_does_not_stop_its_group() -> None:
    """A node takes five minutes, and in these a second GPU is needed: 380 a second are 13 sevenths and 120 more."""
    asleep: dict[str, object] = {"may_sleep": True}
    gone = Variant("whole", 60.0, wanted=None, current=0, changes=asleep)
    limited = ones(wanted=15, current=13, changes={"max_replicas": 13})
    moving = (GroupState(group="team/bert", moving=True),)
    group = Group([gone, limited], floors=NONE, states=moving)
    assert group.targets() == {"whole": 1, "ones": 13}
    waiting = replace(gone, current=1, ready=0, pending=1)
    more = replace(limited, wanted=19)
    group.members = [waiting, more]
    assert group.targets() == {"whole": 2, "ones": 13}
    group.members = [replace(waiting, current=2), more]
    assert group.targets() == {"whole": 2, "ones": 13}
    # One that ran, or of which nobody saw that it slept, may hide what comes to it.
    fresh = Group([waiting, more], floors=NONE, states=moving)
    assert fresh.targets() == {"whole": 1, "ones": 19}
    assert fresh.join().groups[0].message.startswith("held: ")


def test_one_of_them_always_watches_for_requests() -> None:
    floors = dict.fromkeys(NONE, 0)
    quiet = [
        whole(wanted=0, current=1, target=1, changes={"may_sleep": True}),
        ones(wanted=0, current=2, changes={"may_sleep": True}),
    ]
    group = Group(quiet, floors=floors, states=(GroupState(group="team/bert", moving=True),))
    assert group.targets() == {"whole": 0, "ones": 1}


def test_each_step_says_why() -> None:
    joined = Group([whole(), ones()]).join()
    (step,) = joined.decisions[spec("ones").id].steps
    assert (step.stage, step.before, step.after) == ("group", 1, 10)
    assert step.reason is Reason.VARIANT_MIX


def test_what_is_not_worth_a_tenth_is_not_moved() -> None:
    # A seventh that carries 8.5 a second: a GPU of 60 costs 7 for 60, sevenths 7.06 for 60.
    assert Group([whole(), ones(replica_rps=8.5)]).targets() == {"whole": 4, "ones": 1}


def test_what_members_need_is_added_up_before_it_is_rounded() -> None:
    """Six a second on both shapes: each rounds its own part up to one replica, and one seventh carries all of it."""
    asleep: dict[str, object] = {"may_sleep": True}
    quiet = [
        whole(wanted=1, parts=0.0625, current=1, changes=asleep),
        ones(parts=0.1875, current=1),
    ]
    group = Group(quiet, floors=NONE)
    assert group.targets() == {"whole": 0, "ones": 1}
    assert group.join().groups[0].needed_mrps == 3_750 + 3_750
    # Whole numbers, where parts are not told: 80 a second.
    group = Group([whole(wanted=1, current=1, changes=asleep), ones(current=1)], floors=NONE)
    assert group.join().groups[0].needed_mrps == 80_000
    assert group.targets() == {"whole": 1, "ones": 4}


def test_a_capacity_that_wavers_moves_nothing() -> None:
    """Six sevenths of 20.0 a second are needed in one tick, and carry 19.9 each in the next."""
    asleep: dict[str, object] = {"may_sleep": True}
    gone = Variant("whole", 60.0, wanted=None, current=0, changes=asleep)
    group = Group([gone, ones(wanted=6, parts=6.0, current=6)], floors=NONE)
    assert group.targets() == {"whole": 0, "ones": 6}
    group.members = [gone, ones(replica_rps=19.9, wanted=6, parts=6.0, current=6)]
    assert group.targets() == {"whole": 0, "ones": 6}


def test_what_is_worth_keeping_is_kept_once_the_down_window_is_over() -> None:
    gone = Variant("whole", 60.0, wanted=None, current=0, changes={"may_sleep": True})
    group = Group([gone, ones(wanted=6, parts=5.5, parts_kept=6.2, current=7)], floors=NONE)
    assert group.targets(3600.0) == {"whole": 0, "ones": 7}
    group.members = [gone, ones(wanted=6, parts=5.5, parts_kept=5.9, current=7)]
    assert group.targets(3600.0) == {"whole": 0, "ones": 6}
    # What is kept starts nothing.
    group.members = [gone, ones(wanted=6, parts=5.5, parts_kept=6.2, current=6)]
    assert group.targets(3600.0) == {"whole": 0, "ones": 6}


@pytest.mark.parametrize(
    ("pooled", "left"),
    [
        pytest.param(False, 1, id="each carries as much alone"),
        pytest.param(True, 2, id="the two are as one queue, and one alone carries 12"),
    ],
)
def test_none_is_given_up_whose_like_would_not_carry_the_rest(pooled: bool, left: int) -> None:
    """79 a second are needed, on a GPU of 60 and two sevenths of 20."""
    gpu = whole(wanted=1, parts=1.0, current=1)
    group = Group([gpu, ones(wanted=2, parts=0.95, current=2, pooled=pooled)])
    assert group.targets(3600.0) == {"whole": 1, "ones": left}


def test_without_a_plan_a_group_rests_on_what_runs_unless_a_tenth_is_saved() -> None:
    """70 a second: four sevenths cost 4/7, and a GPU that runs and is ready carries them as well, at 7/7."""
    asleep: dict[str, object] = {"may_sleep": True}
    floors = dict.fromkeys(NONE, 0)
    # A GPU at a price that is 5 % more than that of the sevenths in its stead: 62 a second are 3.1 of 20.
    even = Group(
        [
            whole(replica_rps=139.0, wanted=1, parts=1.0, current=1, changes=asleep),
            ones(wanted=0, parts=0.0, current=0, changes=asleep),
        ],
        floors=floors,
        states=(GroupState(group="team/bert", moving=True),),
    )
    assert even.targets() == {"whole": 1, "ones": 0}
    even.members[0] = whole(replica_rps=80.0, wanted=1, parts=0.8, current=1, changes=asleep)
    assert even.targets() == {"whole": 1, "ones": 4}


def test_a_shape_that_is_late_under_no_load_carries_nothing() -> None:
    """A seventh takes longer for one request than the objective allows: its share goes to GPUs, and it goes with it."""
    asleep: dict[str, object] = {"may_sleep": True}
    late = ones(
        wanted=18,
        parts=17.2,
        current=18,
        replica_rps=0.5,
        late=True,
        suffering=True,
        changes=asleep,
    )
    floors = dict.fromkeys(NONE, 0)
    group = Group([whole(wanted=1, parts=0.9, current=1), late], floors=floors)
    # 54 a second on the GPU and 8.6 on the sevenths are two GPUs.
    assert group.targets() == {"whole": 2, "ones": 18}
    group.members = [whole(wanted=1, parts=0.9, current=2), late]
    assert group.targets() == {"whole": 2, "ones": 0}
    # Where no shape can, all do what they can.
    group = Group([whole(wanted=1, parts=0.9, current=1, late=True), late], floors=floors)
    assert group.targets()["ones"] >= 1


def test_a_need_that_falls_is_kept_for_the_down_window() -> None:
    group = Group([whole(), ones(current=10)])
    group.targets()
    group.members = [whole(wanted=1), ones(current=10)]
    assert group.targets(60.0)["ones"] == 10
    assert group.targets(70.0)["ones"] == 1


@pytest.mark.parametrize(
    ("members", "targets"),
    [
        pytest.param(
            [whole(), ones(current=10, unproven="a profile")],
            {"whole": 4, "ones": 10},
            id="the new shape was not measured here",
        ),
        pytest.param(
            [whole(rollout=True), ones(current=10)], {"whole": 4, "ones": 10}, id="a rollout"
        ),
        pytest.param(
            [whole(changes={"pause": Pause.DOWN}), ones(current=10)],
            {"whole": 4, "ones": 10},
            id="paused",
        ),
        pytest.param(
            [whole(suffering=True), ones(current=10)],
            {"whole": 4, "ones": 10},
            id="requests miss the objective",
        ),
        pytest.param(
            [whole(), ones(changes={"pause": Pause.UP})], {"whole": 4, "ones": 1}, id="no growth"
        ),
        pytest.param(
            [whole(), ones(changes={"max_replicas": 5})],
            {"whole": 4, "ones": 5},
            id="max-replicas: the rest stays on GPUs",
        ),
    ],
)
def test_what_holds_a_move(members: list[Variant], targets: dict[str, int]) -> None:
    assert Group(members).targets() == targets


def test_a_burst_that_a_member_answers_is_carried_by_the_group() -> None:
    """Sizing finds four, a panic raises to nine: 540 + 20 a second, of which one GPU carries 60."""
    group = Group([whole(target=9), ones()])
    assert group.targets() == {"whole": 4, "ones": 25}


def test_a_persons_floor_is_kept() -> None:
    group = Group([whole(), ones(current=10)], floors={spec("whole").id: 3, spec("ones").id: 1})
    assert group.targets() == {"whole": 3, "ones": 4}


@pytest.mark.parametrize("unknown", [{"wanted": None}, {"replica_rps": None}])
def test_a_member_that_is_not_known_holds_the_group(unknown: dict[str, object]) -> None:
    group = Group([whole(), ones(current=10, ready=6)])
    group.targets()
    # Its own decision would take the new replicas back before any request came to them.
    group.members = [whole(**unknown), ones(current=10, target=1)]
    assert group.targets() == {"whole": 4, "ones": 10}


def test_unequal_shapes_behind_one_service_are_refused() -> None:
    front = Front(service="team/bert", workloads=("team/ones", "team/whole"))
    joined = Group([whole(), ones()], fronts=(front,)).join()
    (finding,) = joined.decisions[spec("whole").id].findings
    assert finding.reason is Reason.UNSUPPORTED
    assert finding.message == (
        "variant group team/bert: team/ones on 1g.10gb, team/whole on gpu behind one Service, team/bert: it gives each "
        "pod the same share; a Service for each and a router that weights them are needed"
    )
    assert Group([whole(), ones()], fronts=(front,)).targets() == {"whole": 4, "ones": 1}


def test_a_group_with_a_part_of_a_gpu_that_others_share_is_refused() -> None:
    """It passed for a whole GPU, which a replica on it could take the place of."""
    needs = NodeNeeds(resource="nvidia.com/gpu.shared", count=1)
    group = Group([whole(changes={"node_needs": needs}), ones()])
    (finding,) = group.join().decisions[spec("whole").id].findings
    assert finding.reason is Reason.UNSUPPORTED
    assert "team/whole asks for nvidia.com/gpu.shared, a part of a GPU" in finding.message
    assert group.targets() == {"whole": 4, "ones": 1}


def several(*, instances: int | None = 3) -> list[Variant]:
    """One model on a seventh of a GPU: alone in its pod, and three instances of it, which carry twice as much."""
    alone = ones(wanted=6, current=6, instances=1)
    threefold = Variant("threefold", 40.0, wanted=1, current=1, instances=instances)
    return [alone, threefold]


def test_replicas_move_to_pods_with_several_instances_on_one_slice() -> None:
    # 6 x 20 and 1 x 40 a second on seven slices: min-replicas of the one and four of the other carry it on five.
    group = Group(several())
    assert group.targets() == {"ones": 6, "threefold": 4}
    group.members = [
        ones(wanted=6, current=6, instances=1),
        Variant("threefold", 40.0, wanted=1, current=4, instances=3),
    ]
    assert group.targets() == {"ones": 1, "threefold": 4}


@pytest.mark.parametrize(
    ("instances", "refused"),
    [
        pytest.param(3, True, id="a pod of three carries twice what a pod of one does"),
        pytest.param(1, False, id="equal shape, equal instances"),
        pytest.param(None, False, id="how many is not known"),
    ],
)
def test_unequal_instances_behind_one_service_are_refused(
    instances: int | None, refused: bool
) -> None:
    front = Front(service="team/bert", workloads=("team/ones", "team/threefold"))
    joined = Group(several(instances=instances), fronts=(front,)).join()
    said = [
        finding.message
        for decision in joined.decisions.values()
        for finding in decision.findings
        if finding.reason is Reason.UNSUPPORTED
    ]
    assert bool(said) is refused
    assert all("team/threefold on 1g.10gb with 3 instances behind one Service" in s for s in said)


def test_services_that_can_not_be_read_are_not_taken_for_none() -> None:
    assert Group([whole(), ones()], fronts=None).targets() == {"whole": 4, "ones": 1}


def test_recommend_only_says() -> None:
    config = EngineConfig(slices=SliceSettings(mode=SlicesMode.RECOMMEND, pools={"mig": POOL}))
    group = Group([whole(), ones()], config=config)
    joined = group.join()
    assert joined.decisions == {}
    assert joined.groups[0].message.endswith("mode is recommend, so nothing is moved")


def test_a_member_that_is_not_ours_is_left_out() -> None:
    shown = whole(changes={"mode": Mode.RECOMMEND})
    assert Group([shown, ones()]).targets() == {"whole": 4, "ones": 1}


def test_a_group_grows_by_its_cheapest_member_below_its_limit() -> None:
    """Twenty a second for a seventh of a GPU's price beside sixty for all of it: no node is brought ahead for GPUs."""
    group = Group([whole(), ones()])
    inputs = [m.given() for m in group.members]
    assert resting(group.join().groups, inputs, AUTO) == {"team/whole"}
    full = Group(
        [whole(current=3, wanted=3), ones(wanted=2, current=5, changes={"max_replicas": 5})]
    )
    inputs = [m.given() for m in full.members]
    assert resting(full.join().groups, inputs, AUTO) == {"team/ones"}
