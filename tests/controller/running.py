"""A controller that runs in the background of a story."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fakes.clock import START_S, settle
from tests.fakes.controller import FakeController


@asynccontextmanager
async def running(controller: FakeController) -> AsyncIterator[FakeController]:
    task = controller.start()
    await settle()
    yield controller
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def ticks(controller: FakeController) -> list[float]:
    """When ticks began, in seconds since the start."""
    return [given.now_s - START_S for given in controller.engine.inputs]
