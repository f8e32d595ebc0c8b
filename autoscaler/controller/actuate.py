"""Sends a plan's actions: several at once, each within its time, one's failure never the others'."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from autoscaler.controller.fence import TIME_UP, Fence
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.ports import Actuator
from autoscaler.core.listed import listed
from autoscaler.core.types import ActionResult, Outcome, SetReplicas, WorkloadId
from autoscaler.lasting import Lasting

log = logging.getLogger(__name__)

TOLD = 5
"""Workloads of one tick that the log names."""
# Of the time that is left when all others are sent: nodes and slices are written after them.
HUNG_SHARE = 0.5


class Dispatcher:
    """Carries plans out."""

    def __init__(
        self, *, actuator: Actuator, fence: Fence, metrics: Metrics, max_concurrent: int
    ) -> None:
        self._actuator, self._fence, self._metrics = actuator, fence, metrics
        self._max_concurrent = max_concurrent
        self._refused = Lasting(log, fence.clock, over="actions are carried out again")
        self._hung: tuple[WorkloadId, ...] = ()
        """Whose last write got no answer, the one that has waited longest first."""

    async def carry_out(
        self, actions: tuple[SetReplicas, ...], *, until_s: float
    ) -> tuple[ActionResult, ...]:
        """Results in the order of the actions. Nothing is sent after `until_s` of the monotonic clock.

        What got no answer the last time comes after all others: 24 workloads behind a webhook that hangs, ten of them
        at once and 4 s each, are a whole tick.
        """
        place = {key: number for number, key in enumerate(self._hung)}
        hung = sorted(
            (action for action in actions if action.workload in place),
            key=lambda action: place[action.workload],
        )
        results = await self._all([a for a in actions if a.workload not in place], until_s)
        if hung:
            now_s = self._fence.clock.monotonic_s()
            results |= await self._all(hung, now_s + HUNG_SHARE * max(0.0, until_s - now_s))
        # Those that their time did not suffice for come first among them the next time.
        self._hung = (
            *(a.workload for a in hung if results[a.workload].message == TIME_UP),
            *(key for key, result in results.items() if result.outcome is Outcome.UNKNOWN),
        )
        in_order = tuple(results[action.workload] for action in actions)
        self._say([r for r in in_order if r.outcome not in (Outcome.APPLIED, Outcome.UNCHANGED)])
        return in_order

    async def _all(
        self, actions: list[SetReplicas], until_s: float
    ) -> dict[WorkloadId, ActionResult]:
        gate = asyncio.Semaphore(self._max_concurrent)
        results = await asyncio.gather(
            *(self._carry_out(action, gate, until_s) for action in actions)
        )
        return {result.action.workload: result for result in results}

    def _say(self, failed: list[ActionResult]) -> None:
        """In one line: what is refused for a whole fleet is so in every tick. Each workload's Event has its own."""
        if not failed:
            self._refused.end()
            return
        about = listed([str(result.action.workload) for result in failed], most=TOLD)
        self._refused.tell("actions not carried out", about=about, error=failed[0].message)

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


def _result(action: SetReplicas, outcome: Outcome, message: str) -> ActionResult:
    return ActionResult(action=action, outcome=outcome, message=message)
