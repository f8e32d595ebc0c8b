"""Every check of the run on KServe passes and fails on a table with literal numbers."""

from __future__ import annotations

import pytest

from autoscaler.core.types import (
    ReplicaStatus,
    ScalingPlan,
    TickInput,
    TickRecord,
    TickResult,
    WorkloadInput,
)
from loadtests.e2e import kserve_checks
from loadtests.e2e.checks import Moment
from tests.core.story import spec


def record(engine: str, engine_from: str) -> TickRecord:
    given = WorkloadInput(
        spec=spec(engine=engine, engine_from=engine_from), replicas=ReplicaStatus(desired=1)
    )
    return TickRecord(
        input=TickInput(now_s=100.0, workloads=(given,)),
        result=TickResult(now_s=100.0, decisions=(), plan=ScalingPlan()),
        actions=(),
    )


def moments(*desired: int) -> list[Moment]:
    """One a second from second 100 on."""
    return [Moment(at_s=100.0 + i, desired=n, ready=n, pods=n) for i, n in enumerate(desired)]


def service(annotation: str, version: str = "7") -> dict[str, object]:
    return {
        "metadata": {
            "annotations": {"forescale.io/slo": annotation},
            "generation": 1,
            "resourceVersion": version,
        }
    }


def pod(template: str = "abc", restarts: int = 0) -> dict[str, object]:
    return {
        "metadata": {"labels": {"pod-template-hash": template}},
        "status": {"containerStatuses": [{"restartCount": restarts}]},
    }


def test_the_engine_is_what_the_last_tick_took_it_for() -> None:
    first, last = record("triton", "assumed"), record("kserve", "metrics that are scraped")
    check = kserve_checks.detected([first, last], "bert", "kserve")
    assert (check.passed, check.figure) == (True, "kserve (metrics that are scraped)")
    assert not kserve_checks.detected([last, first], "bert", "kserve").passed
    assert not kserve_checks.detected([last], "other", "kserve").passed
    assert not kserve_checks.detected([], "bert", "kserve").passed


@pytest.mark.parametrize(
    ("seen", "passed", "figure"),
    [
        ((5, 4, 2, 2), True, "2 asked for at the end, first after 2 s"),
        ((5, 4, 2, 3), False, "3 asked for at the end, first after 2 s"),
        ((5, 5, 5, 5), False, "5 asked for at the end"),
        ((), False, "not observed"),
    ],
)
def test_given_back(seen: tuple[int, ...], passed: bool, figure: str) -> None:
    check = kserve_checks.given_back(moments(*seen), since_s=100.0, replicas=2)
    assert (check.passed, check.figure) == (passed, figure)


@pytest.mark.parametrize(
    ("before", "after", "figure"),
    [
        (service("99% < 300ms"), service("99% < 300ms"), "none"),
        (service("99% < 300ms"), service("99% < 200ms"), "annotations changed"),
        (service("99% < 300ms"), service("99% < 300ms", "8"), "resourceVersion changed"),
        ({}, {}, "not read"),
    ],
)
def test_a_service_that_is_never_written(
    before: dict[str, object], after: dict[str, object], figure: str
) -> None:
    check = kserve_checks.never_written(before, after)
    assert (check.passed, check.figure) == (figure == "none", figure)


@pytest.mark.parametrize(
    ("pods", "passed", "figure"),
    [
        ([pod(), pod()], True, "2 pods of 1 templates, 0 restarts"),
        ([pod(), pod("new")], False, "2 pods of 2 templates, 0 restarts"),
        ([pod(), pod(restarts=1)], False, "2 pods of 1 templates, 1 restarts"),
        ([], False, "0 pods of 0 templates, 0 restarts"),
    ],
)
def test_pods_that_are_not_started_anew(
    pods: list[dict[str, object]], passed: bool, figure: str
) -> None:
    check = kserve_checks.not_restarted(pods)
    assert (check.passed, check.figure) == (passed, figure)
