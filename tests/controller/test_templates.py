"""Steps at templates are sent only by who leads, and told at the Deployment."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.cli.render import slice_lines
from autoscaler.controller.fence import Fence
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.notes import Notebook
from autoscaler.controller.templates import REFUSED, TemplateWriter, shape_notes
from autoscaler.core.reasons import Reason
from autoscaler.core.slices.observed import SlicesDecision
from autoscaler.core.slices.template import SetShape, ShapeDecision, ShapeStep
from autoscaler.core.types import (
    Outcome,
    ScalingPlan,
    Severity,
    ShapeResult,
    TickInput,
    TickRecord,
    TickResult,
)
from autoscaler.errors import SourceUnavailable
from tests.clients.test_templates import MARK
from tests.core.story import START_S
from tests.fakes.clock import FakeClock
from tests.fakes.controller import FakeLeadership


def action(step: ShapeStep = ShapeStep.CHANGE, reason: Reason = Reason.SHAPE_CHANGING) -> SetShape:
    return SetShape(
        namespace="team",
        name="bert",
        step=step,
        expected="2g.20gb",
        observed=3,
        known=None,
        mark=MARK,
        reason=reason,
        message="from 2g.20gb to 1g.10gb",
    )


class Actuator:
    """Answers as told."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken, self.asked = broken, 0

    async def apply(self, action: SetShape) -> ShapeResult:
        self.asked += 1
        if self.broken:
            raise SourceUnavailable("no answer in time")
        return ShapeResult(action=action, outcome=Outcome.APPLIED)


@pytest.mark.parametrize(
    ("actuator", "leads", "left_s", "outcome", "asked"),
    [
        pytest.param(Actuator(), True, 9.0, Outcome.APPLIED, 1, id="sent"),
        pytest.param(Actuator(), False, 9.0, Outcome.REJECTED, 0, id="does not lead"),
        pytest.param(Actuator(), True, 0.0, Outcome.REJECTED, 0, id="no time left"),
        pytest.param(Actuator(broken=True), True, 9.0, Outcome.UNKNOWN, 1, id="no answer"),
    ],
)
async def test_a_step_is_sent_by_who_leads_while_there_is_time(
    actuator: Actuator, leads: bool, left_s: float, outcome: Outcome, asked: int
) -> None:
    clock, leadership = FakeClock(), FakeLeadership()
    leadership.leading = leads
    writer = TemplateWriter(actuator, Fence(leadership=leadership, clock=clock, call_s=4.0))
    (result,) = await writer.carry_out((action(),), until_s=clock.monotonic_s() + left_s)
    assert (result.outcome, actuator.asked) == (outcome, asked)


def record(*results: ShapeResult, now_s: float = START_S) -> TickRecord:
    result = TickResult(now_s=now_s, decisions=(), plan=ScalingPlan())
    return TickRecord(input=TickInput(now_s=now_s, workloads=()), result=result, shapes=results)


@pytest.mark.parametrize(
    ("result", "reason", "severity", "said", "topic"),
    [
        pytest.param(
            ShapeResult(action=action(), outcome=Outcome.APPLIED),
            "ShapeChanging",
            Severity.NORMAL,
            "change: from 2g.20gb to 1g.10gb",
            None,
            id="changed",
        ),
        pytest.param(
            ShapeResult(
                action=action(ShapeStep.RESTORE, Reason.SHAPE_FAILED), outcome=Outcome.APPLIED
            ),
            "ShapeFailed",
            Severity.WARNING,
            "restore: from 2g.20gb to 1g.10gb",
            None,
            id="taken back",
        ),
        pytest.param(
            ShapeResult(action=action(), outcome=Outcome.REJECTED, message="forbidden"),
            REFUSED,
            Severity.WARNING,
            "Not done, change: forbidden",
            REFUSED,
            id="a right is missing",
        ),
    ],
)
def test_each_write_is_told_at_the_deployment(
    result: ShapeResult, reason: str, severity: Severity, said: str, topic: str | None
) -> None:
    ((note, told),) = shape_notes(record(result))
    assert (str(note.workload), note.api_version) == ("team/bert", "apps/v1")
    assert (note.reason, note.severity, note.message, told) == (reason, severity, said, topic)


def test_what_is_refused_tick_after_tick_is_told_once_an_hour() -> None:
    book = Notebook()
    refused = ShapeResult(action=action(), outcome=Outcome.REJECTED, message="forbidden")
    told = [len(book.notes(record(refused, now_s=START_S + at), ())) for at in (0, 10, 20, 3600)]
    assert told == [1, 0, 0, 1]
    nothing = ShapeResult(action=action(), outcome=Outcome.UNCHANGED)
    assert list(shape_notes(record(nothing))) == []


CHEAPER = ShapeDecision(
    workload="team/bert",
    shape="2g.20gb",
    wanted="1g.10gb",
    reason=Reason.SHAPE_CHEAPER,
    message="4 x 1g.10gb carry it at 67% of the cost, for 12 min",
)


def test_plan_has_a_line_for_each_template() -> None:
    (line,) = slice_lines(SlicesDecision(shapes=(CHEAPER,)))
    assert line.plain == (
        "template team/bert   2g.20gb   ShapeCheaper: 4 x 1g.10gb carry it at 67% of the cost, for 12 min"
    )


def test_metrics_of_a_template_end_with_it_and_its_writes_are_counted() -> None:
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    info = {
        **{"namespace": "team", "kind": "Deployment", "name": "bert", "shape": "2g.20gb"},
        **{"wanted": "1g.10gb", "reason": "ShapeCheaper"},
    }
    refused = {"to": "template", "outcome": "Rejected"}
    assert value("forescale_actuation_writes_total", refused) == 0.0
    seen = record(ShapeResult(action=action(), outcome=Outcome.REJECTED, message="forbidden"))
    slices = SlicesDecision(shapes=(CHEAPER,))
    metrics.ticked(replace(seen, result=replace(seen.result, slices=slices)), 0.1)
    assert value("forescale_slices_template_info", info) == 1.0
    assert value("forescale_actuation_writes_total", refused) == 1.0
    steady = replace(CHEAPER, wanted=None, reason=Reason.SHAPE_STEADY)
    slices = SlicesDecision(shapes=(steady,))
    metrics.ticked(replace(record(), result=replace(seen.result, slices=slices)), 0.1)
    assert value("forescale_slices_template_info", info) is None
    info = {**info, "wanted": "", "reason": "ShapeSteady"}
    assert value("forescale_slices_template_info", info) == 1.0
    metrics.ticked(record(), 0.1)
    assert value("forescale_slices_template_info", info) is None
    assert value("forescale_actuation_writes_total", refused) == 1.0
