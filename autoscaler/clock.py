"""Time, as a value that is handed in. The only module of the package that may read a clock."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the shell may ask about time; the engine is told `now_s` and asks nothing."""

    def now_s(self) -> float:
        """Wall time, seconds since the Unix epoch. May step backwards."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary origin that never step backwards: for durations and leases."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; a negative or zero time yields once to other tasks."""
        ...


_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The machine's own clock."""

    def now_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        # Linux' monotonic clock stands still while a machine is suspended; leases of others do not.
        return time.clock_gettime(_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
