"""Lead time is counted once: a pod's from its node on where headroom brings the node, else both together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.nodes.observed import Backend, NodeNeeds, NodeStatus, PoolInput
from autoscaler.core.nodes.settings import HeadroomMode, NodeSettings, PoolSettings
from autoscaler.core.nodes.state import NodesState, PoolState, StockState
from autoscaler.core.nodes.wait import NodeWait, node_wait
from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import Facts, TickInput
from tests.core.nodes.pools import GPU, pool
from tests.core.story import START_S, Story, spec

NEEDS = NodeNeeds(resource=GPU, count=2)


def node(*, units: int | None = 8, used: int = 0, leaving: bool = False) -> NodeStatus:
    there_s = None if units is None else START_S
    return NodeStatus(
        name="n", allocatable_s=there_s, units=units, used_units=used, leaving=leaving
    )


ASKED = PoolState(pool="h100", backend=Backend.PLACEHOLDER)
SOLD_OUT = replace(ASKED, stock=StockState(until_s=START_S + 300.0))


@pytest.mark.parametrize(
    ("mode", "settings", "state", "nodes", "stale", "apart", "room"),
    [
        pytest.param("auto", pool(), ASKED, (node(),), None, True, True, id="headroom is asked for"),
        pytest.param("auto", pool(), ASKED, (), None, True, False, id="also while no node is there"),
        pytest.param("auto", pool(), None, (), None, True, False, id="the first tick asks for it"),
        pytest.param("auto", pool(), replace(ASKED, backend=None), (), None, False, False,
                     id="no back-end takes it"),
        pytest.param("auto", pool(), SOLD_OUT, (), None, False, False, id="sold out"),
        pytest.param("recommend", pool(), ASKED, (node(),), None, False, True, id="recommended only"),
        pytest.param("recommend", pool(), ASKED, (node(used=7),), None, False, False,
                     id="one unit left of two that are needed"),
        pytest.param("recommend", pool(), ASKED, (node(units=None),), None, False, False,
                     id="a node on its way has no room yet"),
        pytest.param("recommend", pool(), ASKED, (node(leaving=True),), None, False, False,
                     id="nor one that goes"),
        pytest.param("recommend", pool(), ASKED, (), "no watch", False, True,
                     id="what is not known is not full"),
        pytest.param("recommend", pool(fixed=True), ASKED, (node(used=8),), None, True, False,
                     id="nobody brings nodes: nothing to look ahead to"),
    ],
)  # fmt: skip
def test_whose_wait_it_is(
    mode: str,
    settings: PoolSettings,
    state: PoolState | None,
    nodes: tuple[NodeStatus, ...],
    stale: str | None,
    apart: bool,
    room: bool,
) -> None:
    told = node_wait(
        NEEDS,
        (PoolInput(pool="h100", nodes=nodes, stale=stale),),
        NodesState(pools=() if state is None else (state,)),
        NodeSettings(mode=HeadroomMode(mode), pools={"h100": settings}),
        asks=True,
        now_s=START_S,
    )
    assert told == NodeWait(apart=apart, lead_s=300.0, room=room)


@pytest.mark.parametrize("needs", [None, NodeNeeds(resource="nvidia.com/mig-1g.10gb", count=1)])
def test_a_workload_that_no_pool_is_for(needs: NodeNeeds | None) -> None:
    settings = NodeSettings(pools={"h100": pool()})
    assert node_wait(needs, (), NodesState(), settings, asks=True, now_s=START_S) is None


def test_one_of_two_pools_that_can_be_had_is_enough() -> None:
    settings = NodeSettings(pools={"spot": pool("spot", order=0), "h100": pool(order=1)})
    state = NodesState(pools=(replace(SOLD_OUT, pool="spot"), ASKED))
    needs = replace(NEEDS, selector=())
    told = node_wait(needs, (), state, settings, asks=True, now_s=START_S)
    assert told is not None
    assert told.apart


def test_no_headroom_is_asked_for_a_workload_that_is_only_recommended_for() -> None:
    settings = NodeSettings(pools={"h100": pool()})
    told = node_wait(NEEDS, (), NodesState(pools=(ASKED,)), settings, asks=False, now_s=START_S)
    assert told == NodeWait(apart=False, lead_s=300.0, room=True)


# ---------------------------------------------------------------- stories

FULL = (PoolInput(pool="h100", nodes=(node(used=8),), headroom=((Backend.PLACEHOLDER, 0),)),)
ROOM = (PoolInput(pool="h100", nodes=(node(used=0),), headroom=((Backend.PLACEHOLDER, 0),)),)


def after_waits(
    mode: HeadroomMode | None, pools: tuple[PoolInput, ...] = ROOM, *, node_s: float = 300.0
) -> Story:
    """Ten starts of 20 s, each after such a wait for a node; `mode` None: no pool is configured."""
    settings = NodeSettings() if mode is None else NodeSettings(mode=mode, pools={"h100": pool()})
    story = Story(
        replicas=4,
        spec=spec(min_replicas=14, node_needs=NodeNeeds(resource=GPU, count=1)),
        config=EngineConfig(nodes=settings),
        node_s=node_s,
        pools=pools,
    )
    story.run(600.0, rate_rps=60.0)
    assert len(story.pods) == 14
    assert all(pod.ready_s is not None for pod in story.pods)
    return story


def facts(story: Story) -> Facts:
    return story.decisions[-1].facts


@pytest.mark.parametrize(
    ("mode", "lead_s", "start_s"),
    [
        pytest.param(None, 320.0, None, id="no pool: the whole wait"),
        pytest.param(HeadroomMode.RECOMMEND, 320.0, 20.0, id="headroom is not written: the same"),
        pytest.param(HeadroomMode.AUTO, 20.0, 20.0, id="headroom looks ahead over the node"),
    ],
)
def test_how_far_a_workload_looks_ahead(
    mode: HeadroomMode | None, lead_s: float, start_s: float | None
) -> None:
    told = facts(after_waits(mode))
    assert (told.lead_time_s, told.start_time_s) == (lead_s, start_s)


def test_a_node_that_nobody_brings_ahead_is_known_of_before_anybody_waited_for_one() -> None:
    story = after_waits(HeadroomMode.RECOMMEND, node_s=0.0)
    assert facts(story).lead_time_s == 20.0
    # The last node is full: the next replica takes the pool's 300 s, which is its seed, and its own 20.
    story.pools = FULL
    story.run(10.0)
    assert (facts(story).lead_time_s, facts(story).start_time_s) == (320.0, 20.0)
    assert "more comes within 320 s" in story.decisions[-1].steps[0].message
    story.pools = ROOM
    story.run(10.0)
    assert facts(story).lead_time_s == 20.0


@pytest.mark.parametrize(
    ("node_s", "startup_s", "lead_s"),
    [
        pytest.param(900.0, 20.0, 20.0, id="a pod that waits for a node is no slow start"),
        pytest.param(0.0, 900.0, 200.0, id="one that has it and is not ready may be"),
    ],
)
def test_pods_that_are_not_ready_yet(node_s: float, startup_s: float, lead_s: float) -> None:
    story = after_waits(HeadroomMode.AUTO)
    story.node_s, story.startup_s = node_s, startup_s
    story.spec = replace(story.spec, min_replicas=20)
    story.run(210.0)
    assert facts(story).lead_time_s == lead_s


def test_a_successor_goes_on_with_both_times() -> None:
    story = after_waits(HeadroomMode.AUTO)
    memory = story.engine.snapshot().workloads[0]
    assert memory.lead_times.observed_s[-10:] == (320.0,) * 10
    assert memory.start_times.observed_s[-10:] == (20.0,) * 10
    successor = type(story.engine)(story.config)
    successor.restore(story.engine.snapshot())
    given = replace(story.given(), pods=())
    told = successor.tick(
        TickInput(now_s=story.now_s + 10.0, workloads=(given,), pools=story.pools)
    )
    assert told.decisions[0].facts.lead_time_s == 20.0
