"""The stand-in for vLLM (loadtests/engines) on its own loopback address: real batching and metrics, no model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from loadtests.stack.agent.api import Object
from loadtests.stack.agent.process import ServerProcess

HTTP = 8000
# Of vLLM's options those that the stand-in has.
TAKEN = ("--max-num-seqs=",)


class VllmProcess(ServerProcess):
    """The server, with the options of the pod's own command that it knows."""

    program = "vllm"
    metrics_port = HTTP

    def __init__(self, pod: Object, address: str, log: Path) -> None:
        super().__init__(address, log)
        self._options = options(pod)

    def command(self) -> list[str]:
        where = (f"--host={self.address}", f"--port={HTTP}")
        return [sys.executable, "-m", "loadtests.engines", *where, *self._options]

    def environment(self) -> Mapping[str, str]:
        return {}

    async def ready(self, session: aiohttp.ClientSession) -> bool:
        """vLLM's own health, which KServe's probe asks for over HTTPS."""
        try:
            async with session.get(
                f"http://{self.address}:{HTTP}/health", timeout=aiohttp.ClientTimeout(total=2.0)
            ) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def executed_s(self, session: aiohttp.ClientSession) -> float | None:
        """It has no GPU whose time could be told."""
        return None


def options(pod: Object) -> tuple[str, ...]:
    """Of the pod's first container."""
    container = pod["spec"]["containers"][0]
    given = (*container.get("command", ()), *container.get("args", ()))
    return tuple(option for option in given if option.startswith(TAKEN))
