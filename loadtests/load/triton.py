"""Triton's protocol, KServe's second: an answer comes whole."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
import numpy as np
from tritonclient.http import InferInput, aio
from tritonclient.utils import InferenceServerException

from loadtests.load.protocol import Answer, RequestFailed

# To one pod. So many that no request waits in the client: that would close the loop and hide demand from the servers.
CONNECTIONS = 1024
# No connection, a refusal, or what the client can't take apart, such as a proxy's page.
FAILURES = (
    InferenceServerException,
    aiohttp.ClientError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)


@dataclass(frozen=True, slots=True)
class Inferences:
    """Each request is for one model, with so many items: an input `IN` of `items` x 1, FP32."""

    model: str
    items: int = 1

    def connect(self, address: str, *, connections: int | None = None) -> InferenceClient:
        """See `Speaks`."""
        client = aio.InferenceServerClient(address, conn_limit=connections or CONNECTIONS)
        return InferenceClient(client, self.model, self.items)


class InferenceClient:
    """See `Client`."""

    def __init__(self, client: aio.InferenceServerClient, model: str, items: int) -> None:
        values = InferInput("IN", [items, 1], "FP32")
        values.set_data_from_numpy(np.ones((items, 1), dtype=np.float32))
        self._client, self._model, self._inputs = client, model, [values]

    async def ask(self, number: int) -> Answer:
        """All requests are alike."""
        try:
            await self._client.infer(self._model, self._inputs)
        except FAILURES as error:
            raise RequestFailed(f"{type(error).__name__}: {error}"[:200]) from error
        return Answer()

    async def close(self) -> None:
        """See `Client`."""
        await self._client.close()
