"""OpenAI's completions as vLLM serves them: whole or as a stream of events, and what it says to a wrong request."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from loadtests.engines.vllm import Engine, Sequence

DEFAULT_TOKENS = 16
DONE = b"data: [DONE]\n\n"


class Refused(Exception):
    """What is answered in place of tokens."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        self.status, self.kind = status, kind
        super().__init__(message)


class Completions:
    """`/v1/completions` and `/v1/models` of an engine that something else steps, and says so to `wake`."""

    def __init__(
        self, engine: Engine, *, model: str, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine, self._model, self._now_s = engine, model, now_s
        self._steps: dict[int, asyncio.Event] = {}

    def routes(self) -> list[web.RouteDef]:
        """To be added to an application that cancels its handlers when clients go."""
        return [web.post("/v1/completions", self._complete), web.get("/v1/models", self._models)]

    def wake(self) -> None:
        """A step is done."""
        for event in self._steps.values():
            event.set()

    async def _models(self, request: web.Request) -> web.Response:
        card = {"id": self._model, "object": "model", "owned_by": "forescale"}
        most = {"max_model_len": self._engine.speed.cache_tokens}
        return web.json_response({"object": "list", "data": [card | most]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        try:
            prompt, wanted, body = self._wanted(await request.read())
        except Refused as error:
            told = {"message": str(error), "type": error.kind, "param": None, "code": error.status}
            return web.json_response({"error": told}, status=error.status)
        sequence = self._engine.submit(prompt, wanted, self._now_s())
        step = self._steps[id(sequence)] = asyncio.Event()
        try:
            if body.get("stream"):
                return await self._stream(request, sequence, step, body)
            while not sequence.ended:
                await step.wait()
                step.clear()
        finally:
            # A client that has gone away frees its place; of one that was answered nothing is left.
            self._engine.abort(sequence)
            del self._steps[id(sequence)]
        choices = [self._choice(" word" * sequence.made, "stop")]
        return web.json_response(self._head() | {"choices": choices, "usage": _usage(sequence)})

    def _wanted(self, text: bytes) -> tuple[int, int, dict[str, Any]]:
        """(tokens of the prompt, of the answer, the request). A word is a token. Raises Refused."""
        try:
            body = json.loads(text)
        except ValueError as error:
            raise Refused(400, "BadRequestError", "the body is not JSON") from error
        if not isinstance(body, dict) or "prompt" not in body:
            raise Refused(400, "BadRequestError", "prompt: Field required")
        model = body.get("model") or self._model
        if model != self._model:
            raise Refused(404, "NotFoundError", f"The model `{model}` does not exist.")
        wanted = body.get("max_tokens", DEFAULT_TOKENS)
        if not isinstance(wanted, int) or wanted < 1:
            raise Refused(
                400, "BadRequestError", f"max_tokens must be at least 1, {wanted} was given"
            )
        given = body["prompt"]
        prompt = max(1, len(given if isinstance(given, list) else str(given).split()))
        most = self._engine.speed.cache_tokens
        if prompt + wanted > most:
            message = f"the context holds {most} tokens, {prompt} + {wanted} were asked for"
            raise Refused(400, "BadRequestError", message)
        return prompt, wanted, body

    async def _stream(
        self, request: web.Request, sequence: Sequence, step: asyncio.Event, body: dict[str, Any]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        sent = 0
        while sent < sequence.wanted:
            await step.wait()
            step.clear()
            if sequence.made > sent:
                # As the real one: a stream that falls behind gets its tokens in one event.
                reason = "stop" if sequence.ended else None
                choices = [self._choice(" word" * (sequence.made - sent), reason)]
                await response.write(_event(self._head() | {"choices": choices}))
                sent = sequence.made
        if (body.get("stream_options") or {}).get("include_usage"):
            told = {"choices": [], "usage": _usage(sequence)}
            await response.write(_event(self._head() | told))
        await response.write(DONE)
        await response.write_eof()
        return response

    def _head(self) -> dict[str, object]:
        return {"id": "cmpl-0", "object": "text_completion", "created": 0, "model": self._model}

    def _choice(self, text: str, reason: str | None) -> dict[str, object]:
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}


def _usage(sequence: Sequence) -> dict[str, int]:
    total = sequence.prompt + sequence.made
    return {
        "prompt_tokens": sequence.prompt,
        "completion_tokens": sequence.made,
        "total_tokens": total,
    }


def _event(value: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"
