"""The project's values to JSON and back: the form of the journal, of checkpoints and of golden scenarios.

msgspec reads and writes standard dataclasses by their annotations, strictly and fast (a tick of 1,000 workloads in
milliseconds), so no type has a hand-written encoder.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """One line of JSON, without a newline. NaN and infinities become null: unknown."""
    return _encoder.encode(value)


def decode(data: bytes | str, type_: type[T]) -> T:
    """A value of `type_`.

    Raises:
        ValueError: not JSON, or not of that type; the message says where (`$.input.now_s`).
    """
    return msgspec.json.decode(data, type=type_)
