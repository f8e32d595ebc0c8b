"""Measures: starts real Triton with the network, and writes down what it and its clients saw."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import aiohttp

from autoscaler.core.types import BatchTime
from loadtests.load.driver import lateness_p99_s
from loadtests.load.profile import Step, arrivals
from loadtests.stack.agent.models import Model
from loadtests.stack.agent.server import METRICS
from loadtests.stack.toolbox import Triton
from loadtests.validate.closed_loop import run_closed_loop
from loadtests.validate.compare import since_sent
from loadtests.validate.gpu.clients import Clients
from loadtests.validate.gpu.lines import append
from loadtests.validate.gpu.needs import Machine
from loadtests.validate.gpu.recording import (
    LevelRecord,
    Look,
    Measured,
    Prepared,
    since,
)
from loadtests.validate.gpu.repository import Network, write_network
from loadtests.validate.gpu.utilisation import GpuWatch
from loadtests.validate.measured import idle_overhead_s
from loadtests.validate.servers import Servers, Setting

LOADS = (0.3, 0.6, 0.8, 0.9)
SWEEP_BATCHES = 20
SATURATED_S, SATURATED_RUNS = 4.0, 2
# Times what fills all batches: with twice as many, clients that send in step leave a batch of the few that are over.
UNDER_WAY = 4
SCRAPE_S = 5.0


def setting(name: str, *, max_batch_size: int, instances: int = 1) -> Setting:
    """One server that may wait a millisecond for a fuller batch."""
    model = Model(
        name="m", max_batch_size=max_batch_size, instances=instances, max_queue_delay_us=1000
    )
    return Setting(name=name, servers=1, model=model, dynamic_batching=True)


SETTINGS = (
    setting("batches to 8", max_batch_size=8),
    setting("batches to 32", max_batch_size=32),
    setting("two instances, batches to 8", max_batch_size=8, instances=2),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is measured."""

    settings: Sequence[Setting] = SETTINGS
    loads: Sequence[float] = LOADS
    requests: int = 20_000
    """A level."""
    most_s: float = float("inf")
    """Of a level: ends it before all requests were sent."""
    clients: int = 1


async def record(
    triton: Triton, machine: Machine, network: Network, extent: Extent, path: Path
) -> None:
    """Everything, a line of `path` as soon as it is known. Raises StackError or SourceError."""
    assert machine.torch is not None
    assert machine.site_packages is not None
    append(
        path,
        Measured(
            date=datetime.now(UTC).date().isoformat(),
            gpu=machine.gpu or "none",
            torch=machine.torch,
            cores=os.cpu_count() or 1,
            network=network,
        ),
    )
    with_torch = replace(triton, site_packages=Path(machine.site_packages))
    write = partial(write_network, network=network)
    watched = machine.nvidia_smi if network.device == "cuda" else None
    for number, item in enumerate(extent.settings):
        folder = path.parent / f"setting-{number}"
        async with Servers(with_torch, item, folder, write=write) as servers:
            async with Clients(
                servers.addresses[0], model="m", processes=extent.clients
            ) as clients:
                await _Setting(servers, clients, watched, path).record(extent)


class _Setting:
    """One server while it is measured."""

    def __init__(
        self, servers: Servers, clients: Clients, nvidia_smi: str | None, path: Path
    ) -> None:
        self._servers, self._clients, self._path = servers, clients, path
        self._nvidia_smi = nvidia_smi
        self._name = servers.setting.name

    async def record(self, extent: Extent) -> None:
        prepared = await self._prepare()
        append(self._path, prepared)
        print(
            f"{self._name}: {prepared.capacity_rps:.0f} requests a second at most, "
            f"{prepared.overhead_s * 1e3:.1f} ms on the way",
            flush=True,
        )
        for load in extent.loads:
            level = await self._level(load, load * prepared.capacity_rps, extent)
            append(self._path, level)
            latency_s = sorted(level.latencies_s)
            print(
                f"  {load:4.0%} {level.rate_rps:6.0f}/s {len(latency_s)} answered, "
                f"p95 {latency_s[int(0.95 * len(latency_s))] * 1e3:.1f} ms, "
                f"{level.failed} failed, client {level.lateness_p99_s * 1e3:.1f} ms late",
                flush=True,
            )

    async def _prepare(self) -> Prepared:
        model = self._servers.setting.model
        overhead_s = await idle_overhead_s(self._servers)
        sweep: tuple[BatchTime, ...] = ()
        for size in range(1, model.max_batch_size + 1):
            before = await self._servers.profile()
            await run_closed_loop(
                self._servers.targets(items=size), under_way=1, requests=SWEEP_BATCHES
            )
            sweep += since((await self._servers.profile()).batch_times, before.batch_times)
        before = await self._servers.profile()
        async with GpuWatch(self._nvidia_smi) as gpu:
            # Whatever else the machine does only takes capacity away: the best run is what there is.
            capacity_rps = max(
                [
                    await self._clients.saturate(
                        under_way=UNDER_WAY * model.instances * model.max_batch_size,
                        seconds=SATURATED_S,
                    )
                    for _ in range(SATURATED_RUNS)
                ]
            )
        after = await self._servers.profile()
        return Prepared(
            setting=self._name,
            profile=after,
            sweep=sweep,
            overhead_s=overhead_s,
            capacity_rps=capacity_rps,
            saturated=since(after.batch_times, before.batch_times),
            gpu=tuple(gpu.readings),
        )

    async def _level(self, load: float, rate_rps: float, extent: Extent) -> LevelRecord:
        duration_s = min(extent.requests / rate_rps * 1.02, extent.most_s)
        due_s = arrivals((Step(rate_rps=rate_rps, duration_s=duration_s),), seed=1)
        seen = [await self._look()]
        looking = asyncio.create_task(self._keep_looking(seen))
        async with GpuWatch(self._nvidia_smi) as gpu:
            try:
                started_s, requests = await self._clients.open_loop(due_s)
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
        seen.append(await self._look())
        answered = [r for r in requests if r.latency_s is not None]
        latencies_s, sent_s = since_sent(answered)
        return LevelRecord(
            setting=self._name,
            load_ratio=load,
            rate_rps=rate_rps,
            started_s=started_s,
            sent_s=tuple(round(value, 6) for value in sent_s),
            latencies_s=tuple(round(value, 6) for value in latencies_s),
            lateness_p99_s=lateness_p99_s(requests),
            failed=len(requests) - len(answered),
            looks=tuple(seen),
            gpu=tuple(gpu.readings),
        )

    async def _look(self) -> Look:
        profile = await self._servers.profile()
        url = f"http://{self._servers.addresses[0]}:{METRICS}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            text = await answer.text()
        metrics = "".join(f"{line}\n" for line in text.splitlines() if "nv_inference" in line)
        return Look(at_s=time.time(), profile=profile, metrics=metrics)

    async def _keep_looking(self, seen: list[Look]) -> None:
        while True:
            await asyncio.sleep(SCRAPE_S)
            seen.append(await self._look())
