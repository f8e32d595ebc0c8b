"""Where requests go: the ready pods of a Deployment, or connections through a proxy."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from loadtests.load.protocol import Client, Speaks

HTTP_PORT = 8000


@dataclass(slots=True)
class Server:
    """An address with its client and the requests that are under way there."""

    name: str
    client: Client
    outstanding: int = 0
    opened_s: float = 0.0


class Targets(Protocol):
    """Chooses a server for each request."""

    def pick(self) -> Server | None:
        """None: there is none now."""
        ...

    async def close(self) -> None:
        """Ends all connections."""
        ...


class ReadyPods:
    """Least outstanding requests over the pods that are ready; a pod is left out from its deletion timestamp on."""

    def __init__(
        self, ready: Callable[[], dict[str, str]], protocol: Speaks, *, port: int = HTTP_PORT
    ) -> None:
        """`ready` gives address by pod name, at any time."""
        self._ready = ready
        self._protocol = protocol
        self._port = port
        self._servers: dict[str, Server] = {}
        self._leaving: list[Server] = []
        self._last = ""

    def pick(self) -> Server | None:
        ready = self._ready()
        for name in [name for name in self._servers if name not in ready]:
            # Its requests under way go on; the client is closed at the end.
            self._leaving.append(self._servers.pop(name))
        for name, address in ready.items():
            if name not in self._servers:
                client = self._protocol.connect(f"{address}:{self._port}")
                self._servers[name] = Server(name=name, client=client)
        servers = list(self._servers.values())
        if not servers:
            return None
        # Ties go to the next in rotation, as in the simulator: chosen by chance, the 95th percentile of requests that
        # take 37 ms is 54 ms at 80 % load, and not 50.
        turn = next((n for n, server in enumerate(servers, 1) if server.name == self._last), 0)
        chosen = min(servers[turn:] + servers[:turn], key=lambda server: server.outstanding)
        self._last = chosen.name
        return chosen

    async def close(self) -> None:
        for server in [*self._servers.values(), *self._leaving]:
            await server.client.close()


class PinnedConnections:
    """A few long-lived connections to one address, used in turn; each is opened anew after its maximum age.

    What a client with connection pooling looks like to a proxy that balances connections and not requests.
    """

    def __init__(
        self, address: str, protocol: Speaks, *, connections: int, max_age_s: float
    ) -> None:
        self._address = address
        self._protocol = protocol
        self._max_age_s = max_age_s
        now_s = time.monotonic()
        # Ages are spread, so that not all connections move at once.
        self._servers = [
            self._open(index, now_s - max_age_s * index / connections)
            for index in range(connections)
        ]
        self._turn = itertools.cycle(range(connections))
        self._retiring: set[asyncio.Task[None]] = set()

    def _open(self, index: int, opened_s: float) -> Server:
        client = self._protocol.connect(self._address, connections=1)
        return Server(name=f"connection-{index}", client=client, opened_s=opened_s)

    def pick(self) -> Server | None:
        index = next(self._turn)
        server = self._servers[index]
        if time.monotonic() - server.opened_s >= self._max_age_s:
            task = asyncio.create_task(_retire(server))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
            server = self._servers[index] = self._open(index, time.monotonic())
        return server

    async def close(self) -> None:
        await asyncio.gather(*self._retiring, *(server.client.close() for server in self._servers))


async def _retire(server: Server) -> None:
    """Ends a connection after its last answer: to a server that is too slow, new requests do not wait for that."""
    while server.outstanding:
        await asyncio.sleep(0.02)
    await server.client.close()
