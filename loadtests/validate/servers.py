"""A few real tritonserver processes on loopback addresses of their own, and what they say of themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import aiohttp

from autoscaler.clients.triton import TritonClient
from autoscaler.collectors.triton import model_profile
from autoscaler.core.types import BatchTime, ModelProfile
from loadtests.load.targets import ReadyPods
from loadtests.load.triton import Inferences
from loadtests.stack.agent.models import Model, write_repository
from loadtests.stack.agent.server import HTTP, TritonProcess
from loadtests.stack.errors import StackError
from loadtests.stack.toolbox import Triton

# Beside the local stack's pods, which are at 127.77.*.
ADDRESS = "127.98.0.{}"
START_TIMEOUT_S = 240.0
STOP_GRACE_S = 20.0
ASK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How the servers are set."""

    name: str
    servers: int
    model: Model
    dynamic_batching: bool


class Servers:
    """An asynchronous context: started and ready inside, gone after it."""

    def __init__(
        self,
        triton: Triton,
        setting: Setting,
        folder: Path,
        *,
        write: Callable[[Path, Setting], None] | None = None,
    ) -> None:
        """`write` lays out the repository that all of them read; by default models that sleep."""
        self.setting = setting
        repository = folder / "models"
        (write or write_models)(repository, setting)
        self._processes = [
            TritonProcess(
                triton, repository, ADDRESS.format(number + 1), folder / f"server-{number}.log"
            )
            for number in range(setting.servers)
        ]

    async def __aenter__(self) -> Servers:
        try:
            for process in self._processes:
                await process.start()
            await self._wait_until_ready()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(process.address for process in self._processes)

    def targets(self, *, items: int = 1) -> ReadyPods:
        """Least outstanding requests over all of them, of so many items each."""
        addresses = {address: address for address in self.addresses}
        ready: Callable[[], dict[str, str]] = lambda: addresses  # noqa: E731
        return ReadyPods(ready, Inferences(self.setting.model.name, items))

    async def profile(self) -> ModelProfile:
        """Triton's statistics by batch size, of all servers together. Raises SourceError."""
        told = await asyncio.gather(*(profile_of(p.address, self.setting) for p in self._processes))
        sums: dict[int, BatchTime] = {}
        for item in (item for profile in told for item in profile.batch_times):
            other = sums.get(
                item.batch_size, BatchTime(batch_size=item.batch_size, count=0, total_s=0.0)
            )
            sums[item.batch_size] = BatchTime(
                batch_size=item.batch_size,
                count=other.count + item.count,
                total_s=other.total_s + item.total_s,
            )
        first = told[0]
        return ModelProfile(
            model=first.model,
            version=first.version,
            max_batch_size=first.max_batch_size,
            instances=first.instances,
            max_queue_delay_s=first.max_queue_delay_s,
            batch_times=tuple(sums[size] for size in sorted(sums)),
        )

    async def _wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        async with aiohttp.ClientSession() as session:
            for process in self._processes:
                while not await process.ready(session):
                    if process.exit_code is not None or time.monotonic() > deadline_s:
                        raise StackError(
                            f"tritonserver at {process.address} is not ready (exit code {process.exit_code}); "
                            "see its log in build/validate"
                        )
                    await asyncio.sleep(0.2)

    async def _stop(self) -> None:
        await asyncio.gather(*(process.stop(STOP_GRACE_S) for process in self._processes))


async def profile_of(address: str, setting: Setting) -> ModelProfile:
    """Triton's statistics by batch size, of one server. Raises SourceError."""
    client = TritonClient(f"{address}:{HTTP}", timeout_s=ASK_TIMEOUT_S)
    try:
        name = setting.model.name
        found = [entry for entry in await client.statistics() if entry.get("name") == name]
        return model_profile(name, found, await client.configuration(name))
    finally:
        await client.close()


def write_models(repository: Path, setting: Setting) -> None:
    """The repository that all servers of a setting read."""
    write_repository(repository, (setting.model,))
    if setting.dynamic_batching:
        return
    path = repository / setting.model.name / "config.pbtxt"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("dynamic_batching")))
