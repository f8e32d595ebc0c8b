"""Triton's own API through tritonclient: readiness, statistics and configuration of models.

Whose server answers is a team's own affair: no redirect is followed, which would go where the controller may and the
team may not, and no more is taken in than a server of a few hundred models has to say.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from tritonclient.http import aio
from tritonclient.utils import InferenceServerException

from autoscaler.errors import SourceInvalid, SourceUnavailable

Object = dict[str, Any]
LONGEST_ANSWER = 8 * 2**20


class _Taken:
    """An answer that was read, as tritonclient reads it."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self._body = body

    async def read(self) -> bytes:
        return self._body


class _Bounded(aio.InferenceServerClient):  # type: ignore[misc]
    """As the library's, but for what it takes in."""

    async def _get(self, request_uri: str, headers: object, query_params: object) -> _Taken:
        url = f"{self._url}/{request_uri}"
        async with self._stub.get(url, allow_redirects=False) as answer:
            body = b""
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > LONGEST_ANSWER:
                    raise ValueError(f"the answer has more than {LONGEST_ANSWER >> 20} MiB")
            return _Taken(answer.status, body)


class TritonClient:
    """One server. Every call has a time limit."""

    def __init__(self, address: str, *, timeout_s: float) -> None:
        self._client = _Bounded(address, conn_timeout=timeout_s)
        self._timeout_s = timeout_s
        self.address = address

    async def close(self) -> None:
        """Ends the session."""
        await self._client.close()

    async def ready(self) -> bool:
        """Whether the server and its models are ready. Raises SourceUnavailable."""
        return bool(await self._ask(self._client.is_server_ready()))

    async def statistics(self) -> list[Object]:
        """`model_stats` of every model. Raises SourceUnavailable or SourceInvalid."""
        answer = await self._ask(self._client.get_inference_statistics())
        models = answer.get("model_stats") if isinstance(answer, dict) else None
        if not isinstance(models, list):
            raise SourceInvalid(f"{self.address}: statistics without model_stats")
        return models

    async def configuration(self, model: str) -> Object:
        """config.pbtxt as JSON. Raises SourceUnavailable or SourceInvalid."""
        answer = await self._ask(self._client.get_model_config(model))
        if not isinstance(answer, dict):
            raise SourceInvalid(f"{self.address}: the configuration of {model} is no object")
        return answer

    async def _ask(self, call: Any) -> Any:
        try:
            return await asyncio.wait_for(call, self._timeout_s)
        except (InferenceServerException, aiohttp.ClientError, OSError) as error:
            raise SourceUnavailable(f"{self.address}: {error}") from error
        except TimeoutError as error:
            raise SourceUnavailable(f"{self.address}: no answer in time") from error
        except (ValueError, RecursionError) as error:
            raise SourceInvalid(f"{self.address}: {error}") from error
