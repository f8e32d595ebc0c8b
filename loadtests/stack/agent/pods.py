"""The life of one pod: start-up delay, server, probes, restarts, and a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from dataclasses import replace
from pathlib import Path

import aiohttp

from loadtests.stack.agent import models
from loadtests.stack.agent.api import STRATEGIC, Api, Object
from loadtests.stack.agent.kserve_server import KServeProcess
from loadtests.stack.agent.nodes import timestamp
from loadtests.stack.agent.process import ServerProcess
from loadtests.stack.agent.server import TritonProcess
from loadtests.stack.agent.status import Phase, pod_status
from loadtests.stack.agent.vllm_server import VllmProcess
from loadtests.stack.stack import quiet
from loadtests.stack.toolbox import Triton, find_kserve

# May be put on a pod that runs: its GPU throttles, its GPU has an error.
SLOW_RATIO = "stack.forescale.io/slow-ratio"
XID = "stack.forescale.io/xid"
STARTUP_DELAY = "stack.forescale.io/startup-delay-s"
PROBE_PERIOD_S = 1.0
# A server that died is started again after this much longer each time, as a kubelet does.
RESTART_BACKOFF_S = (1.0, 5.0, 15.0, 30.0)


class PodRunner:
    """Runs one pod until it is deleted."""

    def __init__(
        self,
        api: Api,
        session: aiohttp.ClientSession,
        triton: Triton,
        pod: Object,
        *,
        address: str,
        gpu: int,
        folder: Path,
        logs: Path,
    ) -> None:
        self.pod = pod
        self.gpu = gpu
        self._api = api
        self._session = session
        self._triton = triton
        self._repository = folder
        self._log = logs / f"{self.namespace}-{self.name}.log"
        self.server: ServerProcess | None = None
        now = timestamp()
        self.phase = Phase(address=address, started=now, changed=now)
        self._deleted = asyncio.Event()

    @property
    def name(self) -> str:
        return str(self.pod["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.pod["metadata"]["namespace"])

    @property
    def path(self) -> str:
        """The pod's own URL."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"

    @property
    def xid(self) -> int:
        """The error that its GPU has; 0: none."""
        return int(self._annotation(XID) or 0)

    def update(self, pod: Object) -> None:
        """The API server shows it changed."""
        before = self._annotation(SLOW_RATIO)
        self.pod = pod
        ratio = self._annotation(SLOW_RATIO)
        if ratio != before and self._repository.exists():
            (self._repository / models.SLOW_RATIO).write_text(ratio or "1")

    def _annotation(self, name: str) -> str:
        return str(self.pod["metadata"].get("annotations", {}).get(name, ""))

    def delete(self, pod: Object) -> None:
        """The API server says that the pod is to go."""
        self.pod = pod
        self._deleted.set()

    async def run(self) -> None:
        """From the binding to the last trace of the pod."""
        life = asyncio.create_task(self._live())
        gone = asyncio.create_task(self._deleted.wait())
        await asyncio.wait({life, gone}, return_when=asyncio.FIRST_COMPLETED)
        life.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await life
        await self._end()

    async def _live(self) -> None:
        await self._report()
        if models.only_holds(self.pod):
            now = timestamp()
            self.phase = replace(self.phase, running_since=now, ready=True, changed=now)
            await self._report()
            await asyncio.Event().wait()
        try:
            server = await self._made()
        except ValueError as error:
            self.phase = replace(self.phase, waiting_reason=f"InvalidModels: {error}")
            await self._report()
            await asyncio.Event().wait()
            return
        delay_s = float(self._annotation(STARTUP_DELAY) or 0)
        await asyncio.sleep(delay_s)
        while True:
            await server.start()
            self.server = server
            self.phase = replace(self.phase, running_since=timestamp())
            await self._report()
            await self._probe(server)
            restarts = self.phase.restarts + 1
            self.phase = replace(
                self.phase,
                running_since=None,
                ready=False,
                changed=timestamp(),
                restarts=restarts,
                waiting_reason="CrashLoopBackOff",
            )
            await self._report()
            await asyncio.sleep(RESTART_BACKOFF_S[min(restarts, len(RESTART_BACKOFF_S)) - 1])

    async def _made(self) -> ServerProcess:
        """The server that the pod's image names, not started yet. Raises ValueError where its models are wrong."""
        address = self.phase.address
        if models.is_vllm(self.pod):
            return VllmProcess(self.pod, address, self._log)
        served = models.of_pod(self.pod)
        if models.is_kserve(self.pod):
            python = await asyncio.to_thread(find_kserve, quiet)
            return KServeProcess(python, served, address, self._log)
        models.write_repository(self._repository, served)
        return TritonProcess(self._triton, self._repository, address, self._log)

    async def _probe(self, server: ServerProcess) -> None:
        """Reports readiness whenever it changes, until the server ends."""
        while server.exit_code is None:
            ready = await server.ready(self._session)
            if ready != self.phase.ready:
                self.phase = replace(self.phase, ready=ready, changed=timestamp())
                await self._report()
            await asyncio.sleep(PROBE_PERIOD_S)

    async def _report(self) -> None:
        await self._api.call(
            "PATCH", f"{self.path}/status", pod_status(self.pod, self.phase), content=STRATEGIC
        )

    async def _end(self) -> None:
        """As a kubelet: the preStop sleep, SIGTERM, SIGKILL at the end of the grace period; then the object goes."""
        grace_s = float(self.pod["metadata"].get("deletionGracePeriodSeconds", 30))
        pause_s = min(grace_s, pre_stop_s(self.pod))
        if self.server is not None and self.server.exit_code is None:
            await asyncio.sleep(pause_s)
            await self.server.stop(max(1.0, grace_s - pause_s))
        shutil.rmtree(self._repository, ignore_errors=True)
        uid = self.pod["metadata"]["uid"]
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
        await self._api.call("DELETE", self.path, options)


def pre_stop_s(pod: Object) -> float:
    """Seconds of the first container's `lifecycle.preStop.sleep`; 0 where it has none."""
    hook = pod["spec"]["containers"][0].get("lifecycle", {}).get("preStop", {})
    return float(hook.get("sleep", {}).get("seconds", 0))
