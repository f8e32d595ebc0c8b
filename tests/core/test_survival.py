"""What is to survive the loss of a node or a zone has so many replicas that what is left is enough."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.nodes.observed import NodeNeeds, NodeStatus, PoolInput
from autoscaler.core.nodes.placement import HOST_LABEL, ZONE_LABEL, Placement, SpreadRule
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig, ScalingBehavior, ScalingRules
from autoscaler.core.slices.observed import MigState, SliceNode, SlicesInput
from autoscaler.core.survival import Loss, asked, losses, unspread
from autoscaler.core.types import (
    Decision,
    Finding,
    PodStatus,
    ReplicaStatus,
    Survive,
    TickInput,
    WorkloadInput,
)
from tests.core.story import START_S, Story, spec

GPU = NodeNeeds(resource="nvidia.com/gpu", count=1)
ALONE = replace(GPU, placement=Placement(alone=True))
OVER_NODES = replace(GPU, placement=Placement(spreads=(SpreadRule(key=HOST_LABEL),)))
OVER_ZONES = replace(GPU, placement=Placement(spreads=(SpreadRule(key=ZONE_LABEL),)))


@pytest.mark.parametrize(
    ("skew", "domains", "needed", "enough"),
    [
        # One on a node at most: one more.
        (1, None, 1, 2),
        (1, None, 7, 8),
        # Two of four may be on one node.
        (2, None, 2, 4),
        # Where both may be on one, a third and a fourth: two on each of two, or more than that elsewhere.
        (2, None, 1, 3),
        # Three zones: of five 2, 2 and 1, of which one loss leaves three.
        (1, 3, 3, 5),
        # Four replicas are six in three zones, and eight in two.
        (1, 3, 4, 6),
        (1, 2, 4, 8),
    ],
)
def test_how_many_are_enough(skew: int, domains: int | None, needed: int, enough: int) -> None:
    loss = Loss(survive=Survive.ZONE, skew=skew, domains=domains)
    assert loss.enough(needed) == enough
    assert enough - loss.most(enough) >= needed
    assert enough - 1 - loss.most(enough - 1) < needed


def test_enough_is_the_fewest_for_every_skew_and_number_of_domains() -> None:
    for domains in (None, 2, 3, 4, 7):
        for skew in (1, 2, 3, 5, 8):
            loss = Loss(survive=Survive.ZONE, skew=skew, domains=domains)
            for needed in range(12):
                fewest = next(n for n in range(100) if n - loss.most(n) >= needed)
                assert loss.enough(needed) == fewest, (domains, skew, needed)


def test_a_skew_without_bounds_takes_no_time() -> None:
    """The largest that Kubernetes allows: a tick that counted up to it would never end."""
    loss = Loss(survive=Survive.NODE, skew=2_147_483_647)
    assert loss.enough(4) == 2_147_483_651


def seen(needs: NodeNeeds | None, survive: Survive, *nodes: str) -> WorkloadInput:
    pods = tuple(
        PodStatus(name=f"bert-{place}", created_s=START_S, node=node)
        for place, node in enumerate(nodes)
    )
    return WorkloadInput(
        spec=spec(node_needs=needs, survive=survive),
        replicas=ReplicaStatus(desired=len(pods)),
        pods=pods,
    )


ZONES = {"n1": "a", "n2": "a", "n3": "b", "n4": "c"}
POOL = PoolInput(
    pool="h100",
    nodes=tuple(
        NodeStatus(name=f"claim-{name}", node=name, zone=zone) for name, zone in ZONES.items()
    ),
)


@pytest.mark.parametrize(
    ("given", "loss"),
    [
        (seen(ALONE, Survive.NODE, "n1", "n2"), Loss(survive=Survive.NODE, skew=1)),
        # Each on a node of its own: there may be further nodes.
        (seen(OVER_NODES, Survive.NODE, "n1", "n2"), Loss(survive=Survive.NODE, skew=1)),
        # A node has two: none is left without, so there are two.
        (
            seen(OVER_NODES, Survive.NODE, "n1", "n1", "n2"),
            Loss(survive=Survive.NODE, skew=1, domains=2),
        ),
        # What is left after a scale-down may be together by chance.
        (seen(OVER_NODES, Survive.NODE, "n1", "n1"), Loss(survive=Survive.NODE, skew=1)),
        (seen(OVER_NODES, Survive.NODE), Loss(survive=Survive.NODE, skew=1)),
        (
            seen(OVER_ZONES, Survive.ZONE, "n1", "n2", "n3", "n4"),
            Loss(survive=Survive.ZONE, skew=1, domains=3),
        ),
        (seen(OVER_ZONES, Survive.ZONE, "n1", "n3"), Loss(survive=Survive.ZONE, skew=1)),
    ],
)
def test_what_goes_at_once_is_read_off_the_pods(given: WorkloadInput, loss: Loss) -> None:
    tick = TickInput(now_s=START_S, workloads=(given,), pools=(POOL,))
    assert losses(tick) == {given.spec.id: loss}


def test_zones_are_those_of_slice_pools_too() -> None:
    nodes = tuple(
        SliceNode(
            name=name, pool="mig", config="", state=MigState.SUCCESS, slices=Geometry(()), zone=zone
        )
        for name, zone in ZONES.items()
    )
    given = seen(OVER_ZONES, Survive.ZONE, "n1", "n2", "n3")
    tick = TickInput(now_s=START_S, workloads=(given,), slices=SlicesInput(nodes=nodes, fronts=()))
    assert losses(tick) == {given.spec.id: Loss(survive=Survive.ZONE, skew=1, domains=2)}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (seen(OVER_ZONES, Survive.NODE, "n1"), "survive: node, and nothing spreads its pods"),
        (seen(OVER_NODES, Survive.ZONE, "n1"), "survive: zone, and nothing spreads its pods"),
        (seen(None, Survive.NODE, "n1"), "survive: node, and nothing spreads its pods"),
        (seen(OVER_ZONES, Survive.ZONE, "n9"), "survive: zone, and the zones of its nodes are not"),
    ],
)
def test_what_can_not_be_told_is_said(given: WorkloadInput, said: str) -> None:
    (found,) = losses(TickInput(now_s=START_S, workloads=(given,), pools=(POOL,))).values()
    assert isinstance(found, Finding)
    assert found.reason is Reason.UNSUPPORTED
    assert found.message.startswith(said)


def test_the_strictest_of_a_group_counts_for_all_of_it() -> None:
    specs = [
        spec("a", variant_group="g", survive=Survive.NODE),
        spec("b", variant_group="g", survive=Survive.ZONE),
        spec("c", variant_group="g"),
        spec("d", variant_group="other"),
        spec("e", survive=Survive.NODE),
    ]
    found = {str(key): survive.value for key, survive in asked(specs).items()}
    assert found == {
        **{"team/a": "zone", "team/b": "zone", "team/c": "zone"},
        **{"team/d": "none", "team/e": "node"},
    }


def surviving(**changes: Any) -> Story:
    """Eight, each alone on its node, of which four carry 60 a second."""
    return Story(replicas=8, spec=spec(node_needs=ALONE, survive=Survive.NODE, **changes))


def test_one_more_runs_than_the_demand_asks_for() -> None:
    assert Story(replicas=8).run(1200, rate_rps=60).target == 4
    decision = surviving().run(1200, rate_rps=60)
    assert decision.target == 5
    (step,) = [step for step in decision.steps if step.stage == "survive"]
    assert (step.before, step.after, step.reason) == (4, 5, Reason.SURVIVES_LOSS)
    assert step.message == "the loss of a node takes up to 1 of 5, and leaves 4"


def test_when_a_node_goes_the_others_carry_it_and_no_more_are_asked_for() -> None:
    story = surviving()
    story.run(1200, rate_rps=60)
    del story.pods[0]
    story.scale(5)
    decision = story.run(10)
    assert (decision.facts.ready, decision.target) == (4, 5)
    assert decision.facts.queue_ratio is not None
    assert decision.facts.queue_ratio < 0.5
    assert story.run(60).target == 5


def test_noise_moves_it_no_more_than_it_would_without() -> None:
    """At 42 a second two would do, three carry it by now, and are kept for that: four are, where one may go."""

    def worn_down(story: Story) -> tuple[int, Reason]:
        story.run(1200, rate_rps=60)
        for rate_rps in range(58, 42, -2):
            story.run(900, rate_rps=rate_rps)
        decision = story.run(900, rate_rps=42)
        return decision.target, decision.reason

    assert worn_down(Story(replicas=8)) == (3, Reason.WORTH_KEEPING)
    assert worn_down(surviving()) == (4, Reason.WORTH_KEEPING)


def test_a_tolerance_is_of_what_a_loss_leaves() -> None:
    tolerant = EngineConfig(
        behavior=ScalingBehavior(scale_down=ScalingRules(tolerance_ratio=0.3)),
    )
    story = Story(replicas=8, spec=surviving().spec, config=tolerant)
    story.run(1200, rate_rps=60)
    decision = story.run(900, rate_rps=50)
    assert (decision.target, decision.reason) == (5, Reason.WITHIN_TOLERANCE)
    (step,) = [step for step in decision.steps if step.stage == "prove"]
    assert step.message.endswith(" rps with 30% to spare after the loss of a node")


def test_a_single_one_that_is_idle_has_a_second_and_nobody_more() -> None:
    story = surviving()
    assert story.run(3600, rate_rps=0).target == 2
    assert {decision.target for decision in story.decisions[-60:]} == {2}


def test_what_may_go_to_zero_goes_there() -> None:
    story = surviving(min_replicas=0)
    story.run(3600, rate_rps=0)
    assert story.decisions[-1].target == 0


def test_what_a_person_asks_for_is_how_many_run_in_all() -> None:
    assert surviving(min_replicas=3).run(3600, rate_rps=1).target == 3
    assert surviving(max_replicas=4).run(1200, rate_rps=60).target == 4


def test_nothing_is_raised_on_what_is_not_known() -> None:
    story = surviving()
    story.metrics_up = False
    decision = story.run(600, rate_rps=60)
    assert decision.target == 8
    assert not [step for step in decision.steps if step.stage == "survive"]


def test_what_is_there_for_a_zone_stays_while_nodes_can_not_be_listed() -> None:
    story = Story(replicas=8, spec=spec(node_needs=OVER_ZONES, survive=Survive.ZONE))

    def zoned() -> PoolInput:
        """Two zones in turns."""
        return PoolInput(
            pool="h100",
            nodes=tuple(
                NodeStatus(name=f"node-of-{pod.name}", zone="ab"[place % 2])
                for place, pod in enumerate(story.pods)
            ),
        )

    def run(ticks: int, *, listed: bool) -> Decision:
        for _ in range(ticks):
            story.pools = (
                zoned() if listed else PoolInput(pool="h100", stale="nodes: not listed"),
            )
            decision = story.run(10, rate_rps=60)
        return decision

    assert run(120, listed=True).target == 8
    decision = run(120, listed=False)
    assert (decision.target, decision.reason) == (8, Reason.PARTIAL_DATA)
    said = "survive: zone, and the zones of its nodes are not known: nodes: not listed"
    assert said in {finding.message for finding in decision.findings}


def test_where_nothing_spreads_it_no_more_run_and_it_is_said() -> None:
    story = Story(replicas=8, spec=spec(node_needs=GPU, survive=Survive.NODE))
    decision = story.run(1200, rate_rps=60)
    assert decision.target == 4
    assert [f.reason for f in decision.findings if "survive: node" in f.message] == [
        Reason.UNSUPPORTED
    ]


def test_where_all_may_be_in_one_no_more_run_and_it_is_said() -> None:
    loose = replace(GPU, placement=Placement(spreads=(SpreadRule(key=HOST_LABEL, max_skew=20),)))
    story = Story(replicas=8, spec=spec(node_needs=loose, survive=Survive.NODE, max_replicas=20))
    decision = story.run(1200, rate_rps=60)
    assert decision.target == 4
    (found,) = [f for f in decision.findings if "survive: node" in f.message]
    assert found.reason is Reason.UNSUPPORTED
    assert found.message == (
        "survive: node, and all of its replicas may be in one: its spread lets 20 be there while another has none, and "
        "max-replicas is 20: a smaller maxSkew or a higher max-replicas is needed"
    )


def test_a_member_of_a_group_may_be_in_one_place_for_the_others_may_not() -> None:
    one = spec(node_needs=OVER_NODES, survive=Survive.NODE, max_replicas=1, variant_group="bert")
    assert unspread(one, Survive.NODE) is None
    assert unspread(replace(one, variant_group=None), Survive.NODE) is not None
