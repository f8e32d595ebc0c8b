"""The vLLM stand-in as a server: its engine is stepped in real time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from loadtests.engines.completions import Completions
from loadtests.engines.vllm import Engine

IDLE_S = 0.005


def app(engine: Engine, *, model: str) -> web.Application:
    """All routes; steps while it runs. To be run with `handler_cancellation`, so that who goes frees a place."""
    completions = Completions(engine, model=model)
    served = web.Application(client_max_size=64 * 2**20)
    served.router.add_routes(completions.routes())
    served.router.add_get("/health", _health)
    served.router.add_get("/metrics", make_aiohttp_handler(engine.metrics.registry))

    async def stepping(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(_step(engine, completions))
        yield
        task.cancel()

    served.cleanup_ctx.append(stepping)
    return served


async def _step(engine: Engine, completions: Completions) -> None:
    while True:
        seconds = engine.step(time.monotonic())
        await asyncio.sleep(IDLE_S if seconds is None else seconds)
        if seconds is not None:
            engine.finish(time.monotonic())
            completions.wake()


async def _health(request: web.Request) -> web.Response:
    return web.Response(text="")
