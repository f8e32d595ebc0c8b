"""One real KServe Python model server on its own loopback address, as the `kserve` package of PyPI starts it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import aiohttp

from loadtests.stack.agent.models import Model
from loadtests.stack.agent.process import ServerProcess

HTTP = 8080
PROGRAM = Path(__file__).with_name("kserve_model.py.txt")
BUSY = "request_predict_seconds_sum{"


class KServeProcess(ServerProcess):
    """The server with one predictor for each model; it speaks the v2 protocol, and its metrics are on the same port."""

    program = "kserve"
    metrics_port = HTTP

    def __init__(self, python: Path, models: tuple[Model, ...], address: str, log: Path) -> None:
        """`python` is the interpreter of an environment in which `kserve` is installed."""
        super().__init__(address, log)
        self._python = python
        self._models = models

    def command(self) -> list[str]:
        return [str(self._python), str(PROGRAM), f"--http_port={HTTP}", "--enable_grpc=false"]

    def environment(self) -> Mapping[str, str]:
        return {
            "STACK_ADDRESS": self.address,
            "STACK_MODELS": json.dumps([asdict(model) for model in self._models]),
        }

    async def ready(self, session: aiohttp.ClientSession) -> bool:
        """A TCP connection, which is the probe that KServe gives a predictor without one. Asking for /v2/health/ready
        would wait for all predictions that are in front of it."""
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(self.address, HTTP), 1.0)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def executed_s(self, session: aiohttp.ClientSession) -> float | None:
        try:
            async with session.get(
                f"http://{self.address}:{HTTP}/metrics",
                timeout=aiohttp.ClientTimeout(total=2.0),
            ) as answer:
                return predicted_s(await answer.text())
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None


def predicted_s(exposition: str) -> float:
    """Seconds in `predict` of all models together, from what the server tells Prometheus."""
    lines = (line for line in exposition.splitlines() if line.startswith(BUSY))
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)
