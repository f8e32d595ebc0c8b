"""What every write to the cluster passes: sent while this process leads and the tick has time left, else told why."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from autoscaler.actuators.outcomes import outcome_of
from autoscaler.clock import Clock
from autoscaler.controller.deadline import within
from autoscaler.controller.leader import Leadership
from autoscaler.core.types import Outcome
from autoscaler.errors import AutoscalerError, LeadershipLost

log = logging.getLogger(__name__)

R = TypeVar("R")

NOT_LEADING = "not sent: leadership was lost"
TIME_UP = "not sent: the time of the tick was up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """Keeps out a process that leads no more, and a write that would outlive its tick or its lease."""

    leadership: Leadership
    clock: Clock
    call_s: float
    """Of one call to the API server, at most."""

    async def send(
        self,
        write: Callable[[], Awaitable[R]],
        unsent: Callable[[Outcome, str], R],
        *,
        until_s: float,
        calls: int = 1,
    ) -> R:
        """What `write` answers in the time of so many calls and before `until_s` of the monotonic clock; else what
        `unsent` makes of the outcome and the reason. Whoever leads is asked right before."""
        left_s = min(until_s - self.clock.monotonic_s(), calls * self.call_s)
        if not self.leadership.is_leading():
            return unsent(Outcome.REJECTED, NOT_LEADING)
        if left_s <= 0.0:
            return unsent(Outcome.REJECTED, TIME_UP)
        try:
            return await within(self.clock, left_s, write())
        except TimeoutError:
            return unsent(Outcome.UNKNOWN, f"the API server did not answer within {left_s:g} s")
        except LeadershipLost:
            return unsent(Outcome.REJECTED, NOT_LEADING)
        except AutoscalerError as error:
            return unsent(outcome_of(error), str(error))
        except Exception as error:
            # The border between writes: the tick goes on to acknowledge those that were made. Whether this one was is
            # not known, so it is looked at again.
            log.exception("write failed")
            return unsent(Outcome.UNKNOWN, f"{type(error).__name__}: {error}")
