"""A fixed number of requests under way: what a server carries at most, and what one alone takes."""

from __future__ import annotations

import asyncio
import time

from loadtests.load.targets import Targets

TIMEOUT_S = 30.0


async def run_closed_loop(
    targets: Targets,
    *,
    under_way: int,
    requests: int | None = None,
    seconds: float | None = None,
) -> list[float]:
    """Latencies in seconds; ends after so many requests, or after so many seconds.

    Raises whatever a request does: a measurement with failed requests is none.
    """
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
                await asyncio.wait_for(server.client.ask(started), TIMEOUT_S)
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
