"""Sends each request when it is due and never waits for an answer before the next: an open loop.

A closed loop would send less when the servers are slow, and so hide exactly what an autoscaler is there for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from loadtests.load.protocol import Answer, RequestFailed
from loadtests.load.request_log import OK, Request
from loadtests.load.targets import Server, Targets

# A request that finds no server, or gets no answer, is given up after this unless it is told otherwise.
TIMEOUT_S = 60.0
# A client whose sends are later than this at the 99th percentile measures itself.
MAX_LATENESS_S = 0.05


class Driver:
    """One run. `requests` are those that are over, also of a run that was interrupted."""

    def __init__(self, targets: Targets, *, timeout_s: float = TIMEOUT_S) -> None:
        self._targets = targets
        self._timeout_s = timeout_s
        self._epoch_s = 0.0
        self.requests: list[Request] = []

    async def run(self, due_s: Sequence[float], *, started_s: float | None = None) -> None:
        """Sends them all and waits for the last answer. `due_s` counts from `started_s`, by default from now."""
        # Wall time for the log, by the monotonic clock from here on: a stepped clock moves no request and no latency.
        self._epoch_s = time.time() - time.monotonic()
        start_s = self._now_s() if started_s is None else started_s
        try:
            async with asyncio.TaskGroup() as group:
                for number, due in enumerate(due_s):
                    wait_s = start_s + due - self._now_s()
                    if wait_s > 0.0:
                        await asyncio.sleep(wait_s)
                    group.create_task(self._request(number, start_s + due))
        finally:
            await self._targets.close()

    def _now_s(self) -> float:
        return self._epoch_s + time.monotonic()

    async def _request(self, number: int, due_s: float) -> None:
        server = self._targets.pick()
        waited = server is None
        while server is None:
            if self._now_s() - due_s > self._timeout_s:
                self.requests.append(Request(due_s, None, None, "", "no server", waited))
                return
            await asyncio.sleep(0.05)
            server = self._targets.pick()
        sent_s = self._now_s()
        answer, outcome = await self._ask(server, number)
        first_s = answer.first_token_s
        self.requests.append(
            Request(
                due_s,
                sent_s,
                self._now_s(),
                server.name,
                outcome,
                waited,
                None if first_s is None else self._epoch_s + first_s,
                answer.tokens,
            )
        )

    async def _ask(self, server: Server, number: int) -> tuple[Answer, str]:
        """The answer, and the request's outcome."""
        server.outstanding += 1
        try:
            return await asyncio.wait_for(server.client.ask(number), self._timeout_s), OK
        except TimeoutError:
            return Answer(), f"no answer within {self._timeout_s:g} s"
        except RequestFailed as error:
            return Answer(), str(error)
        finally:
            server.outstanding -= 1


def lateness_s(requests: Sequence[Request]) -> list[float]:
    """How late the client itself sent each request, in seconds. One that waited for a server tells nothing of it."""
    return [r.sent_s - r.due_s for r in requests if r.sent_s is not None and not r.waited]


def lateness_p99_s(requests: Sequence[Request]) -> float:
    """The 99th percentile of `lateness_s`, in seconds; 0 where nothing was sent."""
    late = sorted(lateness_s(requests))
    return late[int(0.99 * (len(late) - 1))] if late else 0.0
