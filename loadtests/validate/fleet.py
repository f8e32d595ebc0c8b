"""Real tritonserver processes whose number is changed while requests are sent, as a Deployment's would be."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path
from types import TracebackType

import aiohttp

from autoscaler.core.types import ModelProfile
from autoscaler.simulation.deployment import PROBE_S
from loadtests.load.targets import ReadyPods
from loadtests.load.triton import Inferences
from loadtests.stack.agent.server import TritonProcess
from loadtests.stack.errors import StackError
from loadtests.stack.toolbox import Triton
from loadtests.validate.servers import (
    START_TIMEOUT_S,
    STOP_GRACE_S,
    Setting,
    profile_of,
    write_models,
)

# Beside those of `servers`.
ADDRESS = "127.99.0.{}"
POLL_S = 0.1


class Fleet:
    """An asynchronous context. The first server is ready inside; `scale` changes how many there are."""

    def __init__(self, triton: Triton, setting: Setting, folder: Path) -> None:
        self._triton, self._setting, self._folder = triton, setting, folder
        self._repository = folder / "models"
        write_models(self._repository, setting)
        self._made = 0
        self._pods: list[TritonProcess] = []
        self._ready: dict[str, str] = {}
        self._ending: list[asyncio.Task[None]] = []
        self._origin_s = 0.0
        self.changes: list[tuple[float, int]] = []
        """(time since `begin`, servers that take traffic) at each change."""
        self.startups_s: list[float] = []
        """From the request for a server until it was found ready, probes included, in the order of the requests."""

    async def __aenter__(self) -> Fleet:
        await self._start()
        try:
            await self._until_ready(self._pods[0])
        except BaseException:
            await self._stop_all()
            raise
        self._ready = {self._pods[0].address: self._pods[0].address}
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop_all()

    @property
    def now_s(self) -> float:
        """Since `begin`."""
        return time.monotonic() - self._origin_s

    def targets(self) -> ReadyPods:
        """Least outstanding requests over those that are ready."""
        return ReadyPods(lambda: self._ready, Inferences(self._setting.model.name))

    async def profile(self) -> ModelProfile:
        """Statistics of the server that stays."""
        return await profile_of(self._pods[0].address, self._setting)

    async def measured_startup_s(self) -> float:
        """Of one more server, which goes again: from its request until it is ready, to a tenth of a second."""
        start_s = time.monotonic()
        await self._start()
        pod = self._pods.pop()
        try:
            await self._until_ready(pod)
            return time.monotonic() - start_s
        finally:
            await pod.stop(STOP_GRACE_S)

    def begin(self) -> None:
        """Times count from here."""
        self._origin_s = time.monotonic()
        self.changes = [(0.0, len(self._ready))]

    async def scale(self, wanted: int) -> None:
        """Asks for servers, which are probed every 5 s, or ends the youngest, which finish what they have."""
        while len(self._pods) < wanted:
            await self._start()
            place = len(self.startups_s)
            self.startups_s.append(math.nan)
            self._ending.append(asyncio.create_task(self._probe(self._pods[-1], place)))
        while len(self._pods) > wanted:
            pod = self._pods.pop()
            if self._ready.pop(pod.address, None) is not None:
                self._changed()
            self._ending.append(asyncio.create_task(pod.stop(STOP_GRACE_S)))

    async def _start(self) -> None:
        self._made += 1
        pod = TritonProcess(
            self._triton,
            self._repository,
            ADDRESS.format(self._made),
            self._folder / f"server-{self._made}.log",
        )
        self._pods.append(pod)
        await pod.start()

    async def _probe(self, pod: TritonProcess, place: int) -> None:
        asked_s = self.now_s
        async with aiohttp.ClientSession() as session:
            while pod in self._pods:
                # Probes of all servers fall on the same moments, as the modelled cluster's do.
                due_s = PROBE_S * (math.floor(self.now_s / PROBE_S) + 1.0)
                await asyncio.sleep(due_s - self.now_s)
                if pod in self._pods and await pod.ready(session):
                    self._ready[pod.address] = pod.address
                    self.startups_s[place] = due_s - asked_s
                    self._changed()
                    return
                self._require_alive(pod)

    async def _until_ready(self, pod: TritonProcess) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        async with aiohttp.ClientSession() as session:
            while not await pod.ready(session):
                self._require_alive(pod)
                if time.monotonic() > deadline_s:
                    raise StackError(f"tritonserver at {pod.address} is not ready; see its log")
                await asyncio.sleep(POLL_S)

    def _require_alive(self, pod: TritonProcess) -> None:
        if pod.exit_code is not None and pod in self._pods:
            raise StackError(f"tritonserver at {pod.address} ended ({pod.exit_code}); see its log")

    def _changed(self) -> None:
        self.changes.append((self.now_s, len(self._ready)))

    async def _stop_all(self) -> None:
        pods, self._pods = self._pods, []
        await asyncio.gather(*(pod.stop(STOP_GRACE_S) for pod in pods))
        await asyncio.gather(*self._ending, return_exceptions=True)
