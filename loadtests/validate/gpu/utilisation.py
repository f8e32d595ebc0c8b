"""What the GPU says of itself while it is measured: `nvidia-smi`, twice a second."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType

import msgspec

PERIOD_MS = 500
FIELDS = "utilization.gpu,power.draw,clocks.sm"


class GpuReading(msgspec.Struct, frozen=True, kw_only=True):
    """One line of nvidia-smi's."""

    busy_ratio: float
    """Share of the last moments in which any kernel ran: `utilization.gpu`, DCGM's GPU_UTIL."""
    power_w: float
    clock_mhz: float


def parse(line: str) -> GpuReading | None:
    """A line of `--format=csv,noheader,nounits`; None where one of its fields is not told."""
    try:
        busy, power_w, clock_mhz = (float(part) for part in line.split(","))
    except ValueError:
        return None
    return GpuReading(busy_ratio=busy / 100.0, power_w=power_w, clock_mhz=clock_mhz)


class GpuWatch:
    """An asynchronous context that collects `readings`; without a program it collects none."""

    def __init__(self, program: str | None) -> None:
        self._program = program
        self.readings: list[GpuReading] = []
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> GpuWatch:
        if self._program is not None:
            self._process = await asyncio.create_subprocess_exec(
                self._program,
                "--id=0",
                f"--query-gpu={FIELDS}",
                "--format=csv,noheader,nounits",
                f"--loop-ms={PERIOD_MS}",
                stdout=asyncio.subprocess.PIPE,
            )
            self._reader = asyncio.create_task(self._read(self._process))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None and self._reader is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            await self._process.wait()
            await self._reader

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            reading = parse(line.decode())
            if reading is not None:
                self.readings.append(reading)
