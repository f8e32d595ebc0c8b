"""What the engine could not do is told: in the log once, in a metric for as long as it lasts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.controller.faults import FaultLog
from autoscaler.controller.metrics import Metrics
from autoscaler.core.reasons import Reason
from autoscaler.core.types import (
    Decision,
    Finding,
    ScalingPlan,
    TickInput,
    TickRecord,
    TickResult,
    WorkloadId,
)

BERT = WorkloadId(namespace="team", name="bert")
STEADY = Decision(workload=BERT, current=2, target=2, reason=Reason.STEADY, message="steady")
BROKEN = Finding(
    reason=Reason.INTERNAL_ERROR, message="held: KeyError: 'x' (autoscaler/core/size.py:8, f)"
)
OTHER = replace(BROKEN, message="held: ValueError: y (autoscaler/core/size.py:9, g)")
NODES = replace(BROKEN, message="node pools held: KeyError: 'z'")


def record(*findings: Finding, fleet: tuple[Finding, ...] = ()) -> TickRecord:
    decision = replace(STEADY, findings=findings)
    return TickRecord(
        input=TickInput(now_s=0.0, workloads=()),
        result=TickResult(now_s=0.0, decisions=(decision,), plan=ScalingPlan(), fleet=fleet),
    )


def test_it_is_logged_when_it_begins_and_when_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    faults = FaultLog()
    uneven = replace(BROKEN, reason=Reason.UNEVEN_LOAD)
    with caplog.at_level("ERROR", logger="autoscaler.controller"):
        for told in (
            record(uneven),
            record(BROKEN),
            record(BROKEN),
            record(OTHER, fleet=(NODES,)),
            record(),
            record(BROKEN),
        ):
            faults.take(told)
    assert [(line.about, line.why) for line in caplog.records] == [  # type: ignore[attr-defined]
        ("team/bert", BROKEN.message),
        ("fleet", NODES.message),
        ("team/bert", OTHER.message),
        ("team/bert", BROKEN.message),
    ]


def test_what_fails_for_the_fleet_is_a_metric() -> None:
    metrics = Metrics()

    def shown() -> float | None:
        labels = {"reason": "InternalError"}
        return metrics.registry.get_sample_value("forescale_fleet_finding_active", labels)

    metrics.ticked(record(fleet=(NODES, NODES)), 0.1)
    assert shown() == 1.0
    metrics.ticked(record(), 0.1)
    assert shown() is None
