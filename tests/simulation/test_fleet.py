"""A fleet as a story: what pods get, what the engine is shown, and what it does with slices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.nodes.observed import Backend
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import MigState, MigStep
from autoscaler.core.types import Outcome
from autoscaler.simulation.fleet.cluster import FleetCluster
from autoscaler.simulation.fleet.forescale import FleetForescale
from autoscaler.simulation.fleet.run import FleetScore, run_fleet
from autoscaler.simulation.fleet.scenario import FleetPool, FleetScenario, MigSettings, Shape
from autoscaler.simulation.nodes import NodeSettings, Span
from autoscaler.simulation.pods import EPOCH_S
from autoscaler.simulation.scenario import Failures
from tests.simulation.fleets import CUT, LARGE, SMALL, fleet, workload

WHOLE = FleetPool(name="whole", settings=NodeSettings(gpus=2, boot_s=180.0), max_headroom=4)
OUT = Span(start_s=500.0, end_s=900.0)


def driven(scenario: FleetScenario) -> tuple[FleetForescale, FleetScore]:
    policy = FleetForescale(scenario, EngineConfig(), keeps=True)
    return policy, run_fleet(policy, FleetCluster(scenario, 1))


# ---------------------------------------------------------------- what is there and what is seen


def test_a_group_is_one_balancer_before_servers_of_unequal_speed() -> None:
    world = FleetCluster(fleet(workload("chat", [12.0], SMALL, LARGE)), 1)
    world.advance(600.0)
    given = {str(one.spec.id): one for one in world.tick_input().workloads}
    assert sorted(given) == ["team/chat-1g.10gb", "team/chat-3g.40gb"]
    served = {
        name: sum(one.models[0].success or 0.0 for one in item.samples)
        for name, item in given.items()
    }
    # 12 a second for ten minutes: the half answers in 80 ms and the seventh in 200, so it gets more of them.
    assert sum(served.values()) == pytest.approx(7200.0, rel=0.05)
    assert served["team/chat-3g.40gb"] > 1.5 * served["team/chat-1g.10gb"]


def test_the_engine_is_told_of_pods_slices_and_nodes_as_kubernetes_has_them() -> None:
    world = FleetCluster(fleet(workload("chat", [5.0], SMALL, LARGE), pools=(CUT, WHOLE)), 1)
    world.advance(30.0)
    told = world.tick_input()
    small, large = told.workloads
    assert (small.spec.variant_group, small.spec.node_needs.resource) == (  # type: ignore[union-attr]
        "chat",
        "nvidia.com/mig-1g.10gb",
    )
    assert small.spec.gpus_per_replica == pytest.approx(1 / 7)
    assert [(pod.name, pod.node) for pod in small.pods] == [("chat-1g.10gb-0", "cut-0")]
    assert [(pod.name, pod.node) for pod in large.pods] == [("chat-3g.40gb-0", "cut-2")]
    assert told.slices is not None
    seen = [(n.name, n.config, str(n.slices), n.devices) for n in told.slices.nodes]
    assert seen == [
        ("cut-0", "small", "7x1g.10gb", 1),
        ("cut-1", "small", "7x1g.10gb", 0),
        ("cut-2", "large", "2x3g.40gb", 1),
        ("cut-3", "large", "2x3g.40gb", 0),
    ]
    assert [one.pod for one in told.slices.nodes[0].holders or ()] == ["team/chat-1g.10gb-0"]
    (pool,) = told.pools
    assert (pool.pool, pool.nodes, pool.headroom) == ("whole", (), ((Backend.CAPACITY_BUFFER, 0),))


def test_a_pod_without_a_free_slice_is_pending_until_one_is_given_back() -> None:
    world = FleetCluster(fleet(workload("rank", [0.0], replace(LARGE, first_replicas=4))), 1)
    world.set_replicas("team/rank", 5)
    world.advance(60.0)
    (given,) = world.tick_input().workloads
    assert [pod.unschedulable for pod in given.pods] == [False] * 4 + [True]
    # Not the youngest goes, but the one whose deletion was marked as cheap; nothing that is ready before the pending.
    world.set_replicas("team/rank", 4)
    world.set_replicas("team/rank", 3, marked=("rank-1",))
    world.set_replicas("team/rank", 4)
    world.advance(120.0)
    (given,) = world.tick_input().workloads
    assert [pod.name for pod in given.pods] == ["rank-0", "rank-2", "rank-3", "rank-5"]
    assert given.pods[-1].scheduled_s == EPOCH_S + 65.0


def test_slices_are_paid_as_parts_of_a_gpu_and_nodes_as_they_are() -> None:
    two = (
        workload("chat", [0.0], replace(SMALL, first_replicas=7)),
        workload("rank", [0.0], LARGE),
    )
    world = FleetCluster(fleet(*two), 1)
    world.advance(3600.0)
    # Half of the memory counts for more than three sevenths of the compute.
    assert world.gpu_hours("chat") == pytest.approx(1.0)
    assert world.gpu_hours("rank") == pytest.approx(0.5)
    assert world.node_gpu_hours == pytest.approx(4.0)
    assert world.used_gpu_hours == pytest.approx(2.0)


def test_headroom_brings_a_node_before_a_pod_waits_and_keeps_it() -> None:
    world = FleetCluster(fleet(workload("vision", [0.0], Shape()), pools=(WHOLE,)), 1)
    world.set_headroom("whole", 2)
    world.advance(10.0)
    assert [n.units for n in world.tick_input().pools[0].nodes] == [2, None], "one boots"
    world.advance(190.0)
    world.set_replicas("team/vision", 3)
    world.advance(205.0)
    (given,) = world.tick_input().workloads
    assert [pod.unschedulable for pod in given.pods] == [False] * 3
    world.set_replicas("team/vision", 1)
    world.advance(1800.0)
    assert len(world.tick_input().pools[0].nodes) == 2, (
        "one free place beside the pod is not enough"
    )
    world.set_headroom("whole", 0)
    world.advance(3000.0)
    assert len(world.tick_input().pools[0].nodes) == 1


def test_a_stock_out_is_told_for_two_minutes() -> None:
    out = NodeSettings(gpus=1, boot_s=60.0, stock_outs=(Span(start_s=100.0, end_s=200.0),))
    world = FleetCluster(
        fleet(workload("vision", [0.0], Shape()), pools=(FleetPool(name="whole", settings=out),)),
        1,
    )
    world.advance(120.0)
    world.set_replicas("team/vision", 2)
    world.advance(190.0)
    told = world.tick_input().pools[0].stock_out
    assert told is not None
    assert told.at_s == EPOCH_S + 190.0
    world.advance(400.0)
    assert world.tick_input().pools[0].stock_out is None
    assert [pod.unschedulable for pod in world.tick_input().workloads[0].pods] == [False, False]


# ---------------------------------------------------------------- what forescale does with it


def recut(**given: float) -> FleetScenario:
    """From 20 a second, for which two halves do, to 55: at twelve for each, five are needed and four are there."""
    rank = workload("rank", [20.0, *[55.0] * 3], replace(LARGE, first_replicas=2))
    return fleet(rank, mig=MigSettings(median_s=60.0, **given))


def test_a_node_is_cut_anew_where_the_demand_needs_other_slices() -> None:
    policy, found = driven(recut())
    assert (found.cuts, found.failed_cuts) == (2, 0)
    nodes = {n.name: n for n in policy.records[-1].input.slices.nodes}  # type: ignore[union-attr]
    assert [nodes[f"cut-{n}"].config for n in range(4)] == ["large"] * 4
    told = [
        action.step.value
        for record in policy.records
        for action in record.result.slices.actions
        if action.node == "cut-0"
    ]
    assert told == ["cordon", "apply", "uncordon"]
    waited_s = [
        record.input.now_s - EPOCH_S
        for record in policy.records
        if any(n.state is MigState.PENDING for n in record.input.slices.nodes)  # type: ignore[union-attr]
    ]
    # The surge is at 600 s; patience is five minutes, and what settles half of one.
    assert 900.0 < waited_s[0] < 1020.0
    last = dict(found.workloads)["rank"].replicas[-1][1]
    ready = policy.records[-1].result.decisions[0].facts.ready
    assert ready is not None
    assert ready >= 5
    assert last >= 5


def test_a_cut_that_fails_and_its_way_back_leave_the_node_to_a_person() -> None:
    policy, found = driven(recut(failed_ratio=1.0))
    assert (found.cuts, found.failed_cuts) == (2, 2), "there and back, and nothing else is touched"
    (pool,) = policy.records[-1].result.slices.pools
    assert pool.reason.value == "MigStuck"
    nodes = policy.records[-1].input.slices.nodes  # type: ignore[union-attr]
    assert [n.cordoned for n in nodes] == [True, False, False, False]


def test_the_packings_answer_comes_after_the_time_that_it_takes() -> None:
    scenario = fleet(workload("chat", [8.0], SMALL, LARGE), planner_s=25.0)
    policy, _ = driven(scenario)
    came = [
        (record.input.now_s - EPOCH_S, record.input.slice_plan.made_at_s - EPOCH_S)
        for record in policy.records
        if record.input.slice_plan is not None
    ]
    assert came[:2] == [(50.0, 20.0), (110.0, 80.0)]


def test_one_engine_decides_for_all_and_every_objective_is_kept() -> None:
    scenario = fleet(
        workload("chat", [10.0, 14.0, 18.0], replace(SMALL, first_replicas=2), LARGE),
        workload("vision", [8.0, 12.0, 16.0], Shape()),
        pools=(CUT, WHOLE),
    )
    policy, found = driven(scenario)
    assert all(len(record.result.decisions) == 3 for record in policy.records)
    attained = {name: score.attainment_ratio for name, score in found.workloads}
    assert min(attained.values()) >= 0.99, attained
    assert not any(record.result.fleet for record in policy.records), "no internal error"
    # 5 a second on 1/7 of a GPU, 12 on a half: sevenths with one half or two, where three halves alone are 1.5 GPUs.
    small, large = (given.replicas.desired for given in policy.records[-1].input.workloads[:2])
    assert small >= 1
    assert small / 7.0 + large / 2.0 <= 1.2


def test_nothing_breaks_and_no_slice_in_use_is_touched_while_everything_goes_wrong() -> None:
    """Pods fail, a node is lost, metrics are out, cuts fail and hang, nodes can't be had, Deployments sleep."""
    asleep = replace(LARGE, min_replicas=0)
    scenario = fleet(
        workload(
            "chat", [10.0, 40.0, 5.0, 40.0, 10.0, 5.0], replace(SMALL, min_replicas=0), asleep
        ),
        workload("rank", [5.0, 30.0, 50.0, 50.0, 10.0, 5.0], replace(LARGE, first_replicas=2)),
        workload("vision", [8.0, 30.0, 8.0, 30.0, 8.0, 1.0], Shape()),
        pools=(CUT, replace(WHOLE, settings=replace(WHOLE.settings, stock_outs=(OUT,)))),
        mig=MigSettings(median_s=60.0, failed_ratio=0.3, hung_ratio=0.2),
        outages=(Span(start_s=1300.0, end_s=1500.0),),
        failures=Failures(pod_mean_between_s=3000.0, node_losses_s=(2000.0,)),
    )
    policy, _ = driven(scenario)
    broken = {
        (str(decision.workload), decision.message)
        for record in policy.records
        for decision in record.result.decisions
        if any(found.reason is Reason.INTERNAL_ERROR for found in decision.findings)
    }
    assert broken == set()
    assert not any(
        found.reason is Reason.INTERNAL_ERROR
        for record in policy.records
        for found in record.result.fleet
    )
    written = [result for record in policy.records for result in record.mig]
    assert {result.message for result in written if result.outcome is not Outcome.APPLIED} <= {
        "it is gone"
    }
    assert any(result.action.step is MigStep.APPLY for result in written)
