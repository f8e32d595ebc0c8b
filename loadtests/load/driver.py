"""Sends each request when it is due and never waits for an answer before the next: an open loop.

A closed loop would send less when the servers are slow, and so hide exactly what an autoscaler is there for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
import numpy as np
from tritonclient.http import InferInput
from tritonclient.utils import InferenceServerException

from loadtests.load.request_log import OK, Request
from loadtests.load.targets import Server, Targets

# A request that finds no server, or gets no answer, is given up after this.
TIMEOUT_S = 60.0
# A client whose sends are later than this at the 99th percentile measures itself.
MAX_LATENESS_S = 0.05
# No connection, a refusal, or what the client can't take apart, such as a proxy's page: a request's failure, never the
# run's.
FAILURES = (
    InferenceServerException,
    aiohttp.ClientError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)


class Driver:
    """One run against one model. `requests` are those that are over, also of a run that was interrupted."""

    def __init__(self, targets: Targets, *, model: str) -> None:
        self._targets = targets
        self._model = model
        values = InferInput("IN", [1, 1], "FP32")
        values.set_data_from_numpy(np.ones((1, 1), dtype=np.float32))
        self._inputs = [values]
        self._epoch_s = 0.0
        self.requests: list[Request] = []

    async def run(self, due_s: Sequence[float], *, started_s: float | None = None) -> None:
        """Sends them all and waits for the last answer. `due_s` counts from `started_s`, by default from now."""
        # Wall time for the log, by the monotonic clock from here on: a stepped clock moves no request and no latency.
        self._epoch_s = time.time() - time.monotonic()
        start_s = self._now_s() if started_s is None else started_s
        try:
            async with asyncio.TaskGroup() as group:
                for due in due_s:
                    wait_s = start_s + due - self._now_s()
                    if wait_s > 0.0:
                        await asyncio.sleep(wait_s)
                    group.create_task(self._request(start_s + due))
        finally:
            await self._targets.close()

    def _now_s(self) -> float:
        return self._epoch_s + time.monotonic()

    async def _request(self, due_s: float) -> None:
        server = self._targets.pick()
        waited = server is None
        while server is None:
            if self._now_s() - due_s > TIMEOUT_S:
                self.requests.append(Request(due_s, None, None, "", "no server", waited))
                return
            await asyncio.sleep(0.05)
            server = self._targets.pick()
        sent_s = self._now_s()
        outcome = await self._infer(server)
        self.requests.append(Request(due_s, sent_s, self._now_s(), server.name, outcome, waited))

    async def _infer(self, server: Server) -> str:
        server.outstanding += 1
        try:
            await asyncio.wait_for(_call(server, self._model, self._inputs), TIMEOUT_S)
        except TimeoutError:
            return "no answer in time"
        except FAILURES as error:
            return f"{type(error).__name__}: {error}"[:200]
        finally:
            server.outstanding -= 1
        return OK


async def _call(server: Server, model: str, inputs: list[InferInput]) -> Any:
    return await server.client.infer(model, inputs)


def lateness_s(requests: Sequence[Request]) -> list[float]:
    """How late the client itself sent each request, in seconds. One that waited for a server tells nothing of it."""
    return [r.sent_s - r.due_s for r in requests if r.sent_s is not None and not r.waited]


def lateness_p99_s(requests: Sequence[Request]) -> float:
    """The 99th percentile of `lateness_s`, in seconds; 0 where nothing was sent."""
    late = sorted(lateness_s(requests))
    return late[int(0.99 * (len(late) - 1))] if late else 0.0
