"""Load from several processes: one sends some hundreds of requests a second before it measures itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import TracebackType

from loadtests.load.driver import Driver
from loadtests.load.request_log import Request
from loadtests.load.targets import ReadyPods
from loadtests.load.triton import Inferences
from loadtests.validate.closed_loop import run_closed_loop

# Until every process has its share of the work in hand.
HEAD_START_S = 0.5


class Clients:
    """An asynchronous context: processes that send to one server, started inside, gone after it."""

    def __init__(self, address: str, *, model: str, processes: int) -> None:
        self._address, self._model, self._count = address, model, processes
        self._pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))

    async def __aenter__(self) -> Clients:
        # Each holds its process until all are up, so that none gets two.
        await self._all([(time.sleep, HEAD_START_S)] * self._count)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._pool.shutdown)

    async def open_loop(self, due_s: Sequence[float]) -> tuple[float, list[Request]]:
        """(when it began, in Unix seconds; the requests). Every n-th request is one process's."""
        started_s = time.time() + HEAD_START_S
        shares = [
            (_open_loop, self._address, self._model, tuple(due_s[n :: self._count]), started_s)
            for n in range(self._count)
        ]
        parts = await self._all(shares)
        return started_s, sorted((r for part in parts for r in part), key=lambda r: r.due_s)

    async def saturate(self, *, under_way: int, seconds: float) -> float:
        """Answers a second with at least `under_way` requests under way."""
        each = -(-under_way // self._count)
        parts = await self._all(
            [(_closed_loop, self._address, self._model, each, seconds)] * self._count
        )
        return float(sum(parts))

    async def _all(self, calls: Sequence[tuple]) -> list:  # type: ignore[type-arg]
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(self._pool, *call) for call in calls))


def _targets(address: str, model: str) -> ReadyPods:
    return ReadyPods(lambda: {address: address}, Inferences(model))


def _open_loop(
    address: str, model: str, due_s: tuple[float, ...], started_s: float
) -> list[Request]:
    async def run() -> list[Request]:
        driver = Driver(_targets(address, model))
        await driver.run(due_s, started_s=started_s)
        return driver.requests

    return asyncio.run(run())


def _closed_loop(address: str, model: str, under_way: int, seconds: float) -> float:
    async def run() -> float:
        start_s = time.monotonic()
        latencies = await run_closed_loop(
            _targets(address, model), under_way=under_way, seconds=seconds
        )
        return len(latencies) / (time.monotonic() - start_s)

    return asyncio.run(run())
