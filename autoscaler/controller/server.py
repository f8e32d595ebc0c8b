"""The controller's HTTP server: is it alive, may it get traffic, what does it measure, what has it decided.

Reads only; nothing can be changed through it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from autoscaler.codec import encode
from autoscaler.config import ServerSettings
from autoscaler.controller.leader import Leadership
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.ports import Refused
from autoscaler.core.compliance import WorkloadCompliance
from autoscaler.core.types import Decision, Finding, TickRecord, WorkloadSpec
from autoscaler.errors import AutoscalerError


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the server asks the controller."""

    stuck: Callable[[], str | None]
    """Why the process should be restarted; None: it works."""
    not_ready: Callable[[], str | None]
    """Why it can't do its work yet; None: it can. A follower is ready."""
    last: Callable[[], TickRecord | None]
    refused: Callable[[], tuple[Refused, ...]] = tuple
    """Annotated objects that are left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionsPage:
    """/debug/decisions: what is needed to explain, without the samples."""

    now_s: float
    leader: str | None
    decisions: tuple[Decision, ...]
    specs: tuple[WorkloadSpec, ...]
    """One for each decision."""
    fleet: tuple[Finding, ...]
    refused: tuple[Refused, ...] = ()
    """Annotated, and nothing was decided on: with all that is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompliancePage:
    """/debug/slo: every objective's compliance and budget."""

    workloads: tuple[WorkloadCompliance, ...]


def build_app(
    *,
    metrics: Metrics,
    leadership: Leadership,
    health: Health,
    compliance: Callable[[], tuple[WorkloadCompliance, ...]] = tuple,
) -> web.Application:
    """All routes."""

    async def livez(request: web.Request) -> web.Response:
        return _verdict(health.stuck())

    async def readyz(request: web.Request) -> web.Response:
        return _verdict(health.not_ready())

    async def decisions(request: web.Request) -> web.Response:
        record = health.last()
        if record is None or not leadership.is_leading():
            return _follower(leadership)
        only = request.query.getall("workload", [])
        return _json(page_of(record, leader=leadership.holder, only=only, refused=health.refused()))

    async def slo(request: web.Request) -> web.Response:
        if not leadership.is_leading():
            return _follower(leadership)
        return _json(CompliancePage(workloads=compliance()))

    async def tick(request: web.Request) -> web.Response:
        record = health.last()
        if record is None:
            return _json({"error": "no tick was completed yet"}, status=503)
        return _json(record)

    async def scraped(request: web.Request) -> web.Response:
        encoder, form = choose_encoder(request.headers.get("Accept", ""))
        # A thousand workloads take a second: probes, watches and the lease go on meanwhile.
        body = await asyncio.to_thread(encoder, metrics.registry)
        response = web.Response(body=body, headers={"Content-Type": form})
        response.enable_compression()
        return response

    app = web.Application()
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", scraped)
    app.router.add_get("/debug/decisions", decisions)
    app.router.add_get("/debug/slo", slo)
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
        """
        Raises:
            AutoscalerError: the address is taken or not allowed.
        """
        await self._runner.setup()
        bind, port = self._settings.bind, self._settings.port
        try:
            await web.TCPSite(self._runner, bind, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise AutoscalerError(
                f"server.port: {bind}:{port} can't be listened on ({os.strerror(error.errno or 0)}), "
                "give --port or --bind"
            ) from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Closes all connections."""
        await self._runner.cleanup()


def page_of(
    record: TickRecord,
    *,
    leader: str | None,
    only: Sequence[str] = (),
    refused: Sequence[Refused] = (),
) -> DecisionsPage:
    """Of one tick; `only` names workloads, none means all."""
    specs = {given.spec.id: given.spec for given in record.input.workloads}
    chosen = [d for d in record.result.decisions if not only or str(d.workload) in only]
    return DecisionsPage(
        now_s=record.input.now_s,
        leader=leader,
        decisions=tuple(chosen),
        specs=tuple(specs[d.workload] for d in chosen),
        fleet=record.result.fleet,
        refused=tuple(item for item in refused if not only or str(item.workload) in only),
    )


def _verdict(problem: str | None) -> web.Response:
    if problem is None:
        return web.Response(text="ok\n")
    return web.Response(text=f"{problem}\n", status=503)


def _follower(leadership: Leadership) -> web.Response:
    holder = leadership.holder or "nobody yet"
    text = f"this one does not lead; the leader is {holder}"
    return _json({"error": text, "leader": leadership.holder}, status=503)


def _json(value: object, *, status: int = 200) -> web.Response:
    return web.Response(body=encode(value), status=status, content_type="application/json")
