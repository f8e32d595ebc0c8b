"""The engine with pools: the same replicas, and headroom beside them; without pools nothing is different."""

from __future__ import annotations

from dataclasses import replace

from autoscaler.core.nodes.observed import Backend, NodeNeeds, PoolInput
from autoscaler.core.nodes.settings import NodeSettings
from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import Mode
from autoscaler.engine import DecisionEngine
from tests.core.nodes.pools import GPU, pool
from tests.core.story import Story, spec

NEEDS = NodeNeeds(resource=GPU, count=1)
POOLED = EngineConfig(nodes=NodeSettings(pools={"h100": pool()}))
INPUT = (PoolInput(pool="h100", headroom=((Backend.PLACEHOLDER, 0),), foreign_units=0),)


def warm(mode: Mode = Mode.AUTO) -> Story:
    """A workload whose capacity is known, on an engine without pools."""
    story = Story(spec=spec(node_needs=NEEDS, mode=mode))
    story.run(900.0, rate_rps=400.0)
    return story


def test_headroom_comes_beside_the_same_replicas() -> None:
    story = warm()
    engine = DecisionEngine(POOLED)
    engine.restore(story.engine.snapshot())
    story.now_s += 10.0
    assert story.last is not None
    given = replace(story.last, now_s=story.now_s, pools=INPUT)
    with_pools, without = engine.tick(given), story.engine.tick(given)
    (pooled,), (alone,) = with_pools.decisions, without.decisions
    assert (pooled.steps, pooled.target) == (alone.steps, alone.target)
    assert (without.pools, without.plan.headroom) == ((), ())
    assert with_pools.fleet == ()
    (decision,), (action,) = with_pools.pools, with_pools.plan.headroom
    assert decision.facts.held == len(story.pods)
    assert decision.headroom == action.units
    assert action.units > 0
    assert engine.snapshot().nodes.pools[0].headroom == action.units


def test_a_workload_that_is_only_recommended_for_asks_for_no_node() -> None:
    story = warm(Mode.RECOMMEND)
    engine = DecisionEngine(POOLED)
    engine.restore(story.engine.snapshot())
    assert story.last is not None
    result = engine.tick(replace(story.last, now_s=story.now_s + 10.0, pools=INPUT))
    assert [item.headroom for item in result.pools] == [0]


def test_a_fault_in_the_step_leaves_replicas_alone() -> None:
    story = warm()
    engine = DecisionEngine(POOLED)
    engine.restore(story.engine.snapshot())
    assert story.last is not None
    broken = replace(INPUT[0], nodes=None)  # type: ignore[arg-type]
    result = engine.tick(replace(story.last, now_s=story.now_s + 10.0, pools=(broken,)))
    assert len(result.decisions) == 1
    told = [finding.message.split(": ")[:2] for finding in result.fleet]
    assert told == [["scarce GPUs not divided", "TypeError"], ["node pools held", "TypeError"]]
