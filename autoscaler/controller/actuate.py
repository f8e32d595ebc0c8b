"""Sends a plan's actions: several at once, each within its time, one's failure never the others'."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from autoscaler.controller.fence import Fence
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.ports import Actuator
from autoscaler.core.listed import listed
from autoscaler.core.types import ActionResult, Outcome, SetReplicas

log = logging.getLogger(__name__)

TOLD = 5
"""Workloads of one tick that the log names."""


class Dispatcher:
    """Carries plans out."""

    def __init__(
        self, *, actuator: Actuator, fence: Fence, metrics: Metrics, max_concurrent: int
    ) -> None:
        self._actuator, self._fence, self._metrics = actuator, fence, metrics
        self._max_concurrent = max_concurrent

    async def carry_out(
        self, actions: tuple[SetReplicas, ...], *, until_s: float
    ) -> tuple[ActionResult, ...]:
        """Results in the order of the actions. Nothing is sent after `until_s` of the monotonic clock."""
        gate = asyncio.Semaphore(self._max_concurrent)
        results = await asyncio.gather(
            *(self._carry_out(action, gate, until_s) for action in actions)
        )
        _say([r for r in results if r.outcome not in (Outcome.APPLIED, Outcome.UNCHANGED)])
        return tuple(results)

    async def _carry_out(
        self, action: SetReplicas, gate: asyncio.Semaphore, until_s: float
    ) -> ActionResult:
        unsent = partial(_result, action)
        async with gate:
            return await self._fence.send(partial(self._timed, action), unsent, until_s=until_s)

    async def _timed(self, action: SetReplicas) -> ActionResult:
        clock = self._fence.clock
        started_s = clock.monotonic_s()
        try:
            return await self._actuator.apply(action)
        finally:
            self._metrics.action_seconds.observe(clock.monotonic_s() - started_s)


def _say(failed: list[ActionResult]) -> None:
    """In one line: what is refused for a whole fleet is refused in every tick. Each workload's Event has its own."""
    if failed:
        about = listed([str(result.action.workload) for result in failed], most=TOLD)
        log.warning("actions not carried out", extra={"about": about, "error": failed[0].message})


def _result(action: SetReplicas, outcome: Outcome, message: str) -> ActionResult:
    return ActionResult(action=action, outcome=outcome, message=message)
