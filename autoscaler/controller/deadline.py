"""Time limits that follow the injected clock, so that tests need not wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from autoscaler.clock import Clock

T = TypeVar("T")


async def within(clock: Clock, seconds: float, work: Awaitable[T]) -> T:
    """What `work` returns, if it does so in time. Work that is late is cancelled and not waited for.

    Raises:
        TimeoutError: it was not done after `seconds`.
    """
    task = asyncio.ensure_future(work)
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise TimeoutError("no answer")
    finally:
        timer.cancel()
        if not task.done():
            task.add_done_callback(_retrieve)
            task.cancel()


async def unless(clock: Clock, seconds: float, stop: asyncio.Event) -> bool:
    """Waits `seconds`, or less if `stop` is set meanwhile; tells whether it is."""
    if not stop.is_set():
        try:
            await within(clock, seconds, stop.wait())
        except TimeoutError:
            return False
    return True


def _retrieve(task: asyncio.Future[T]) -> None:
    # What cancelled work raises is of interest to nobody, but asyncio complains if nobody looks.
    if not task.cancelled():
        task.exception()
