"""Every check of the end-to-end run passes and fails on a table with literal numbers."""

from __future__ import annotations

import pytest

from autoscaler.core.reasons import Reason
from autoscaler.core.types import (
    ActionResult,
    Decision,
    Finding,
    Outcome,
    ScalingPlan,
    SetReplicas,
    TickInput,
    TickRecord,
    TickResult,
    WorkloadId,
)
from loadtests.e2e import checks
from loadtests.e2e.checks import Moment
from loadtests.e2e.controllers import decisions
from loadtests.load.request_log import OK, Request

BERT = WorkloadId(namespace="team", name="bert")


def request(due_s: float, took_s: float | None, outcome: str = OK) -> Request:
    return Request(due_s, due_s, None if took_s is None else due_s + took_s, "a", outcome)


def moments(*desired: int, ready: int | None = None) -> list[Moment]:
    """One a second from second 100 on."""
    return [
        Moment(at_s=100.0 + i, desired=n, ready=n if ready is None else ready, pods=n)
        for i, n in enumerate(desired)
    ]


def record(
    now_s: float, target: int, *outcomes: Outcome, findings: tuple[Finding, ...] = ()
) -> TickRecord:
    action = SetReplicas(
        workload=BERT,
        api_version="apps/v1",
        observed=1,
        replicas=target,
        reason=Reason.STEADY,
        message="",
    )
    decision = Decision(
        workload=BERT, current=1, target=target, reason=Reason.STEADY, message="", findings=findings
    )
    return TickRecord(
        input=TickInput(now_s=now_s, workloads=()),
        result=TickResult(now_s=now_s, decisions=(decision,), plan=ScalingPlan()),
        actions=tuple(ActionResult(action=action, outcome=outcome) for outcome in outcomes),
    )


@pytest.mark.parametrize(
    ("requests", "passed"),
    [
        pytest.param(
            [request(1.0, 0.1)] * 99 + [request(1.0, 0.4)], True, id="one of a hundred is late"
        ),
        pytest.param([request(1.0, 0.1)] * 98 + [request(1.0, 0.4)] * 2, False, id="two are"),
        pytest.param(
            [request(1.0, 0.1)] * 98 + [request(1.0, 0.1, "reset")] * 2, False, id="failures count"
        ),
        pytest.param(
            [request(1.0, 0.1), request(50.0, 9.0)], True, id="the excluded span does not"
        ),
        pytest.param([], False, id="nothing was sent"),
    ],
)
def test_attained(requests: list[Request], passed: bool) -> None:
    check = checks.attained(requests, threshold_s=0.3, goal=0.99, excluded=[(50.0, 60.0)])
    assert check.passed is passed


def test_gpu_hours_count_every_pod_until_it_is_gone() -> None:
    assert checks.gpu_seconds(moments(1, 1, 4, 4, 4)) == 1 + 1 + 4 + 4
    assert checks.gpu_hours(moments(1, 1, 1, 4, 4), static_replicas=4, limit_ratio=0.7).passed
    assert not checks.gpu_hours(moments(4, 4, 4, 4, 4), static_replicas=4, limit_ratio=0.7).passed
    assert not checks.gpu_hours([], static_replicas=4, limit_ratio=0.7).passed


def test_held_while_blind() -> None:
    assert checks.held_while_blind(moments(4, 4, 5, 5), (100.0, 103.0)).passed
    assert not checks.held_while_blind(moments(4, 4, 3, 3), (100.0, 103.0)).passed
    assert checks.held_while_blind(moments(4, 4, 3, 3), (102.0, 103.0)).passed
    assert not checks.held_while_blind([], (100.0, 103.0)).passed


@pytest.mark.parametrize(("ready", "passed"), [(4, True), (3, False)])
def test_capacity_in_time(ready: int, passed: bool) -> None:
    check = checks.capacity_in_time(
        moments(*[4] * 40, ready=ready), step_s=100.0, replicas=4, startup_s=10.0, tick_s=1.0
    )
    assert check.passed is passed


def test_capacity_that_comes_late_is_missed() -> None:
    late = [*moments(*[4] * 20, ready=1), Moment(at_s=130.0, desired=4, ready=4, pods=4)]
    assert not checks.capacity_in_time(
        late, step_s=100.0, replicas=4, startup_s=10.0, tick_s=1.0
    ).passed


def test_errors_after_sending_count_and_those_before_do_not() -> None:
    unsent = Request(1.0, None, None, "", "no server")
    assert checks.no_errors([request(1.0, 0.1), unsent]).passed
    assert not checks.no_errors([request(1.0, 0.1), request(2.0, 0.1, "reset")]).passed
    assert not checks.no_errors([]).passed


def test_a_late_client_is_told() -> None:
    late = Request(1.0, 1.2, 1.3, "a", OK)
    assert checks.on_time([request(1.0, 0.1)] * 100).passed
    assert not checks.on_time([late] * 100).passed


@pytest.mark.parametrize(
    ("targets", "passed", "figure"),
    [
        pytest.param((2, 8, 9), True, "16 s after the kill, 8 at first", id="at first sight"),
        pytest.param((2, 4, 8), False, "26 s after the kill, 4 at first", id="a tick later"),
        pytest.param((2, 4, 4), False, "never, 4 at first", id="never"),
        pytest.param((8,), False, "never", id="nobody leads"),
    ],
)
def test_rise_followed(targets: tuple[int, ...], passed: bool, figure: str) -> None:
    times = (100.0, 126.0, 136.0)
    told = decisions([record(at_s, n) for at_s, n in zip(times, targets, strict=False)], "bert")
    check = checks.rise_followed(told, killed_s=110.0, replicas=6, limit_s=22.0)
    assert (check.passed, check.figure) == (passed, figure)


def test_succession() -> None:
    old, near, far = [record(10.0, 5)], [record(30.0, 6)], [record(30.0, 2)]
    assert checks.succession(old, near, killed_s=20.0).passed
    assert not checks.succession(old, far, killed_s=20.0).passed
    assert not checks.succession(old, [], killed_s=20.0).passed


def test_nothing_stale() -> None:
    old, new = [record(10.0, 5, Outcome.APPLIED)], [record(30.0, 6, Outcome.APPLIED)]
    assert checks.nothing_stale(old, new, killed_s=20.0).passed
    assert not checks.nothing_stale([record(25.0, 5, Outcome.APPLIED)], new, killed_s=20.0).passed
    assert not checks.nothing_stale(old, [record(15.0, 6, Outcome.APPLIED)], killed_s=20.0).passed


def test_edits() -> None:
    finding = Finding(reason=Reason.EXTERNAL_EDIT, message="")
    told = [
        (r.result.now_s, r.result.decisions[0])
        for r in (record(5.0, 1), record(12.0, 4, findings=(finding,)))
    ]
    assert checks.edit_noticed(told, at_s=10.0, tick_s=10.0, name="it").passed
    assert not checks.edit_noticed(told, at_s=13.0, tick_s=10.0, name="it").passed
    assert checks.floor_kept(moments(*[4] * 10, 2, 2), at_s=99.0, replicas=4, for_s=11.0).passed
    assert not checks.floor_kept(
        moments(*[4] * 5, *[2] * 7), at_s=99.0, replicas=4, for_s=11.0
    ).passed
    assert not checks.floor_kept(moments(*[4] * 12), at_s=99.0, replicas=4, for_s=11.0).passed
    assert checks.undone(moments(1, 1, 1, 2), at_s=100.0, needed=2, tick_s=1.0).passed
    assert not checks.undone(moments(*[1] * 12, 2), at_s=100.0, needed=2, tick_s=1.0).passed
    assert checks.named(told, Reason.EXTERNAL_EDIT).passed
    assert not checks.named(told, Reason.UNEVEN_LOAD).passed
