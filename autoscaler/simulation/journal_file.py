"""The journal's form: JSON lines, the first a header with the engine's state, then one TickRecord for each tick.

A file replays by itself. Rotated files are compressed; `read` takes plain, gzip and zstd alike.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import zstandard

from autoscaler.codec import decode, encode
from autoscaler.core.settings import EngineConfig
from autoscaler.core.state import EngineState
from autoscaler.core.types import TickRecord
from autoscaler.errors import AutoscalerError

FORMAT = "forescale-journal"
VERSION = 1
# Ticks repeat most of the tick before: a window of 32 MiB lets zstd see it at 5,000 workloads too.
WINDOW_LOG = 25


class JournalInvalid(AutoscalerError):
    """A journal that can't be read; names the file and the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalHeader:
    """The first line of a file: what the engine knew and how it was set."""

    format: str = FORMAT
    version: int = VERSION
    forescale: str = ""
    """Version of the software that wrote it."""
    identity: str = ""
    started_s: float = 0.0
    config: EngineConfig = field(default_factory=EngineConfig)
    state: EngineState = field(default_factory=EngineState)


@dataclass(frozen=True, slots=True)
class _Form:
    """The part of a header by which an unknown version is recognised."""

    format: str = ""
    version: int = 0


def header_line(header: JournalHeader) -> bytes:
    """With its newline."""
    return encode(header) + b"\n"


def record_line(record: TickRecord) -> bytes:
    """With its newline."""
    return encode(record) + b"\n"


class JournalFile:
    """An open journal: its header, and its records one by one."""

    def __init__(self, name: str, lines: Iterator[bytes]) -> None:
        self._name, self._lines = name, lines
        self.line = 0
        """Number of the line that was read last."""
        self.header = self._read_header()

    def records(self) -> Iterator[TickRecord]:
        """In the order of their time.

        Raises:
            JournalInvalid: a line is broken; those before it were fine.
        """
        while (text := self._next()) is not None:
            if not text.strip():
                continue
            try:
                yield decode(text, TickRecord)
            except ValueError as error:
                raise self._invalid(text, error) from error

    def _read_header(self) -> JournalHeader:
        text = self._next()
        if text is None:
            raise JournalInvalid(f"{self._name}: is empty, must be a journal of forescale")
        try:
            form = decode(text, _Form)
        except ValueError as error:
            raise self._invalid(text, error) from error
        if form.format != FORMAT:
            raise JournalInvalid(
                f"{self._name}:1: has no header, must begin with a line of format {FORMAT!r}"
            )
        if form.version != VERSION:
            raise JournalInvalid(
                f"{self._name}:1: version {form.version}, this forescale reads version {VERSION}"
            )
        try:
            return decode(text, JournalHeader)
        except ValueError as error:
            raise self._invalid(text, error) from error

    def _next(self) -> bytes | None:
        try:
            text = next(self._lines, None)
        except (OSError, EOFError, zstandard.ZstdError) as error:
            raise JournalInvalid(
                f"{self._name}:{self.line + 1}: can't be read: {error}, the lines before it are fine"
            ) from error
        if text is not None:
            self.line += 1
        return text

    def _invalid(self, text: bytes, error: ValueError) -> JournalInvalid:
        torn = "" if text.endswith(b"\n") else " (the line has no end: the writer was stopped)"
        return JournalInvalid(
            f"{self._name}:{self.line}: {error}{torn}, must be one record of a journal"
        )


@contextmanager
def open_journal(path: Path) -> Iterator[JournalFile]:
    """Opens a file, or the newest journal of a folder.

    Raises:
        JournalInvalid: there is none, or it can't be read.
    """
    path = _newest(path) if path.is_dir() else path
    try:
        raw = path.open("rb")
    except OSError as error:
        raise JournalInvalid(
            f"{path}: {error.strerror}, name a journal file or its folder"
        ) from error
    with raw, _decompressed(raw) as lines:
        yield JournalFile(str(path), iter(lines))


def files_in(folder: Path) -> list[Path]:
    """The journals of a folder, oldest first: their names sort by time, the current one comes last."""
    rotated = [p for p in folder.glob("forescale-*.jsonl*") if not p.name.endswith(".tmp")]
    current = [p for p in (folder / "forescale.jsonl",) if p.exists()]
    return [*sorted(rotated), *current]


def _newest(folder: Path) -> Path:
    files = files_in(folder)
    if not files:
        raise JournalInvalid(f"{folder}: holds no journal, expected forescale.jsonl in it")
    return files[-1]


@contextmanager
def _decompressed(raw: IO[bytes]) -> Iterator[IO[bytes]]:
    magic = raw.read(4)
    raw.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        with gzip.open(raw) as lines:
            yield io.BufferedReader(lines)
    elif magic == b"\x28\xb5\x2f\xfd":
        reader = zstandard.ZstdDecompressor(max_window_size=1 << WINDOW_LOG).stream_reader(raw)
        with io.BufferedReader(reader) as lines:
            yield lines
    else:
        yield raw
