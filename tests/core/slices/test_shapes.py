"""A template on a cheaper slice, as tables: when it is changed, when it is only said, and what is never written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.alternatives import Alternative
from autoscaler.core.nodes.observed import NodeNeeds, NodeStatus, PoolInput, StockOut
from autoscaler.core.nodes.placement import Placement, SpreadRule, Taint
from autoscaler.core.nodes.settings import NodeSettings, PoolSettings
from autoscaler.core.profile import BatchPrior, ModelPrior, WorkloadPrior
from autoscaler.core.reasons import Reason
from autoscaler.core.sickness import Ailment, SickReplica
from autoscaler.core.slices.observed import SliceNode, SlicePlan
from autoscaler.core.slices.settings import (
    TemplatesMode,
)
from autoscaler.core.slices.shapes import DAY_S, Reviewed
from autoscaler.core.slices.template import (
    SetShape,
    ShapePhase,
    ShapeStep,
    unavailable,
)
from autoscaler.core.types import (
    Decision,
    Mode,
    Pause,
    PodStatus,
    ReplicaStatus,
    Severity,
    WorkloadInput,
)
from tests.core.slices.templates import (
    AUTO,
    HOUR_S,
    MARK,
    NEEDS,
    ONE,
    POOL,
    TWO,
    World,
    node,
    recommend,
    status,
)
from tests.core.story import START_S, spec

# ---------------------------------------------------------------- it is changed


def test_after_an_hour_the_template_asks_for_the_cheaper_slice() -> None:
    world = World()
    early = world.wait(HOUR_S - 60.0)
    assert (early.actions, early.findings) == ((), {})
    assert early.decisions[0].reason is Reason.SHAPE_CHEAPER
    found = world.tick(60.0)
    (action,) = found.actions
    assert action == SetShape(
        namespace="team",
        name="bert",
        step=ShapeStep.CHANGE,
        expected=TWO,
        observed=3,
        known=None,
        mark=replace(MARK, at_s=world.now_s),
        reason=Reason.SHAPE_CHANGING,
        message=(
            "from 2g.20gb to 1g.10gb: 4 x 1g.10gb (8/s each) carry what 3 x 2g.20gb (10/s each) do at 67% of the "
            "cost, for 60 min"
        ),
    )
    assert found.findings == {}


def test_a_larger_slice_keeps_as_many_replicas_until_it_was_measured() -> None:
    others = (Alternative(shape="3g.40gb", replica_rps=40.0, wanted=1),)
    pool = replace(POOL, configs={"threes": "2x3g.40gb"})
    config = replace(AUTO, slices=replace(AUTO.slices, pools={"mig": pool}))
    threes = SliceNode(
        name="n1", pool="mig", config="threes", slices=pool.slices_of("threes"), holders=()
    )
    world = World(config=config, others=others, nodes=(threes,))
    world.spec_changes["slice_shapes"] = ("2g.20gb", "3g.40gb")
    (action,) = world.wait().actions
    assert (action.mark.replicas, action.mark.after) == (3, "3g.40gb")


@pytest.mark.parametrize(
    ("others", "changed"),
    [
        pytest.param((Alternative(shape=ONE, replica_rps=8.0, wanted=5),), True, id="5 of 6: 83%"),
        pytest.param((Alternative(shape=ONE, replica_rps=5.0, wanted=6),), False, id="as dear"),
        pytest.param((Alternative(shape=ONE, replica_rps=4.0, wanted=8),), False, id="dearer"),
        pytest.param((Alternative(shape=ONE, why="not profiled"),), False, id="not known"),
        pytest.param((), False, id="none"),
    ],
)
def test_only_for_a_tenth_less(others: tuple[Alternative, ...], changed: bool) -> None:
    assert bool(World(others=others, nodes=(node(9),)).wait().actions) is changed


def test_ninety_five_percent_is_not_worth_a_rollout() -> None:
    """Ten replicas of a 2g and nineteen of a 1g."""
    others = (Alternative(shape=ONE, replica_rps=5.3, wanted=19),)
    world = World(desired=10, wanted=10, others=others, nodes=(node(30),))
    found = world.wait(4 * HOUR_S)
    assert (found.actions, found.findings) == ((), {})
    # Once it has been wanted for a tenth less, noise up to its equal does not begin the hour anew.
    world.others = (Alternative(shape=ONE, replica_rps=6.0, wanted=17),)
    world.tick(60.0)
    world.others = (Alternative(shape=ONE, replica_rps=5.3, wanted=19),)
    assert world.wait().actions == ()
    world.others = (Alternative(shape=ONE, replica_rps=6.0, wanted=17),)
    assert len(world.tick(60.0).actions) == 1


# ---------------------------------------------------------------- it is not changed, and why


SICK = SickReplica(
    pod="bert-0",
    node="n9",
    ailment=Ailment.SLOW,
    since_s=START_S,
    left_out=True,
)
SPREAD = replace(NEEDS, placement=Placement(spreads=(SpreadRule(key="kubernetes.io/hostname"),)))
OWNED = "Helm applies it, as meta.helm.sh/release-name says: change it there"


@pytest.mark.parametrize(
    ("world", "why"),
    [
        pytest.param(World(config=recommend()), "engine.slices.templates is recommend", id="mode"),
        pytest.param(
            World(spec_changes={"mode": Mode.RECOMMEND}), "its mode is recommend", id="its mode"
        ),
        pytest.param(World(status=status(owner=OWNED)), OWNED, id="belongs to Git"),
        pytest.param(
            World(status=status(unrollable="its rollouts are paused")),
            "its rollouts are paused",
            id="can't be rolled out",
        ),
        pytest.param(
            World(replicas_changes={"held_by": "HorizontalPodAutoscaler team/bert"}),
            "HorizontalPodAutoscaler team/bert scales it",
            id="held by another",
        ),
        pytest.param(World(hold="all scaling is frozen: x"), "all scaling is frozen", id="frozen"),
        pytest.param(World(replicas_changes={"rollout": True}), "a rollout is", id="rollout"),
        pytest.param(World(given_changes={"pods_known": False}), "not all of it", id="pods"),
        pytest.param(World(given_changes={"samples_error": "x"}), "not all of it", id="samples"),
        pytest.param(World(spec_changes={"pause": Pause.UP}), "it is paused: up", id="paused"),
        pytest.param(World(suffering=True), "requests miss the objective", id="suffering"),
        pytest.param(World(violated=0.02), "requests miss the objective", id="misses"),
        pytest.param(World(sick=(SICK,)), "a replica is sick", id="sick"),
        pytest.param(World(target=4), "its replicas are being scaled", id="growing"),
        pytest.param(World(ready=2), "not all of its replicas are ready", id="starting"),
        pytest.param(
            World(replicas_changes={"blocked": "quota"}), "pods can't be made: quota", id="blocked"
        ),
        pytest.param(
            World(status=status(max_unavailable="25%")),
            "maxUnavailable 25% lets 1 of 4 replicas be missing, and 4 are needed: set it to 0",
            id="would take one away",
        ),
        pytest.param(
            World(status=status(max_unavailable="some")), "that can't be read", id="unreadable"
        ),
        pytest.param(World(nodes=(node(3),)), "3 free 1g.10gb are there for 4", id="no room"),
        pytest.param(World(nodes=()), "0 free 1g.10gb", id="no node"),
        pytest.param(World(nodes=(node(4, cordoned=True),)), "0 free", id="cordoned"),
        pytest.param(World(nodes=(node(4, holders=None),)), "0 free", id="holders not known"),
        pytest.param(
            World(nodes=(node(4, taints=(Taint(key="theirs"),)),)), "0 free", id="another's node"
        ),
        pytest.param(
            World(plan=SlicePlan(made_at_s=START_S, nodes=(("n1", "twos"),))),
            "0 free",
            id="to be cut otherwise",
        ),
        pytest.param(
            World(spec_changes={"node_needs": SPREAD}), "is not proven", id="spread over nodes"
        ),
    ],
)
def test_it_is_said_with_the_line_to_change(world: World, why: str) -> None:
    found = world.wait()
    assert found.actions == ()
    finding = found.findings[world.id]
    assert (finding.reason, finding.severity) == (Reason.SHAPE_CHEAPER, Severity.NORMAL)
    assert (
        "in the template's container server put nvidia.com/mig-1g.10gb: 1 in the place of nvidia.com/mig-2g.20gb: 1. "
        "Not changed: "
    ) in finding.message
    assert why in finding.message


def test_what_is_only_recommended_says_what_else_is_in_the_way() -> None:
    world = World(config=recommend(), nodes=(node(3),))
    assert world.said(world.wait()).endswith(
        "Not changed: engine.slices.templates is recommend; 3 free 1g.10gb are there for 4 replicas, and the old ones "
        "stay until the new are ready"
    )


@pytest.mark.parametrize(
    ("world", "why"),
    [
        pytest.param(World(wanted=None), "demand or capacity is not known", id="demand"),
        pytest.param(World(unproven="seen 3 times"), "seen 3 times", id="capacity here"),
        pytest.param(
            World(others=(Alternative(shape=ONE, why="profile it there"),)),
            "1g.10gb: profile it there",
            id="capacity there",
        ),
        pytest.param(
            World(spec_changes={"max_replicas": 3}),
            "4 replicas are needed there, 3 are allowed",
            id="ceiling",
        ),
    ],
)
def test_what_is_not_known_is_no_advice(world: World, why: str) -> None:
    found = world.wait(3 * HOUR_S)
    assert (found.actions, found.findings) == ((), {})
    assert (found.decisions[0].reason, found.decisions[0].wanted) == (Reason.SHAPE_STEADY, None)
    assert why in found.decisions[0].message


def test_off_looks_at_nothing() -> None:
    config = replace(AUTO, slices=replace(AUTO.slices, templates=TemplatesMode.OFF))
    world = World(config=config)
    assert world.wait() == Reviewed()


def test_a_profile_of_the_present_slice_is_enough_to_compare_with() -> None:
    models = (ModelPrior(model="m", batches=(BatchPrior(batch_size=1, mean_s=0.05),)),)
    prior = WorkloadPrior(workload="team/bert", models=models, shape=TWO)
    world = World(config=replace(AUTO, priors=(prior,)), unproven="a profile")
    assert len(world.wait().actions) == 1


def test_a_floor_counts_on_both_slices() -> None:
    """With five replicas at least, five of the smaller cost half."""
    world = World(desired=5, floor=5, nodes=(node(5),))
    assert world.wait().actions[0].mark.replicas == 5


def test_not_knowing_for_a_moment_does_not_begin_the_hour_anew() -> None:
    world = World()
    world.wait(HOUR_S - 300.0)
    world.wanted = None
    world.tick(60.0)
    world.wanted = 3
    world.tick(60.0)
    assert len(world.tick(180.0).actions) == 1
    # But for longer it does.
    world = World()
    world.wait(HOUR_S - 300.0)
    world.wanted = None
    world.tick(400.0)
    world.wanted = 3
    assert world.tick(10.0).actions == ()


def rival(pods: int, target: int, resource: str = f"nvidia.com/mig-{ONE}") -> World:
    """Another workload on the smaller slice, with so many pods bound."""
    theirs = WorkloadInput(
        spec=spec("other", node_needs=NodeNeeds(resource=resource, count=1)),
        replicas=ReplicaStatus(desired=target),
        pods=tuple(PodStatus(name=f"o{i}", created_s=START_S, node="n1") for i in range(pods)),
    )
    decision = Decision(
        workload=theirs.spec.id, current=target, target=target, reason=Reason.STEADY, message=""
    )
    return World(nodes=(node(6),), rivals=((theirs, decision),))


def test_what_others_wait_for_is_not_free() -> None:
    assert len(rival(2, 4).wait().actions) == 1
    crowded = rival(1, 4)
    assert "3 free 1g.10gb are there for 4" in crowded.said(crowded.wait())
    assert len(rival(1, 4, resource="nvidia.com/mig-3g.40gb").wait().actions) == 1


@pytest.mark.parametrize(
    ("changes", "seen", "free"),
    [
        pytest.param({}, {}, 2 + 7, id="free there, and a node's worth"),
        pytest.param({"max_nodes": 1}, {}, 2, id="no more nodes"),
        pytest.param({"fixed": True, "max_headroom": 0}, {}, 2, id="that nobody grows"),
        pytest.param(
            {}, {"stock_out": StockOut(at_s=START_S, source="event", message="")}, 2, id="stock-out"
        ),
        pytest.param({}, {"stale": "watch broken"}, 0, id="not known"),
        pytest.param({}, {"nodes": (NodeStatus(name="g1", units=7),)}, 7, id="a node not ready"),
    ],
)
def test_nodes_that_a_pool_can_bring_are_room(
    changes: dict[str, object], seen: dict[str, object], free: int
) -> None:
    pool = PoolSettings(
        labels={"pool": "ones"}, resource=f"nvidia.com/mig-{ONE}", units_per_node=7, max_headroom=7
    )
    pool = replace(pool, **changes)  # type: ignore[arg-type]
    config = replace(AUTO, nodes=NodeSettings(pools={"ones": pool}))
    there = NodeStatus(name="g1", units=7, used_units=5, allocatable_s=START_S)
    theirs = PoolInput(pool="ones", nodes=(there,))
    theirs = replace(theirs, **seen)  # type: ignore[arg-type]
    others = (Alternative(shape=ONE, replica_rps=1.0, wanted=10),)
    world = World(config=config, others=others, wanted=10, desired=10, nodes=(), pools=(theirs,))
    assert f"{free} free 1g.10gb are there for 10" in world.said(world.wait())


# ---------------------------------------------------------------- never twice


def test_a_day_must_pass() -> None:
    done = replace(MARK, before=ONE, after=TWO, phase=ShapePhase.DONE, at_s=START_S)
    world = World(status=status(mark=done))
    assert "and a day must pass" in world.said(world.wait())
    # Even where the mark was taken away by hand.
    world.status = status()
    assert "and a day must pass" in world.said(world.wait())
    world.now_s = START_S + DAY_S
    world.states = tuple(replace(one, seen_s=world.now_s) for one in world.states)
    assert len(world.tick().actions) == 1


@pytest.mark.parametrize(
    ("phase", "why"),
    [
        pytest.param(ShapePhase.FAILED, "failed with this image", id="failed"),
        pytest.param(ShapePhase.DONE, "somebody has taken it back since", id="taken back"),
    ],
)
def test_what_failed_or_was_taken_back_waits_for_another_image(phase: ShapePhase, why: str) -> None:
    mark = replace(MARK, phase=phase, at_s=START_S - 30 * DAY_S, why="OOM")
    world = World(status=status(mark=mark))
    found = world.wait(3 * HOUR_S)
    assert (found.actions, found.findings) == ((), {})
    assert why in found.decisions[0].message
    world.status = status(mark=mark, image="bert:2")
    assert len(world.wait().actions) == 1


def test_one_at_a_time() -> None:
    world = World()
    other = spec("a", node_needs=NEEDS, slice_shapes=(ONE, TWO))
    theirs = WorkloadInput(
        spec=other,
        replicas=ReplicaStatus(desired=1, rollout=True),
        template=status(shape=ONE, mark=replace(MARK, at_s=START_S + HOUR_S)),
    )
    decision = Decision(workload=other.id, current=1, target=1, reason=Reason.STEADY, message="")
    world.rivals = ((theirs, decision),)
    assert "team/a is being changed, one at a time" in world.said(world.wait())


def test_what_has_begun_is_ended_though_nodes_are_not_seen() -> None:
    rolling = replace(MARK, image="bert:1", at_s=START_S)
    world = World(status=status(shape=ONE, mark=rolling), hold="nodes: watch broken")
    assert [action.step for action in world.tick(60.0).actions] == [ShapeStep.SETTLE]
    config = recommend()
    told = World(config=config, status=status(shape=ONE, mark=rolling)).tick(60.0)
    assert told.actions == ()
    assert "not written: engine.slices.templates is recommend" in told.decisions[0].message


@pytest.mark.parametrize(
    ("surge", "missing", "replicas", "expected"),
    [
        ("25%", "25%", 3, 0),
        ("25%", "25%", 4, 1),
        ("1", "0", 4, 0),
        ("0", "0", 4, 1),
        ("0%", "10%", 5, 1),
        ("100%", "2", 4, 2),
        ("x", "0", 4, None),
        ("1", "-1", 4, None),
    ],
)
def test_missing_replicas_as_kubernetes_counts(
    surge: str, missing: str, replicas: int, expected: int | None
) -> None:
    assert unavailable(status(max_surge=surge, max_unavailable=missing), replicas) == expected
