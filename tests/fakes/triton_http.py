"""A loopback HTTP server that answers inference requests of the v2 protocol, when a test lets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.fakes.http import listening


@dataclass(slots=True)
class FakeTriton:
    """Answers at once while `open`, else when it is opened."""

    host: str
    port: int = 0
    status: int = 200
    asked: int = 0
    peers: set[object] = field(default_factory=set)
    """The client's ends of the connections that requests came in by."""
    open: asyncio.Event = field(default_factory=asyncio.Event)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until_asked(self, times: int) -> None:
        """Until so many requests have come, answered or not."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self.asked >= times)

    async def infer(self, request: web.Request) -> web.Response:
        await request.read()
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        async with self._arrived:
            self.asked += 1
            self._arrived.notify_all()
        await self.open.wait()
        if self.status != 200:
            return web.json_response({"error": "unavailable"}, status=self.status)
        name = request.match_info["model"]
        return web.json_response({"model_name": name, "model_version": "1", "outputs": []})


@asynccontextmanager
async def serving(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[FakeTriton]:
    """One that is open, for the time of a `with`; on a free port unless one is given."""
    fake = FakeTriton(host=host)
    fake.open.set()
    app = web.Application()
    app.router.add_post("/v2/models/{model}/infer", fake.infer)
    async with listening(app, host, port) as fake.port:
        try:
            yield fake
        finally:
            fake.open.set()
