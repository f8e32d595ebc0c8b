"""Steps at nodes are sent only by who leads, and told at the node: what was done at once, what lasts now and then."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from autoscaler.controller.fence import Fence
from autoscaler.controller.mig import REFUSED, MigWriter, slice_notes
from autoscaler.controller.notes import Notebook
from autoscaler.controller.slice_metrics import SliceSeries
from autoscaler.core.reasons import Reason
from autoscaler.core.slices.observed import (
    GroupDecision,
    MigAction,
    MigStep,
    SlicePoolDecision,
    SlicesDecision,
)
from autoscaler.core.types import (
    MigResult,
    Outcome,
    ScalingPlan,
    TickInput,
    TickRecord,
    TickResult,
)
from autoscaler.errors import SourceUnavailable
from tests.core.story import START_S
from tests.fakes.clock import FakeClock
from tests.fakes.controller import FakeLeadership

ACTION = MigAction(
    pool="mig",
    node="n1",
    step=MigStep.CORDON,
    expected="all-1g.10gb",
    config="all-3g.40gb",
    reason=Reason.MIG_CHANGING,
    message="n1 from all-1g.10gb to all-3g.40gb",
)


class Actuator:
    """Answers as told."""

    def __init__(
        self, outcome: Outcome = Outcome.APPLIED, *, broken: Exception | None = None
    ) -> None:
        self.outcome, self.broken, self.asked = outcome, broken, 0

    async def apply(self, action: MigAction) -> MigResult:
        self.asked += 1
        if self.broken is not None:
            raise self.broken
        return MigResult(action=action, outcome=self.outcome, message="because")


async def sent(actuator: Actuator, *, leads: bool = True, left_s: float = 9.0) -> MigResult:
    clock = FakeClock()
    leadership = FakeLeadership()
    leadership.leading = leads
    writer = MigWriter(actuator, Fence(leadership=leadership, clock=clock, call_s=4.0))
    (result,) = await writer.carry_out((ACTION,), until_s=clock.monotonic_s() + left_s)
    return result


async def test_a_step_is_sent_by_who_leads_while_there_is_time() -> None:
    assert (await sent(Actuator())).outcome is Outcome.APPLIED
    for changes, why in (({"leads": False}, "leadership was lost"), ({"left_s": 0.0}, "was up")):
        actuator = Actuator()
        result = await sent(actuator, **changes)
        assert (result.outcome, actuator.asked) == (Outcome.REJECTED, 0)
        assert why in result.message


@pytest.mark.parametrize("error", [SourceUnavailable("no answer in time"), KeyError("metadata")])
async def test_no_answer_is_unknown_and_no_error_ends_the_tick(error: Exception) -> None:
    """Replicas were set before it in the same tick, and must be acknowledged."""
    assert (await sent(Actuator(broken=error))).outcome is Outcome.UNKNOWN


def record(
    *results: MigResult, pool: SlicePoolDecision | None = None, now_s: float = START_S
) -> TickRecord:
    slices = SlicesDecision(
        pools=(pool,) if pool else (),
        groups=(GroupDecision(group="team/bert", needed_mrps=91_500, members=(), message=""),),
    )
    result = TickResult(now_s=now_s, decisions=(), plan=ScalingPlan(), slices=slices)
    return TickRecord(input=TickInput(now_s=now_s, workloads=()), result=result, mig=results)


STUCK = SlicePoolDecision(
    pool="mig",
    reason=Reason.MIG_STUCK,
    message="it stays cordoned",
    node="n1",
    configs=(("all-1g.10gb", 3),),
    findings=((Reason.MIG_STUCK, "n1", "it stays cordoned"),),
)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome.APPLIED, "MigChanging"),
        (Outcome.CONFLICT, REFUSED),
        (Outcome.UNCHANGED, None),
    ],
)
def test_what_became_of_a_step_is_told_at_the_node(outcome: Outcome, reason: str | None) -> None:
    told = list(slice_notes(record(MigResult(action=ACTION, outcome=outcome, message="in use"))))
    assert [note.reason for note, _ in told] == ([reason] if reason else [])
    for note, _ in told:
        assert (note.workload.kind, note.workload.name, note.api_version) == ("Node", "n1", "v1")


def test_what_lasts_is_told_once_an_hour() -> None:
    notebook = Notebook()
    told = [
        len(notebook.notes(record(pool=STUCK, now_s=START_S + later_s), ()))
        for later_s in (0.0, 10.0, 3600.0)
    ]
    assert told == [1, 0, 1]


def test_metrics_of_pools_and_groups() -> None:
    registry, series = CollectorRegistry(), SliceSeries()
    registry.register(series)
    series.take(record(pool=STUCK))
    pool = {"pool": "mig"}
    for name, labels, value in (
        ("nodes", {**pool, "config": "all-1g.10gb"}, 3.0),
        ("changing_nodes", pool, 1.0),
        ("finding_active", {**pool, "reason": "MigStuck"}, 1.0),
        ("group_needed_inferences_per_second", {"group": "team/bert"}, 91.5),
    ):
        assert registry.get_sample_value(f"forescale_slices_{name}", labels) == value
