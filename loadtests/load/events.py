"""Server-sent events, and what those of a streamed completion tell."""

from __future__ import annotations

from typing import Any

import msgspec

from loadtests.load.protocol import Answer, RequestFailed

DONE = b"[DONE]"
# No server sends as much in one event; what does is no stream of tokens, and must not fill the memory.
LONGEST_EVENT = 2**20


class Events:
    """Takes a stream apart, whatever pieces it comes in."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """Data of the events that are whole now. Raises RequestFailed for one that has no end."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        whole = []
        for line in lines:
            field = line.removesuffix(b"\r")
            if field.startswith(b"data:"):
                self._data.append(field[5:].removeprefix(b" "))
            elif not field and self._data:
                whole.append(b"\n".join(self._data))
                self._data.clear()
        if len(self._rest) + sum(map(len, self._data)) > LONGEST_EVENT:
            raise RequestFailed(f"an event of more than {LONGEST_EVENT} bytes")
        return whole


class Choice(msgspec.Struct):
    """What an event says of the answer; the text itself is of no interest."""

    finish_reason: str | None = None


class Usage(msgspec.Struct):
    """Tokens, as the server counts them."""

    completion_tokens: int = 0


class Chunk(msgspec.Struct):
    """One event."""

    choices: list[Choice] = msgspec.field(default_factory=list)
    usage: Usage | None = None
    error: Any = None
    object: str | None = None
    message: str | None = None


_DECODER = msgspec.json.Decoder(Chunk)
# With these an engine gives an answer up, in a stream that otherwise ends well.
GIVEN_UP = ("abort", "error")


class Completion:
    """One streamed answer while it comes."""

    def __init__(self) -> None:
        self._first_s: float | None = None
        self._told: Usage | None = None
        self._done = False

    def take(self, data: bytes, now_s: float) -> None:
        """An event's data. Raises RequestFailed where it says that the request has failed, or says nothing known."""
        if data == DONE:
            self._done = True
            return
        try:
            chunk = _DECODER.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RequestFailed(f"an event that can't be read: {error}"[:200]) from error
        if chunk.error is not None or chunk.object == "error":
            raise RequestFailed(f"error: {error_text(chunk.error or chunk.message)}")
        if chunk.choices:
            reason = chunk.choices[0].finish_reason
            if reason in GIVEN_UP:
                raise RequestFailed(f"the server gave it up: finish_reason {reason}")
            # Also without text: some tokens are half a letter, or none.
            self._first_s = now_s if self._first_s is None else self._first_s
        self._told = chunk.usage or self._told

    def answer(self) -> Answer:
        """When the stream is over. Raises RequestFailed for one that is not whole."""
        if not self._done:
            raise RequestFailed("cut: the stream ended without [DONE]")
        if self._first_s is None or (self._told and not self._told.completion_tokens):
            raise RequestFailed("no tokens")
        return Answer(self._first_s, self._told.completion_tokens if self._told else None)


def error_text(error: object) -> str:
    """What a server says is wrong, which has a `message` or is one."""
    told = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(told).split())[:160]
