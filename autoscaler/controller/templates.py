"""Carries out a plan's writes to Deployments' templates, and says each of them at the Deployment."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from typing import Protocol

from autoscaler.controller.fence import Fence
from autoscaler.controller.ports import Note
from autoscaler.core.reasons import Reason
from autoscaler.core.slices.template import SetShape
from autoscaler.core.types import Outcome, Severity, ShapeResult, TickRecord, WorkloadId
from autoscaler.lasting import LastingOfEach

log = logging.getLogger(__name__)

REFUSED = "ShapeRefused"


class Writes(Protocol):
    """What writes to one Deployment."""

    async def apply(self, action: SetShape) -> ShapeResult:
        """One step."""
        ...


class TemplateWriter:
    """Sends the steps while this process leads and the tick has time left."""

    def __init__(self, actuator: Writes, fence: Fence) -> None:
        self._actuator, self._fence = actuator, fence
        self._refused = LastingOfEach(log, fence.clock, over="its template is changed again")

    async def carry_out(
        self, actions: tuple[SetShape, ...], *, until_s: float
    ) -> tuple[ShapeResult, ...]:
        """One after the other: there are few."""
        return tuple([await self._send(action, until_s) for action in actions])

    async def _send(self, action: SetShape, until_s: float) -> ShapeResult:
        result = await self._fence.send(
            partial(self._actuator.apply, action),
            partial(_result, action),
            until_s=until_s,
            calls=2,
        )
        about, step = str(action.workload), action.step.value
        if result.outcome in (Outcome.APPLIED, Outcome.UNCHANGED):
            self._refused.end(about)
            log.info(
                "template changed", extra={"about": about, "step": step, "why": action.message}
            )
        else:
            self._refused.tell(about, "template not changed", step=step, error=result.message)
        return result


def shape_notes(record: TickRecord) -> Iterator[tuple[Note, str | None]]:
    """(note, topic) of every write; without a topic it is told at once, else like any condition that lasts."""
    for result in record.shapes:
        action = result.action
        if result.outcome is Outcome.APPLIED:
            bad = action.reason is Reason.SHAPE_FAILED
            severity = Severity.WARNING if bad else Severity.NORMAL
            text = f"{action.step.value}: {action.message}"
            yield _note(action, action.reason.value, text, severity), None
        elif result.outcome is not Outcome.UNCHANGED:
            text = f"Not done, {action.step.value}: {result.message}"
            yield _note(action, REFUSED, text, Severity.WARNING), REFUSED


def _note(action: SetShape, reason: str, message: str, severity: Severity) -> Note:
    return Note(
        workload=WorkloadId(namespace=action.namespace, name=action.name),
        api_version="apps/v1",
        reason=reason,
        message=message,
        severity=severity,
    )


def _result(action: SetShape, outcome: Outcome, message: str) -> ShapeResult:
    return ShapeResult(action=action, outcome=outcome, message=message)
