"""Sends a plan's actions: several at once, each within its time, one's failure never the others'.

Right before each is sent the leadership is checked; what is not sent any more says so.
"""

from __future__ import annotations

import asyncio
import logging

from autoscaler.clock import Clock
from autoscaler.controller.deadline import within
from autoscaler.controller.leader import Leadership
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.ports import Actuator
from autoscaler.core.types import ActionResult, Outcome, SetReplicas
from autoscaler.errors import (
    ActuationConflict,
    ActuationRejected,
    AutoscalerError,
    LeadershipLost,
    SourceDenied,
)

log = logging.getLogger(__name__)


class Dispatcher:
    """Carries plans out."""

    def __init__(
        self,
        *,
        actuator: Actuator,
        leadership: Leadership,
        clock: Clock,
        metrics: Metrics,
        max_concurrent: int,
        timeout_s: float,
    ) -> None:
        self._actuator, self._leadership = actuator, leadership
        self._clock, self._metrics = clock, metrics
        self._max_concurrent, self._timeout_s = max_concurrent, timeout_s

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
        async with gate:
            if not self._leadership.is_leading():
                return _result(action, Outcome.REJECTED, "not sent: leadership was lost")
            started_s = self._clock.monotonic_s()
            left_s = until_s - started_s
            if left_s <= 0.0:
                return _result(action, Outcome.REJECTED, "not sent: the time of the tick was up")
            result = await self._send(action, min(left_s, self._timeout_s))
            self._metrics.action_seconds.observe(self._clock.monotonic_s() - started_s)
        if result.outcome not in (Outcome.APPLIED, Outcome.UNCHANGED):
            log.warning(
                "action not carried out",
                extra={"about": str(action.workload), "error": result.message},
            )
        return result

    async def _send(self, action: SetReplicas, limit_s: float) -> ActionResult:
        try:
            return await within(self._clock, limit_s, self._actuator.apply(action))
        except TimeoutError:
            return _result(
                action, Outcome.UNKNOWN, f"the API server did not answer within {limit_s:g} s"
            )
        except LeadershipLost:
            return _result(action, Outcome.REJECTED, "not sent: leadership was lost")
        except ActuationConflict as error:
            return _result(action, Outcome.CONFLICT, str(error))
        except (ActuationRejected, SourceDenied) as error:
            return _result(action, Outcome.REJECTED, str(error))
        except AutoscalerError as error:
            return _result(action, Outcome.UNKNOWN, str(error))
        except Exception as error:
            # The border between workloads. Whether it was written is not known, so it is looked at again.
            log.exception("actuator failed", extra={"about": str(action.workload)})
            return _result(action, Outcome.UNKNOWN, f"{type(error).__name__}: {error}")


def _result(action: SetReplicas, outcome: Outcome, message: str) -> ActionResult:
    return ActionResult(action=action, outcome=outcome, message=message)
