"""Clocks that tests move: one that jumps over every sleep, one that stands still until it is told to go on."""

from __future__ import annotations

import asyncio
import heapq
import itertools

START_S = 1_700_000_000.0


class FakeClock:
    """Sleeping takes no time and moves the clock at once: for code with one task."""

    def __init__(self, now_s: float = START_S) -> None:
        self.wall_s, self.mono_s = now_s, 0.0

    def now_s(self) -> float:
        return self.wall_s

    def monotonic_s(self) -> float:
        return self.mono_s

    async def sleep(self, seconds: float) -> None:
        self.wall_s += max(0.0, seconds)
        self.mono_s += max(0.0, seconds)
        await asyncio.sleep(0)


class SteppedClock(FakeClock):
    """Time passes only in `advance`, which wakes sleepers in the order of their time: for code with several tasks."""

    def __init__(self, now_s: float = START_S) -> None:
        super().__init__(now_s)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0.0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.mono_s + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Lets `seconds` pass, with everything that falls due in them."""
        end_s = self.mono_s + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end_s:
            due_s, _, woken = heapq.heappop(self._sleepers)
            if woken.done():  # its sleeper was cancelled
                continue
            self._move_to(due_s)
            woken.set_result(None)
            await settle()
        self._move_to(end_s)

    def _move_to(self, mono_s: float) -> None:
        self.wall_s += mono_s - self.mono_s
        self.mono_s = mono_s


async def settle(turns: int = 60) -> None:
    """Lets every task go on until it waits for time or for something that does not come."""
    for _ in range(turns):
        await asyncio.sleep(0)
