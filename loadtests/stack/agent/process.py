"""A model server's process, whatever it serves: started on an address of its own, asked, and ended gracefully."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import aiohttp

_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """In the child: the kernel kills it when the agent goes, however it goes."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ServerProcess(ABC):
    """A running server; `stop` lets it finish what it has."""

    program: str
    metrics_port: int

    def __init__(self, address: str, log: Path) -> None:
        self.address = address
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._ended: asyncio.Task[None] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """What is run."""

    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """Beside the agent's own."""

    @abstractmethod
    async def ready(self, session: aiohttp.ClientSession) -> bool:
        """What the pod's readiness probe finds."""

    @abstractmethod
    async def executed_s(self, session: aiohttp.ClientSession) -> float | None:
        """Seconds that its models have executed, all together; None: it does not answer."""

    async def start(self) -> None:
        """Starts the process; it is ready when `ready` says so."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self.command(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self.environment()},
                preexec_fn=_die_with_parent,
                start_new_session=True,
            )
        self._ended = asyncio.create_task(_until_gone(self._process))

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.returncode if self._process else None

    async def stop(self, grace_s: float) -> None:
        """SIGTERM: it refuses what is new and finishes what it has; SIGKILL after `grace_s`."""
        if self._process is None or self._ended is None:
            return
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), grace_s)
            except TimeoutError:
                self._process.kill()
        await self._ended


async def _until_gone(process: asyncio.subprocess.Process) -> None:
    """Waits for its end, and ends what it has left: Triton's stubs of Python models, which heed no SIGTERM, can outlive
    a server that was killed while it started them."""
    await process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
