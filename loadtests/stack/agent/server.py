"""One real tritonserver process on its own loopback address."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp

from loadtests.stack.toolbox import Triton

HTTP, GRPC, METRICS = 8000, 8001, 8002
EXIT_TIMEOUT_S = 15
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """In the child: the kernel kills it when the agent goes, however it goes."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def command(triton: Triton, repository: Path, address: str) -> list[str]:
    """tritonserver with the usual ports on an address of its own, and latency summaries."""
    return [
        str(triton.binary),
        f"--model-repository={repository}",
        f"--backend-directory={triton.backends}",
        f"--http-address={address}",
        f"--http-port={HTTP}",
        f"--grpc-address={address}",
        f"--grpc-port={GRPC}",
        f"--metrics-address={address}",
        f"--metrics-port={METRICS}",
        "--metrics-config=summary_latencies=true",
        "--allow-gpu-metrics=false",
        "--allow-cpu-metrics=false",
        "--model-control-mode=none",
        f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
        "--http-thread-count=2",
        "--log-info=false",
        "--log-verbose=0",
    ]


class TritonProcess:
    """A running server; `stop` lets it finish what it has."""

    def __init__(self, triton: Triton, repository: Path, address: str, log: Path) -> None:
        self._triton = triton
        self._repository = repository
        self.address = address
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts the process; it is ready when `ready` says so."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *command(self._triton, self._repository, self.address),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={
                    **os.environ,
                    "LD_LIBRARY_PATH": self._triton.library_path,
                    "STACK_SITE_PACKAGES": str(self._triton.site_packages),
                },
                preexec_fn=_die_with_parent,
            )

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.returncode if self._process else None

    async def ready(self, session: aiohttp.ClientSession) -> bool:
        """Triton's own readiness, which a Kubernetes probe would ask."""
        try:
            async with session.get(
                f"http://{self.address}:{HTTP}/v2/health/ready",
                timeout=aiohttp.ClientTimeout(total=2.0),
            ) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def executed_s(self, session: aiohttp.ClientSession) -> float | None:
        """Seconds that its models have executed batches, all together; None: it does not answer."""
        try:
            async with session.get(
                f"http://{self.address}:{HTTP}/v2/models/stats",
                timeout=aiohttp.ClientTimeout(total=2.0),
            ) as answer:
                return executed_s(await answer.json())
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None

    async def stop(self, grace_s: float) -> None:
        """SIGTERM: it refuses what is new and finishes what it has; SIGKILL after `grace_s`."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), grace_s)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def executed_s(statistics: dict[str, Any]) -> float:
    """From Triton's statistics: the time of each executed batch, counted once and not per request."""
    return sum(
        float(batch["compute_infer"]["ns"]) / 1e9
        for model in statistics.get("model_stats", [])
        for batch in model.get("batch_stats", [])
    )
