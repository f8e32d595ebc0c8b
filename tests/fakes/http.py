"""A loopback HTTP server that answers as a test says, request by request."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(slots=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    body: str
    content_type: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class FakeServer:
    """Answers from `script` in order, the last one for ever. An answer is (status, body, headers)."""

    script: list[tuple[int, str, dict[str, str]]]
    asked: list[Asked] = field(default_factory=list)
    slow_s: float = 0.0
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        self.asked.append(
            Asked(
                request.method,
                request.path,
                dict(request.query),
                body,
                request.content_type,
                request.headers,
            )
        )
        await asyncio.sleep(self.slow_s)
        status, text, headers = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return web.Response(
            status=status, text=text, headers=headers, content_type="application/json"
        )


@asynccontextmanager
async def listening(
    app: web.Application,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    handler_cancellation: bool = False,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """The port at which `app` answers for the time of a `with`: a free one unless one is given."""
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=0.1, handler_cancellation=handler_cancellation
    )
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=tls).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serving(
    *script: tuple[int, str] | tuple[int, str, dict[str, str]],
    slow_s: float = 0.0,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[FakeServer]:
    """A server on a loopback port, a free one unless one is given, for the time of a `with`."""
    full = [(entry[0], entry[1], entry[2] if len(entry) == 3 else {}) for entry in script]
    fake = FakeServer(script=full, slow_s=slow_s)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    async with listening(app, port=port, tls=tls) as found:
        fake.url = f"{'https' if tls else 'http'}://127.0.0.1:{found}"
        yield fake
