"""What the run with sick replicas must show: each check can fail."""

from __future__ import annotations

import pytest

from autoscaler.core.reasons import Reason
from autoscaler.core.sickness import Ailment, SickReplica
from autoscaler.core.types import Decision, WorkloadId
from loadtests.e2e import sick_job
from loadtests.e2e.checks import Moment


def told(at_s: float, *pods: str) -> tuple[float, Decision]:
    """A tick in which these pods were found to be slow."""
    return at_s, Decision(
        workload=WorkloadId(namespace="team", name="bert"),
        current=4,
        target=4,
        reason=Reason.STEADY,
        message="",
        sick=tuple(
            SickReplica(pod=pod, node="n1", ailment=Ailment.SLOW, since_s=100.0) for pod in pods
        ),
    )


@pytest.mark.parametrize(
    ("found", "passed"),
    [
        pytest.param((told(150.0), told(180.0, "a")), True, id="in time"),
        pytest.param((told(180.0, "b"),), False, id="another pod"),
        pytest.param((told(180.0, "a", "b"),), False, id="and another pod"),
        pytest.param((told(230.0, "a"),), False, id="too late"),
        pytest.param((told(90.0, "a"),), False, id="before it was"),
        pytest.param((), False, id="never"),
    ],
)
def test_the_very_pod_is_named(found: tuple[tuple[float, Decision], ...], passed: bool) -> None:
    assert sick_job.named(found, "a", Ailment.SLOW, 100.0, 110.0).passed is passed


@pytest.mark.parametrize(
    ("desired", "passed"),
    [
        pytest.param((4, 5, 5), True, id="one more"),
        pytest.param((4, 6, 5), False, id="more for a while"),
        pytest.param((4, 5, 4), False, id="taken back"),
        pytest.param((4, 4, 4), False, id="none"),
        pytest.param((), False, id="not seen"),
    ],
)
def test_one_more_and_never_more(desired: tuple[int, ...], passed: bool) -> None:
    moments = [
        Moment(at_s=100.0 + second, desired=replicas, ready=4, pods=4)
        for second, replicas in enumerate(desired)
    ]
    check = sick_job.replaced_once(moments, 4, since_s=100.0, until_s=200.0, what="a straggler")
    assert check.passed is passed


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("bert-a on node n1 has XID 79, it is gone", True),
        ("bert-c on node n1 has XID 79", False),
        ("bert-a on node n1 has XID 48", False),
        ("bert-a has XID 79", False),
    ],
)
def test_the_event_says_pod_node_and_error(text: str, passed: bool) -> None:
    assert sick_job.evented([text], "bert-a", "has XID 79").passed is passed


@pytest.mark.parametrize(("last_s", "passed"), [(110.0, True), (130.0, False)])
def test_what_is_gone_is_not_told_of(last_s: float, passed: bool) -> None:
    found = [told(50.0, "a"), told(last_s, "a"), told(200.0, "b")]
    assert sick_job.forgotten(found, "a", since_s=100.0).passed is passed
    # One that was never told of proves nothing.
    assert not sick_job.forgotten([told(200.0, "b")], "a", since_s=100.0).passed
