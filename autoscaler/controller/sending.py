"""One write to the cluster: sent while this process leads and the tick has time left, else the answer says why not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from autoscaler.clock import Clock
from autoscaler.controller.deadline import within
from autoscaler.controller.leader import Leadership
from autoscaler.core.types import Outcome
from autoscaler.errors import AutoscalerError

R = TypeVar("R")


async def send(
    write: Callable[[], Awaitable[R]],
    unsent: Callable[[Outcome, str], R],
    *,
    leadership: Leadership,
    clock: Clock,
    until_s: float,
    longest_s: float,
) -> R:
    """What `write` answers within `longest_s` and before `until_s` of the monotonic clock; else what `unsent` makes of
    the outcome and the reason."""
    left_s = min(until_s - clock.monotonic_s(), longest_s)
    if not leadership.is_leading():
        return unsent(Outcome.REJECTED, "not sent: leadership was lost")
    if left_s <= 0.0:
        return unsent(Outcome.REJECTED, "not sent: the time of the tick was up")
    try:
        return await within(clock, left_s, write())
    except TimeoutError:
        return unsent(Outcome.UNKNOWN, f"no answer within {left_s:g} s")
    except AutoscalerError as error:
        return unsent(Outcome.UNKNOWN, str(error))
