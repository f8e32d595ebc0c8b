"""OpenAI's completions with streaming, as vLLM, SGLang and gateways in front of them serve it."""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import msgspec
import numpy as np

from loadtests.load.events import Completion, Events, error_text
from loadtests.load.protocol import Answer, RequestFailed

PATH = "/v1/completions"
# Ids that every usual vocabulary has, and that are no special tokens: the smallest have 32,000.
TOKEN_IDS = (1_000, 30_000)
FAILURES = (aiohttp.ClientError, OSError, ValueError)
NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completions:
    """Each prompt is of random tokens, so that no cache of prefixes has read it; each answer is as long as is asked."""

    model: str
    prompt_tokens: Sequence[int]
    """Of each request in turn."""
    answer_tokens: Sequence[int]
    seed: int = 1
    key: str | None = None
    """Of the API."""

    def connect(self, address: str, *, connections: int | None = None) -> CompletionClient:
        """See `Speaks`. To be called in an event loop."""
        return CompletionClient(self, address, connections=connections)

    def body(self, number: int) -> bytes:
        """The request of that number, as JSON."""
        drawn = np.random.default_rng((self.seed, number))
        return msgspec.json.encode(
            {
                "model": self.model,
                "prompt": drawn.integers(*TOKEN_IDS, self.prompt_tokens[number]).tolist(),
                "max_tokens": int(self.answer_tokens[number]),
                # vLLM's and SGLang's: the answer does not end before it is that long.
                "ignore_eos": True,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        )

    @property
    def headers(self) -> dict[str, str]:
        """Of every request."""
        return {} if self.key is None else {"Authorization": f"Bearer {self.key}"}


class CompletionClient:
    """See `Client`. Each stream has a connection of its own.

    A connection that is kept may be closed by the server just when it is used again, which would look like a failure of
    the server; and behind a Service only a new connection finds a new replica.
    """

    def __init__(self, asks: Completions, address: str, *, connections: int | None) -> None:
        self._asks, self._url = asks, f"http://{address}{PATH}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections or 0, force_close=True),
            # The driver bounds a request; a stream may be silent for as long as its prompt waits.
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"Content-Type": "application/json", **asks.headers},
        )

    async def ask(self, number: int) -> Answer:
        """See `Client`."""
        try:
            async with self._session.post(self._url, data=self._asks.body(number)) as response:
                if response.status != 200:
                    raise RequestFailed(await refusal(response))
                if response.content_type != "text/event-stream":
                    raise RequestFailed(f"not a stream, but {response.content_type}")
                return await _streamed(response.content)
        except aiohttp.ClientPayloadError as error:
            raise RequestFailed("cut: the connection ended within the stream") from error
        except FAILURES as error:
            if isinstance(error, OSError) and error.errno in NO_DESCRIPTORS:
                raise RequestFailed(
                    "this client may open no more files: raise `ulimit -n`"
                ) from error
            raise RequestFailed(f"{type(error).__name__}: {error}"[:200]) from error

    async def close(self) -> None:
        """See `Client`."""
        await self._session.close()


async def _streamed(content: aiohttp.StreamReader) -> Answer:
    events, completion = Events(), Completion()
    async for piece in content.iter_any():
        now_s = time.monotonic()
        for data in events.feed(piece):
            completion.take(data, now_s)
    return completion.answer()


async def refusal(response: aiohttp.ClientResponse) -> str:
    """Of a status other than 200: `404: The model x does not exist`."""
    text = (await response.read()).decode(errors="replace")
    try:
        told = msgspec.json.decode(text)
    except msgspec.DecodeError:
        told = None
    if isinstance(told, dict):
        said = error_text(told.get("error") or told.get("message") or told.get("detail") or "")
    else:
        # A proxy's page says in its markup what its status says already.
        said = "" if text.lstrip().startswith("<") else error_text(text)
    return f"{response.status}: {said or response.reason or 'no reason was given'}"
