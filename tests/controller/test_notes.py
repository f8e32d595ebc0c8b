"""What a team is told when it annotates: that it was taken, and no alarm about what every beginning has."""

from __future__ import annotations

from dataclasses import replace

from autoscaler.controller.notes import Notebook
from autoscaler.core.reasons import Reason
from autoscaler.core.types import (
    Mode,
    Pause,
    ReplicaStatus,
    ScalingPlan,
    TickInput,
    TickRecord,
    TickResult,
    WorkloadInput,
    WorkloadSpec,
)
from tests.core.story import Story, spec

EMPTY = TickResult(now_s=0.0, decisions=(), plan=ScalingPlan())


def record(now_s: float, *specs: WorkloadSpec) -> TickRecord:
    workloads = tuple(WorkloadInput(spec=s, replicas=ReplicaStatus(desired=1)) for s in specs)
    return TickRecord(input=TickInput(now_s=now_s, workloads=workloads), result=EMPTY)


def told(notebook: Notebook, now_s: float, *specs: WorkloadSpec) -> list[tuple[str, str, str]]:
    notes = notebook.notes(record(now_s, *specs), ())
    return [(str(n.workload), n.reason, n.message) for n in notes]


def test_annotations_that_are_new_or_changed_are_acknowledged_and_a_new_leader_says_nothing() -> (
    None
):
    notebook, bert, llama = Notebook(), spec("bert"), spec("llama", max_replicas=12)
    assert told(notebook, 0.0, bert) == []
    assert told(notebook, 10.0, bert, llama) == [
        (
            "team/llama",
            "Managed",
            "Annotations taken: 99% < 300ms, 1 to 12 replicas; "
            "replicas are set by forescale from now on, unless another autoscaler holds them",
        )
    ]
    assert told(notebook, 20.0, bert, llama) == []
    careful = replace(llama, mode=Mode.RECOMMEND, pause=Pause.DOWN, model="en", max_replicas=None)
    assert told(notebook, 30.0, bert, careful) == [
        (
            "team/llama",
            "Managed",
            "Annotations taken: 99% < 300ms, 1 to the policy's max_replicas replicas, of model en alone, paused: down; "
            "mode recommend: nothing is written",
        )
    ]
    # Gone for a slip, and mended: that is news too.
    assert told(notebook, 40.0, bert) == []
    assert [what for what, *_ in told(notebook, 50.0, bert, llama)] == ["team/llama"]


def test_rates_that_need_a_second_scrape_are_no_alarm_and_an_outage_is() -> None:
    """The first ticks of a workload have no data; so has an outage, which is told in its third tick."""
    story, notebook = Story(replicas=2), Notebook()
    reasons: list[list[str]] = []

    def pass_ticks(ticks: int) -> list[str]:
        reasons.clear()
        for _ in range(ticks):
            story.run(10, rate_rps=25)
            assert story.last is not None
            result = replace(EMPTY, decisions=(story.decisions[-1],))
            notes = notebook.notes(TickRecord(input=story.last, result=result), ())
            reasons.append([n.reason for n in notes if n.reason == Reason.NO_DATA.value])
        return [",".join(found) for found in reasons]

    assert pass_ticks(6) == [""] * 6
    assert Reason.NO_DATA in {decision.reason for decision in story.decisions}
    story.metrics_up = False
    story.pods[0].sampled_at_s = story.pods[1].sampled_at_s = None
    assert pass_ticks(6) == ["", "", "", "NoData", "", ""]
