"""What the driver asks of a protocol: a client for an address, and of that one answer after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer told on its way, apart from having come. None: it does not tell."""

    first_token_s: float | None = None
    """By `time.monotonic()`."""
    tokens: int | None = None


class RequestFailed(Exception):
    """One request's failure, never the run's. Its text is the request's outcome."""


class Client(Protocol):
    """Speaks to one address."""

    async def ask(self, number: int) -> Answer:
        """The whole answer to the run's request of that number, from 0. Raises RequestFailed."""
        ...

    async def close(self) -> None:
        """Ends all connections."""
        ...


class Speaks(Protocol):
    """A protocol, and what is to be asked in it."""

    def connect(self, address: str, *, connections: int | None = None) -> Client:
        """To `HOST:PORT`, over at most so many connections. None: no request waits for one in the client."""
        ...
