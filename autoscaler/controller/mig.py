"""Carries out a plan's writes to nodes, and says which of them are worth an Event at the node."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from typing import Protocol

from autoscaler.controller.fence import Fence
from autoscaler.controller.ports import Note
from autoscaler.core.reasons import Reason
from autoscaler.core.slices.observed import MigAction
from autoscaler.core.types import MigResult, Outcome, Severity, TickRecord, WorkloadId
from autoscaler.lasting import LastingOfEach

log = logging.getLogger(__name__)

REFUSED = "MigRefused"
# Events of what has no namespace are kept in this one.
NODE_EVENTS = "default"


class Writes(Protocol):
    """What writes to one node."""

    async def apply(self, action: MigAction) -> MigResult:
        """One step."""
        ...


class MigWriter:
    """Sends the steps while this process leads and the tick has time left."""

    def __init__(self, actuator: Writes, fence: Fence) -> None:
        self._actuator, self._fence = actuator, fence
        self._refused = LastingOfEach(log, fence.clock, over="is changed again")

    async def carry_out(
        self, actions: tuple[MigAction, ...], *, until_s: float
    ) -> tuple[MigResult, ...]:
        """One after the other: there is at most one for each pool."""
        return tuple([await self._send(action, until_s) for action in actions])

    async def _send(self, action: MigAction, until_s: float) -> MigResult:
        result = await self._fence.send(
            partial(self._actuator.apply, action),
            partial(_result, action),
            until_s=until_s,
            calls=3,
        )
        told = {"step": action.step.value, "config": action.config}
        if result.outcome in (Outcome.APPLIED, Outcome.UNCHANGED):
            self._refused.end(action.node)
            log.info("node changed", extra={"about": action.node, **told, "why": action.message})
        else:
            self._refused.tell(action.node, "node not changed", **told, error=result.message)
        return result


def slice_notes(record: TickRecord) -> Iterator[tuple[Note, str | None]]:
    """(note, topic) of every slice pool; without a topic it is told at once, else like any condition that lasts."""
    for result in record.mig:
        action = result.action
        if result.outcome is Outcome.APPLIED:
            text = f"{action.step.value}: {action.message}"
            yield _note(action.node, action.reason.value, text, Severity.NORMAL), None
        elif result.outcome is not Outcome.UNCHANGED:
            text = f"Not done, {action.step.value}: {result.message}"
            yield _note(action.node, REFUSED, text, Severity.WARNING), REFUSED
    for decision in record.result.slices.pools:
        if decision.reason is Reason.MIG_CHANGED and decision.node is not None:
            note = _note(decision.node, decision.reason.value, decision.message, Severity.NORMAL)
            yield note, decision.reason.value
        for reason, node, message in decision.findings:
            yield _note(node, reason.value, message, Severity.WARNING), reason.value


def _note(node: str, reason: str, message: str, severity: Severity) -> Note:
    return Note(
        workload=WorkloadId(namespace=NODE_EVENTS, name=node, kind="Node"),
        api_version="v1",
        reason=reason,
        message=message,
        severity=severity,
    )


def _result(action: MigAction, outcome: Outcome, message: str) -> MigResult:
    return MigResult(action=action, outcome=outcome, message=message)
