"""How sick replicas are told of: an Event for each pod, a metric, and a line of `explain`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from autoscaler.cli.render import console, explanation
from autoscaler.controller.metrics import WorkloadSeries
from autoscaler.controller.notes import Notebook
from autoscaler.core.reasons import Reason
from autoscaler.core.sickness import Ailment, SickReplica
from autoscaler.core.types import (
    Decision,
    Finding,
    ReplicaStatus,
    ScalingPlan,
    TickInput,
    TickRecord,
    TickResult,
    WorkloadInput,
)
from tests.core.story import START_S, spec


def record(*pods: str, later_s: float = 0.0) -> TickRecord:
    """A tick with these pods sick."""
    decision = Decision(
        workload=spec().id,
        current=5,
        target=5,
        reason=Reason.STEADY,
        message="",
        findings=tuple(
            Finding(reason=Reason.SICK_REPLICAS, message=f"{pod} is slow for {later_s}", about=pod)
            for pod in pods
        ),
        sick=tuple(
            SickReplica(pod=pod, node="n1", ailment=Ailment.SLOW, since_s=START_S, slow_ratio=5.0)
            for pod in pods
        ),
    )
    now_s = START_S + later_s
    given = WorkloadInput(spec=spec(), replicas=ReplicaStatus(desired=5))
    return TickRecord(
        input=TickInput(now_s=now_s, workloads=(given,)),
        result=TickResult(now_s=now_s, decisions=(decision,), plan=ScalingPlan()),
    )


def test_each_pod_is_told_once_an_hour() -> None:
    notebook = Notebook()
    told = [
        [note.message.split()[0] for note in notebook.notes(tick, ())]
        for tick in (
            record("a"),
            record("a", later_s=10.0),
            record("a", "b", later_s=20.0),
            record("a", "b", later_s=3600.0),
        )
    ]
    assert told == [["a"], [], ["b"], ["a"]]
    (note,) = Notebook().notes(record("a"), ())
    assert (note.reason, note.workload) == ("SickReplicas", spec().id)


def test_their_number_is_a_metric() -> None:
    registry, series = CollectorRegistry(), WorkloadSeries()
    registry.register(series)
    labels = {"namespace": "team", "kind": "Deployment", "name": "bert"}
    for pods in ((), ("a", "b")):
        series.take(record(*pods))
        value = registry.get_sample_value("forescale_workload_sick_replicas", labels)
        assert value == len(pods)


def test_explain_names_them() -> None:
    out = console()
    with out.capture() as captured:
        for part in explanation(record("a").result.decisions[0], spec(), START_S):
            out.print(part)
    text = captured.get()
    assert "- ready, - starting; sick: a" in text
    assert "! SickReplicas: a is slow for 0.0" in text
