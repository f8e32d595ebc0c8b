"""One real tritonserver process on its own loopback address."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from loadtests.stack.agent.process import ServerProcess
from loadtests.stack.toolbox import Triton

HTTP, GRPC, METRICS = 8000, 8001, 8002
EXIT_TIMEOUT_S = 15


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


class TritonProcess(ServerProcess):
    """tritonserver with a model repository that was written before."""

    program = "tritonserver"
    metrics_port = METRICS

    def __init__(self, triton: Triton, repository: Path, address: str, log: Path) -> None:
        super().__init__(address, log)
        self._triton = triton
        self._repository = repository

    def command(self) -> list[str]:
        return command(self._triton, self._repository, self.address)

    def environment(self) -> Mapping[str, str]:
        return {
            "LD_LIBRARY_PATH": self._triton.library_path,
            "STACK_SITE_PACKAGES": str(self._triton.site_packages),
        }

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
        try:
            async with session.get(
                f"http://{self.address}:{HTTP}/v2/models/stats",
                timeout=aiohttp.ClientTimeout(total=2.0),
            ) as answer:
                return executed_s(await answer.json())
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None


def executed_s(statistics: dict[str, Any]) -> float:
    """From Triton's statistics: the time of each executed batch, counted once and not per request."""
    return sum(
        float(batch["compute_infer"]["ns"]) / 1e9
        for model in statistics.get("model_stats", [])
        for batch in model.get("batch_stats", [])
    )
