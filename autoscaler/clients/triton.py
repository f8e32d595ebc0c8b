"""Triton's own API through tritonclient: readiness, statistics and configuration of models."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from tritonclient.http import aio
from tritonclient.utils import InferenceServerException

from autoscaler.errors import SourceInvalid, SourceUnavailable

Object = dict[str, Any]


class TritonClient:
    """One server. Every call has a time limit."""

    def __init__(self, address: str, *, timeout_s: float) -> None:
        self._client = aio.InferenceServerClient(address, conn_timeout=timeout_s)
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
        except ValueError as error:
            raise SourceInvalid(f"{self.address}: {error}") from error
