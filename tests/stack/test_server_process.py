"""A model server's process, and what it starts."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from loadtests.stack import processes
from loadtests.stack.agent.process import ServerProcess

# As Triton with a Python model: a process of its own, which heeds no SIGTERM.
PARENT = """
import signal, subprocess, sys, time
from pathlib import Path
child = subprocess.Popen([sys.executable, "-c", sys.argv[2]])
Path(sys.argv[1] + ".new").write_text(str(child.pid))
Path(sys.argv[1] + ".new").rename(sys.argv[1])
time.sleep(600)
"""
STUB = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


class WithStub(ServerProcess):
    program, metrics_port = "python", 0

    def __init__(self, folder: Path) -> None:
        super().__init__("127.0.0.1", folder / "log")
        self.told = folder / "stub"

    def command(self) -> list[str]:
        return [sys.executable, "-c", PARENT, str(self.told), STUB]

    def environment(self) -> dict[str, str]:
        return {}

    async def ready(self, session: aiohttp.ClientSession) -> bool:
        return True

    async def executed_s(self, session: aiohttp.ClientSession) -> float | None:
        return None

    async def stub(self) -> int:
        await until(self.told.exists)
        return int(self.told.read_text())


async def until(so: Callable[[], bool]) -> None:
    """What other processes and the kernel do in a moment."""
    for _ in range(1000):
        if so():
            return
        await asyncio.sleep(0.02)
    pytest.fail("it never was so")


@pytest.mark.parametrize("killed", [False, True], ids=["ended", "killed"])
async def test_what_a_server_has_started_ends_with_it(tmp_path: Path, killed: bool) -> None:
    server = WithStub(tmp_path)
    await server.start()
    stub = await server.stub()
    assert server.pid is not None
    if killed:
        os.kill(server.pid, signal.SIGKILL)
    await server.stop(5.0)
    assert server.exit_code == -(signal.SIGKILL if killed else signal.SIGTERM)
    await until(lambda: processes.started_ticks(stub) is None)
