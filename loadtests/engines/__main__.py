"""`python -m loadtests.engines`: the vLLM stand-in as a server on loopback.

`POST /v1/completions {"prompt": "...", "max_tokens": 50}` is answered when its tokens are made; a word of the prompt is
a token. `/metrics` and `/health` are where vLLM has them.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from loadtests.engines.vllm import Engine, Sequence, Speed

IDLE_S = 0.005


class Server:
    """Steps the engine in real time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiters: dict[int, asyncio.Future[None]] = {}
        self._sequences: dict[int, Sequence] = {}

    def app(self) -> web.Application:
        """All routes; steps while it runs."""
        app = web.Application()
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", make_aiohttp_handler(self._engine.metrics.registry))
        app.cleanup_ctx.append(self._stepping)
        return app

    async def _stepping(self, app: web.Application):  # type: ignore[no-untyped-def]
        task = asyncio.create_task(self._step())
        yield
        task.cancel()

    async def _step(self) -> None:
        while True:
            seconds = self._engine.step(time.monotonic())
            await asyncio.sleep(IDLE_S if seconds is None else seconds)
            if seconds is not None:
                self._engine.finish(time.monotonic())
                self._wake()

    def _wake(self) -> None:
        for key, sequence in list(self._sequences.items()):
            if sequence.ended and not self._waiters[key].done():
                self._waiters[key].set_result(None)

    async def _complete(self, request: web.Request) -> web.Response:
        body = await request.json()
        prompt, wanted = len(str(body.get("prompt", "")).split()), int(body.get("max_tokens", 16))
        sequence = self._engine.submit(max(1, prompt), wanted, time.monotonic())
        key = id(sequence)
        self._sequences[key] = sequence
        self._waiters[key] = asyncio.get_running_loop().create_future()
        try:
            await self._waiters[key]
        finally:
            self._engine.abort(sequence)  # nothing, where it has ended
            del self._sequences[key], self._waiters[key]
        usage = {"prompt_tokens": sequence.prompt, "completion_tokens": sequence.made}
        return web.json_response({"object": "text_completion", "usage": usage})

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="")


def main() -> None:
    """Until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m loadtests.engines")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--model", default="stand-in")
    parser.add_argument("--max-num-seqs", type=int, default=Speed().max_sequences)
    args = parser.parse_args()
    engine = Engine(Speed(max_sequences=args.max_num_seqs), model=args.model)
    web.run_app(Server(engine).app(), host=args.host, port=args.port, access_log=None)


if __name__ == "__main__":
    main()
