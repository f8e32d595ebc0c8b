"""Sends a plan's actions: several at once, each within its time, one's failure never the others'."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from autoscaler.controller.fence import Fence
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.ports import Actuator
from autoscaler.core.types import ActionResult, Outcome, SetReplicas

log = logging.getLogger(__name__)


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
        return tuple(
            await asyncio.gather(*(self._carry_out(action, gate, until_s) for action in actions))
        )

    async def _carry_out(
        self, action: SetReplicas, gate: asyncio.Semaphore, until_s: float
    ) -> ActionResult:
        unsent = partial(_result, action)
        async with gate:
            result = await self._fence.send(partial(self._timed, action), unsent, until_s=until_s)
        if result.outcome not in (Outcome.APPLIED, Outcome.UNCHANGED):
            log.warning(
                "action not carried out",
                extra={"about": str(action.workload), "error": result.message},
            )
        return result

    async def _timed(self, action: SetReplicas) -> ActionResult:
        clock = self._fence.clock
        started_s = clock.monotonic_s()
        try:
            return await self._actuator.apply(action)
        finally:
            self._metrics.action_seconds.observe(clock.monotonic_s() - started_s)


def _result(action: SetReplicas, outcome: Outcome, message: str) -> ActionResult:
    return ActionResult(action=action, outcome=outcome, message=message)
