"""A loopback HTTP server that answers streamed completions as a test says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.http import listening

TOKEN = '{"choices": [{"index": 0, "text": " a", "finish_reason": null}]}'
LAST = '{"choices": [{"index": 0, "text": " z", "finish_reason": "length"}]}'


def usage(tokens: int) -> str:
    """The event after the last token."""
    told = {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}
    return json.dumps({"choices": [], "usage": told})


def stream(*events: str) -> bytes:
    """Events as they go over the wire."""
    return "".join(f"data: {event}\n\n" for event in events).encode()


WHOLE = stream(TOKEN, TOKEN, LAST, usage(3), "[DONE]")


@dataclass(slots=True)
class FakeCompletions:
    """Answers every request with `pieces`; with `cut` the connection ends then, and not the answer."""

    address: str = ""
    status: int = 200
    content_type: str = "text/event-stream"
    pieces: tuple[bytes, ...] = (WHOLE,)
    cut: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    peers: set[object] = field(default_factory=set)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        self.keys.append(request.headers.get("Authorization"))
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        response = web.StreamResponse(
            status=self.status, headers={"Content-Type": self.content_type}
        )
        response.enable_chunked_encoding()
        await response.prepare(request)
        for piece in self.pieces:
            await response.write(piece)
        if self.cut:
            request.transport.close()
        return response


@asynccontextmanager
async def serving(fake: FakeCompletions) -> AsyncIterator[FakeCompletions]:
    """For the time of a `with`, on a free port."""
    app = web.Application()
    app.router.add_post("/v1/completions", fake.complete)
    async with listening(app) as port:
        fake.address = f"127.0.0.1:{port}"
        yield fake
