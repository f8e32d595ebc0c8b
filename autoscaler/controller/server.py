"""The controller's HTTP server: is it alive, may it get traffic, what does it measure, what has it decided.

Reads only; nothing can be changed through it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from autoscaler.codec import encode
from autoscaler.config import ServerSettings
from autoscaler.controller.leader import Leadership
from autoscaler.controller.metrics import Metrics
from autoscaler.core.types import TickRecord, WorkloadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the server asks the controller."""

    stuck: Callable[[], str | None]
    """Why the process should be restarted; None: it works."""
    not_ready: Callable[[], str | None]
    """Why it can't do its work yet; None: it can. A follower is ready."""
    last: Callable[[], TickRecord | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One answer of /debug/decisions: what is needed to explain, without the samples."""

    now_s: float
    leader: str | None
    decisions: tuple[object, ...]
    specs: tuple[object, ...]
    fleet: tuple[object, ...]


def build_app(*, metrics: Metrics, leadership: Leadership, health: Health) -> web.Application:
    """All routes."""

    async def livez(request: web.Request) -> web.Response:
        return _verdict(health.stuck())

    async def readyz(request: web.Request) -> web.Response:
        return _verdict(health.not_ready())

    async def decisions(request: web.Request) -> web.Response:
        record = health.last()
        if record is None or not leadership.is_leading():
            holder = leadership.holder or "nobody yet"
            text = f"this one does not lead; the leader is {holder}"
            return _json({"error": text, "leader": leadership.holder}, status=503)
        return _json(_explained(record, leadership, request.query.getall("workload", [])))

    async def tick(request: web.Request) -> web.Response:
        record = health.last()
        if record is None:
            return _json({"error": "no tick was completed yet"}, status=503)
        return _json(record)

    app = web.Application()
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", make_aiohttp_handler(metrics.registry))
    app.router.add_get("/debug/decisions", decisions)
    app.router.add_get("/debug/tick", tick)
    return app


class Server:
    """Listens while the controller runs."""

    def __init__(self, app: web.Application, settings: ServerSettings) -> None:
        # Access logs of probes and scrapes would be most of the log.
        self._runner = web.AppRunner(app, access_log=None)
        self._settings = settings
        self.port: int | None = None
        """The port that is really listened on."""

    async def start(self) -> None:
        """Raises OSError: the port is taken or not allowed."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.bind, self._settings.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Closes all connections."""
        await self._runner.cleanup()


def _explained(record: TickRecord, leadership: Leadership, wanted: list[str]) -> Explained:
    def is_wanted(name: str) -> bool:
        return not wanted or name in wanted

    inputs: dict[str, WorkloadInput] = {str(g.spec.id): g for g in record.input.workloads}
    chosen = [d for d in record.result.decisions if is_wanted(str(d.workload))]
    return Explained(
        now_s=record.input.now_s,
        leader=leadership.holder,
        decisions=tuple(chosen),
        specs=tuple(inputs[str(d.workload)].spec for d in chosen),
        fleet=tuple(record.result.fleet),
    )


def _verdict(problem: str | None) -> web.Response:
    if problem is None:
        return web.Response(text="ok\n")
    return web.Response(text=f"{problem}\n", status=503)


def _json(value: object, *, status: int = 200) -> web.Response:
    return web.Response(body=encode(value), status=status, content_type="application/json")
