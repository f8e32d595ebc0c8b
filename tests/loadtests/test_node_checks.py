"""The checks of `make e2e-nodes` see what they are for: each passes on a good run and misses on a bad one."""

from __future__ import annotations

import numpy as np

from autoscaler.core.nodes.observed import (
    Backend,
    NodeStatus,
    PoolDecision,
    PoolFacts,
    PoolInput,
    SetHeadroom,
)
from autoscaler.core.reasons import Reason
from autoscaler.core.types import (
    Decision,
    HeadroomResult,
    Mode,
    Outcome,
    ScalingPlan,
    TickInput,
    TickRecord,
    TickResult,
    WorkloadId,
)
from loadtests.e2e import node_checks, past
from loadtests.e2e.node_recorder import NodeMoment, NodeRecorder, NodeStory, PodStory
from loadtests.load.profile import Step


def recorder() -> NodeRecorder:
    """One node that was of use at 50, a pod for it at 60, and the node gone at 200."""
    found = NodeRecorder(client=None, namespace="team")  # type: ignore[arg-type]
    found.nodes["n"] = NodeStory("n", "dear", created_s=40.0, usable_s=50.0)
    found.pods["p"] = PodStory("p", created_s=60.0, scheduled_s=61.0, node="n")
    found.moments = [NodeMoment(at_s, {"dear": 2}, {"dear": 2}) for at_s in range(100)]
    found.moments += [NodeMoment(200.0, {"dear": 1}, {"dear": 1})]
    return found


def test_a_pod_that_waited_is_seen() -> None:
    good = recorder()
    assert node_checks.nobody_waited(good, since_s=0.0, until_s=99.0).passed
    good.pods["p"].waited = True
    assert not node_checks.nobody_waited(good, since_s=0.0, until_s=99.0).passed
    late = recorder()
    late.pods["p"].scheduled_s = 90.0
    assert not node_checks.nobody_waited(late, since_s=0.0, until_s=99.0).passed
    assert not node_checks.nobody_waited(late, since_s=70.0, until_s=99.0).passed  # nothing seen


def test_a_node_that_came_after_its_pod_is_seen() -> None:
    good = recorder()
    assert (
        node_checks.node_before_pod(good, since_s=0.0, pool="dear").figure == "1 nodes, 10 s before"
    )
    good.nodes["n"].usable_s = 65.0
    assert not node_checks.node_before_pod(good, since_s=0.0, pool="dear").passed


def test_nodes_that_stay_are_seen() -> None:
    good = recorder()
    pools = ("cheap", "dear")
    went = node_checks.nodes_went(good, pools=pools, since_s=100.0, most=1)
    assert went.figure == "2 -> 1, after 100 s"
    assert not node_checks.nodes_went(good, pools=pools, since_s=100.0, most=0).passed
    assert not node_checks.nodes_went(good, pools=("cheap",), since_s=100.0, most=1).passed


def test_a_broken_budget_is_seen() -> None:
    good = recorder()
    assert node_checks.budget_kept(good).passed
    good.pdb_broken.append((1.0, 0, 1))
    assert not node_checks.budget_kept(good).passed


def test_a_pod_that_takes_a_placeholders_place_waits_for_no_node() -> None:
    seen = NodeRecorder(client=None, namespace="team")  # type: ignore[arg-type]
    waits = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    for name, status in (("alone", {}), ("nominated", {"nominatedNodeName": "n"})):
        metadata = {"name": name, "creationTimestamp": "2026-11-27T12:00:00Z"}
        seen.take_pod(
            {"metadata": metadata, "spec": {}, "status": status | {"conditions": [waits]}}
        )
    assert {name: pod.waited for name, pod in seen.pods.items()} == {
        "alone": True,
        "nominated": False,
    }


def tick(
    at_s: float, cheap: int, dear: int, *, available: bool = True, free: int = 0, target: int = 1
) -> TickRecord:
    nodes = (NodeStatus(name="first", units=2, used_units=2 - free),)
    decision = Decision(
        workload=WorkloadId(namespace="team", name="bert"),
        current=1,
        target=target,
        reason=Reason.STEADY,
        message="",
        mode=Mode.AUTO,
    )
    pools = tuple(
        PoolDecision(
            pool=name,
            headroom=units,
            reason=Reason.NODE_DEMAND_AHEAD,
            message="",
            available=available or name == "dear",
            facts=PoolFacts(demand=units),
        )
        for name, units in (("cheap", cheap), ("dear", dear))
    )
    written = tuple(
        HeadroomResult(
            action=SetHeadroom(
                pool=name,
                backend=backend,
                observed=0,
                units=units,
                reason=Reason.NODE_DEMAND_AHEAD,
                message="",
            ),
            outcome=Outcome.APPLIED,
        )
        for name, units, backend in (
            ("cheap", cheap, Backend.CAPACITY_BUFFER),
            ("dear", dear, Backend.PLACEHOLDER),
        )
        if units
    )
    return TickRecord(
        input=TickInput(now_s=at_s, workloads=(), pools=(PoolInput(pool="cheap", nodes=nodes),)),
        result=TickResult(now_s=at_s, decisions=(decision,), plan=ScalingPlan(), pools=pools),
        headroom=written,
    )


def test_a_stock_out_that_is_noticed_late_or_not_followed_is_seen() -> None:
    good = [tick(0.0, 3, 0), tick(10.0, 0, 3, available=False)]
    assert node_checks.stock_out_noticed(good, pool="cheap").figure == "after 10 s"
    assert node_checks.moved(good, away_from="cheap", to="dear").passed
    assert node_checks.back_ends(good).passed
    late = [tick(0.0, 3, 0), tick(130.0, 0, 3, available=False)]
    assert not node_checks.stock_out_noticed(late, pool="cheap").passed
    # What a node has free is no news of the pool.
    free = [tick(0.0, 1, 0, free=1), tick(120.0, 2, 0, free=1), tick(150.0, 0, 3, available=False)]
    assert node_checks.stock_out_noticed(free, pool="cheap").figure == "after 30 s"
    taken = [tick(0.0, 1, 0, free=1, target=2), tick(10.0, 0, 3, available=False)]
    assert node_checks.stock_out_noticed(taken, pool="cheap").figure == "after 10 s"
    stuck = [tick(0.0, 3, 0), tick(10.0, 3, 0, available=False)]
    assert not node_checks.moved(stuck, away_from="cheap", to="dear").passed
    assert not node_checks.back_ends(stuck).passed


def test_a_rise_that_is_expected_when_it_is_there_is_late() -> None:
    told = [tick(50.0, 2, 0), tick(90.0, 3, 0)]

    def expected(rise_s: float) -> bool:
        check = node_checks.expected_before_the_rise(told, rise_s=rise_s, within_s=60.0, least=3)
        return check.passed

    assert expected(100.0)
    assert not expected(90.0)


def test_the_past_repeats_the_schedule_at_its_time_of_day() -> None:
    steps = (Step(duration_s=120.0, rate_rps=5.0), Step(duration_s=60.0, rate_rps=50.0))
    starts_s = 10 * past.DAY_S
    at_s = np.arange(starts_s - past.DAY_S, starts_s + 240.0, 60.0)
    rates = past.daily_rates(at_s, steps=steps, starts_s=starts_s, seed=1)
    high = [
        round((at - starts_s) % past.DAY_S)
        for at, rate in zip(at_s, rates, strict=True)
        if rate > 20
    ]
    assert high == [120, 120]
    assert 4.0 < float(np.median(rates)) < 6.0
