"""Carries out changes of headroom, and says which of them are worth an Event at the pool's Deployment."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from typing import Protocol

from autoscaler.controller.fence import Fence
from autoscaler.controller.ports import Note
from autoscaler.core.nodes.observed import SetHeadroom
from autoscaler.core.reasons import Reason
from autoscaler.core.types import HeadroomResult, Outcome, Severity, TickRecord, WorkloadId
from autoscaler.lasting import LastingOfEach

log = logging.getLogger(__name__)

REFUSED = "HeadroomRefused"
# Holds that ask for a person.
NOTABLE = frozenset({Reason.NODE_STATUS_STALE, Reason.NODE_HEADROOM_CAPPED})


class Writes(Protocol):
    """What writes one pool's object."""

    async def apply(self, action: SetHeadroom) -> HeadroomResult:
        """One change."""
        ...


class HeadroomWriter:
    """Sends a plan's changes of headroom, while this process leads and the tick has time left."""

    def __init__(self, actuator: Writes, fence: Fence) -> None:
        self._actuator, self._fence = actuator, fence
        self._refused = LastingOfEach(log, fence.clock, over="headroom is set again")

    async def carry_out(
        self, actions: tuple[SetHeadroom, ...], *, until_s: float
    ) -> tuple[HeadroomResult, ...]:
        """In their order, which asks before it lets go: what is let go waits for what is to come."""
        results: list[HeadroomResult] = []
        for action in actions:
            unasked = {r.action.pool for r in results if r.outcome is not Outcome.APPLIED}
            instead = sorted(unasked & {action.pool, *action.beside})
            if instead and action.units < action.observed:
                text = (
                    f"not sent: what may replace it could not be asked for ({', '.join(instead)})"
                )
                results.append(_result(action, Outcome.REJECTED, text))
                continue
            results.append(await self._send(action, until_s))
        return tuple(results)

    async def _send(self, action: SetHeadroom, until_s: float) -> HeadroomResult:
        result = await self._fence.send(
            partial(self._actuator.apply, action),
            partial(_result, action),
            until_s=until_s,
        )
        if result.outcome is Outcome.APPLIED:
            self._refused.end(action.pool)
            log.info(
                "headroom set",
                extra={"about": action.pool, "to": action.units, "why": action.message},
            )
        else:
            self._refused.tell(action.pool, "headroom not set", error=result.message)
        return result


def pool_notes(record: TickRecord, namespace: str) -> Iterator[tuple[Note, str]]:
    """(note, topic) of every pool, each told like any condition that lasts."""
    for result in record.headroom:
        action = result.action
        change = f"headroom from {max(0, action.observed)} to {action.units} units"
        if result.outcome is Outcome.APPLIED:
            text = f"{change} ({action.backend.value}): {action.message}"
            note = _note(namespace, action.pool, action.reason.value, text, Severity.NORMAL)
            # The same again is no news: somebody sets it back, and it is written anew in each tick.
            yield note, text
        else:
            text = f"Not changed, {change}: {result.message}"
            note = _note(namespace, action.pool, REFUSED, text, Severity.WARNING)
            yield note, REFUSED
    for decision in record.result.pools:
        told = list(decision.findings)
        if decision.reason in NOTABLE:
            told.append((decision.reason, decision.message))
        for reason, message in told:
            note = _note(namespace, decision.pool, reason.value, message, Severity.WARNING)
            yield note, reason.value


def _note(namespace: str, pool: str, reason: str, message: str, severity: Severity) -> Note:
    return Note(
        workload=WorkloadId(namespace=namespace, name=pool),
        api_version="apps/v1",
        reason=reason,
        message=message,
        severity=severity,
    )


def _result(action: SetHeadroom, outcome: Outcome, message: str) -> HeadroomResult:
    return HeadroomResult(action=action, outcome=outcome, message=message)
