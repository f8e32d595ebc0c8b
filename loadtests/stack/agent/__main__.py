"""The agent's process: watches pods, runs them, and answers Prometheus."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
from aiohttp import web

from loadtests.stack import processes
from loadtests.stack.agent import exposition, nodes
from loadtests.stack.agent.api import STRATEGIC, Api, Object
from loadtests.stack.agent.exposition import Device
from loadtests.stack.agent.mig import MIG_LABEL, MigManager
from loadtests.stack.agent.pods import PodRunner
from loadtests.stack.agent.process import ServerProcess
from loadtests.stack.karpenter import PROVIDER_PREFIX, SHOWN
from loadtests.stack.plane import HOST, Ports
from loadtests.stack.processes import Started
from loadtests.stack.stack import quiet
from loadtests.stack.toolbox import Triton, find_triton

DEVICE_PLUGIN_S = 4.0
"""Between a node's readiness and its GPUs."""


class Agent:
    """All pods of the stack's nodes."""

    def __init__(
        self,
        api: Api,
        session: aiohttp.ClientSession,
        triton: Triton,
        folder: Path,
        nodes_: list[str],
        gpus: int,
    ) -> None:
        self._api = api
        self._session = session
        self._triton = triton
        self._folder = folder
        self._nodes = nodes_
        self._adopted: dict[str, asyncio.Task[None]] = {}
        self._gpus = gpus
        self._runners: dict[str, PodRunner] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._executed: dict[str, tuple[float, float]] = {}
        self._xids: dict[tuple[str, int], int] = {}
        """The last error of each GPU, which DCGM shows until the driver or the exporter starts anew."""
        self._addresses = addresses()
        self.mig = MigManager(api)

    async def follow(self) -> None:
        """Starts and ends pods as the API server says, for ever."""
        async for kind, pod in self._api.follow("pods"):
            uid = pod["metadata"]["uid"]
            runner = self._runners.get(uid)
            if kind == "DELETED" or "deletionTimestamp" in pod["metadata"]:
                if runner is not None:
                    runner.delete(pod)
            elif runner is not None:
                runner.update(pod)
            elif pod["spec"].get("nodeName") in self._nodes:
                self._run(uid, pod)

    async def adopt(self) -> None:
        """Looks after nodes that Karpenter's provider makes as a kubelet would: their device plugin takes a while."""
        async for kind, node in self._api.follow("nodes"):
            name = node["metadata"]["name"]
            if kind == "DELETED":
                if name in self._adopted:
                    self._adopted.pop(name).cancel()
                    self._nodes.remove(name)
            elif (
                str(node["spec"].get("providerID", "")).startswith(PROVIDER_PREFIX)
                and name not in self._adopted
            ):
                self._nodes.append(name)
                self._adopted[name] = asyncio.create_task(self._look_after(name, node))
            elif MIG_LABEL in node["metadata"].get("labels", {}) and name not in self._adopted:
                # Its slices are the MIG manager's to show.
                self._nodes.append(name)
                self._adopted[name] = asyncio.create_task(nodes.renew(self._api, name))

    async def _look_after(self, name: str, node: Object) -> None:
        told = json.loads(node["metadata"].get("annotations", {}).get(SHOWN, "{}"))
        units = {k: v for k, v in node["status"]["allocatable"].items() if "/" in k} | told
        none = dict.fromkeys(units, "0")
        for seconds, shown in ((0.0, none), (DEVICE_PLUGIN_S, units)):
            await asyncio.sleep(seconds)
            await nodes.renew(self._api, name)
            path = f"/api/v1/nodes/{name}/status"
            await self._api.call("PATCH", path, nodes.adopted_status(shown), content=STRATEGIC)

    def _run(self, uid: str, pod: Object) -> None:
        runner = PodRunner(
            self._api,
            self._session,
            self._triton,
            pod,
            address=next(self._addresses),
            gpu=self._free_gpu(pod["spec"]["nodeName"]),
            folder=self._folder / "models" / uid,
            logs=self._folder / "logs" / "pods",
        )
        self._runners[uid] = runner
        task = asyncio.create_task(runner.run())
        self._tasks[uid] = task
        task.add_done_callback(lambda done: self._ended(uid, done))

    def _ended(self, uid: str, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            print(f"pod {uid}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        self._runners.pop(uid, None)
        self._tasks.pop(uid, None)
        self._executed.pop(uid, None)

    def _free_gpu(self, node: str) -> int:
        used = {r.gpu for r in self._runners.values() if r.pod["spec"]["nodeName"] == node}
        return next(index for index in range(self._gpus + len(used) + 1) if index not in used)

    async def note_servers(self) -> None:
        """Writes down every server's pid, so that `down` finds them even if the agent was killed."""
        path = self._folder / "servers.json"
        while True:
            found = []
            for server in self._servers():
                pid = server.pid
                ticks = processes.started_ticks(pid) if pid else None
                if pid and ticks:
                    found.append(
                        Started(
                            name=server.program, pid=pid, started_ticks=ticks, command=(), log=""
                        )
                    )
            processes.save(path, found)
            await asyncio.sleep(1.0)

    async def stop(self) -> None:
        """Ends every server; the pods' objects stay, as when a node is lost."""
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(
            *(server.stop(5.0) for server in self._servers()),
            return_exceptions=True,
        )

    def _servers(self) -> list[ServerProcess]:
        return [runner.server for runner in self._runners.values() if runner.server is not None]

    async def server_targets(self, _: web.Request) -> web.Response:
        """http_sd of the servers that run."""
        return web.json_response(
            [
                exposition.server_target(
                    runner.pod, runner.phase.address, runner.server.metrics_port
                )
                for runner in self._runners.values()
                if runner.server is not None and runner.phase.running_since is not None
            ]
        )

    async def dcgm_targets(self, _: web.Request) -> web.Response:
        """http_sd of the nodes' GPU exporters."""
        own = f"{HOST}:{Ports().agent}"
        return web.json_response([exposition.dcgm_target(node, own) for node in self._nodes])

    async def dcgm(self, request: web.Request) -> web.Response:
        """GPU metrics of one node, from what its servers executed since the last scrape."""
        node = request.match_info["node"]
        if node not in self._nodes:
            raise web.HTTPNotFound(text=f"{node}: no such node")
        cut = self.mig.nodes.get(node)
        if cut is not None and cut.paused:
            raise web.HTTPServiceUnavailable(text=f"{node}: paused for a change of MIG")
        runners = [
            (uid, r) for uid, r in self._runners.items() if r.pod["spec"]["nodeName"] == node
        ]
        self._xids |= {(node, runner.gpu): runner.xid for _, runner in runners if runner.xid}
        busy = await asyncio.gather(*(self._busy(uid, runner) for uid, runner in runners))
        held = {
            runner.gpu: Device(
                node=node,
                index=runner.gpu,
                namespace=runner.namespace,
                pod=runner.name,
                container=runner.pod["spec"]["containers"][0]["name"],
                busy_ratio=ratio,
                xid=self._xids.get((node, runner.gpu), 0),
            )
            for (_, runner), ratio in zip(runners, busy, strict=True)
        }
        count = sum(cut.slices.values()) if cut is not None else self._gpus
        devices = [
            held.get(i) or Device(node=node, index=i, xid=self._xids.get((node, i), 0))
            for i in range(count)
        ]
        return web.Response(text=exposition.dcgm_text(devices))

    async def _busy(self, uid: str, runner: PodRunner) -> float:
        executed_s = None
        if runner.server is not None and runner.phase.ready:
            executed_s = await runner.server.executed_s(self._session)
        now_s = time.monotonic()
        if executed_s is None:
            return 0.0
        before = self._executed.get(uid)
        self._executed[uid] = (now_s, executed_s)
        if before is None or now_s - before[0] < 0.5:
            return 0.0
        return min(1.0, max(0.0, (executed_s - before[1]) / (now_s - before[0])))


def addresses() -> Iterator[str]:
    """127.77.0.2, 127.77.0.3 … without an end: no pod gets the address of one that a client may still know."""
    number = 1
    while True:
        number = number + 1 if number < 60_000 else 2
        yield f"127.77.{number // 250}.{number % 250 + 2}"


async def serve(folder: Path, node_count: int, gpus: int) -> None:
    """Runs until SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    api = Api(folder / "admin.kubeconfig")
    names = nodes.names(node_count)
    for name in names:
        await nodes.register(api, name, gpus)
    async with aiohttp.ClientSession() as session:
        agent = Agent(api, session, find_triton(quiet), folder, names, gpus)
        app = web.Application()
        app.router.add_get("/healthz", _healthz)
        app.router.add_get("/sd/servers", agent.server_targets)
        app.router.add_get("/sd/dcgm", agent.dcgm_targets)
        app.router.add_get("/dcgm/{node}", agent.dcgm)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, HOST, Ports().agent).start()
        tasks: list[asyncio.Task[object]] = [
            asyncio.create_task(work)
            for work in (
                agent.follow(),
                agent.adopt(),
                agent.mig.follow(),
                nodes.keep_alive(api, names),
                agent.note_servers(),
            )
        ]
        ended: asyncio.Task[object] = asyncio.create_task(stopped.wait())
        waited: set[asyncio.Task[object]] = {ended, *tasks}
        done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await agent.stop()
        await runner.cleanup()
    await api.close()
    for task in done - {ended}:
        task.result()


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok")


def main() -> None:
    parser = argparse.ArgumentParser(prog="loadtests.stack.agent", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--gpus-per-node", type=int, default=8)
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(given.folder, given.nodes, given.gpus_per_node))


if __name__ == "__main__":
    main()
