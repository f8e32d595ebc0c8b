"""Recordings as lines of JSON: written as they come, so that a run that is cut short still tells.

All that is computed of one is computed from the file: a run on a rented GPU is judged anew without the GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec


def append(path: Path, part: msgspec.Struct) -> None:
    """One line more."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(msgspec.json.encode(part) + b"\n")


def read(path: Path, parts: Any, of: str) -> Iterator[Any]:
    """Each as one of `parts`, a union; a last line that was cut short is left out.

    Raises OSError, or ValueError naming the line and the command `of` which it should be.
    """
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            yield msgspec.json.decode(line, type=parts)
        except msgspec.DecodeError as error:
            raise ValueError(f"{path}:{number}: {error}; is it a recording of {of}?") from error
