"""A fixed number of requests under way: what a server carries at most, and what one alone takes."""

from __future__ import annotations

import asyncio
import time

import numpy as np
from tritonclient.http import InferInput

from loadtests.load.targets import Targets

TIMEOUT_S = 30.0


async def run_closed_loop(
    targets: Targets,
    *,
    model: str,
    under_way: int,
    requests: int | None = None,
    seconds: float | None = None,
    items: int = 1,
) -> list[float]:
    """Latencies in seconds; ends after so many requests of `items` each, or after so many seconds.

    Raises whatever a request does: a measurement with failed requests is none.
    """
    values = InferInput("IN", [items, 1], "FP32")
    values.set_data_from_numpy(np.ones((items, 1), dtype=np.float32))
    until_s = float("inf") if seconds is None else time.monotonic() + seconds
    latencies: list[float] = []
    started = 0

    async def one_after_the_other() -> None:
        nonlocal started
        while time.monotonic() < until_s and (requests is None or started < requests):
            started += 1
            server = targets.pick()
            assert server is not None, "the servers are there all the time"
            server.outstanding += 1
            sent_s = time.monotonic()
            try:
                await asyncio.wait_for(server.client.infer(model, [values]), TIMEOUT_S)
            finally:
                server.outstanding -= 1
            latencies.append(time.monotonic() - sent_s)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(under_way):
                group.create_task(one_after_the_other())
    finally:
        await targets.close()
    return latencies
