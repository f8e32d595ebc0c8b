"""The journal's form: JSON lines, the first a header with the engine's state, then one TickRecord for each tick.

A file replays by itself. Rotated files are compressed; `read` takes plain, gzip and zstd alike.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import zstandard

from autoscaler.codec import decode, encode
from autoscaler.core.settings import EngineConfig
from autoscaler.core.state import EngineState
from autoscaler.core.types import TickRecord
from autoscaler.errors import AutoscalerError, ConfigError, Problem

FORMAT = "forescale-journal"
VERSION = 1
# Ticks repeat most of the tick before: a window of 32 MiB lets zstd see it at 5,000 workloads too.
WINDOW_LOG = 25
CHUNK = 1 << 14
NAMED = "name a journal file, or a folder with forescale.jsonl in it"

NO_TICK = "holds no tick yet, let the controller run on"


class JournalInvalid(AutoscalerError):
    """A journal that can't be read; names the file and the line."""


class JournalTorn(JournalInvalid):
    """A line that has no end: whoever wrote it was stopped there, or is at it. All before it is fine."""


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
            raise JournalTorn(f"{self._name}: is empty, must be a journal of forescale")
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
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            raise JournalInvalid(
                f"{self._name}:{self.line + 1}: can't be read: {error}, the lines before it are fine"
            ) from error
        if text is not None:
            self.line += 1
        return text

    def _invalid(self, text: bytes, error: ValueError) -> JournalInvalid:
        where, allowed = f"{self._name}:{self.line}: {error}", "must be one record of a journal"
        if text.endswith(b"\n"):
            return JournalInvalid(f"{where}, {allowed}")
        return JournalTorn(f"{where} (the line has no end: the writer was stopped), {allowed}")


@contextmanager
def open_journal(path: Path) -> Iterator[JournalFile]:
    """Opens a file, or the newest journal of a folder.

    Raises:
        ConfigError: there is none.
        JournalInvalid: it can't be read.
    """
    path = files_of(path)[-1]
    try:
        raw = path.open("rb")
    except OSError as error:
        raise ConfigError((Problem(str(path), str(error.strerror), NAMED),)) from error
    with raw, _decompressed(raw) as lines:
        yield JournalFile(str(path), iter(lines))


def records_of(
    paths: Sequence[Path], told: Callable[[str], None] = lambda _path: None
) -> Iterator[tuple[EngineConfig, TickRecord]]:
    """The records of several files, oldest first, each with its file's configuration. `told` hears each path.

    A line that its writer left without an end is left out: a controller that is killed may leave one in each file.

    Raises:
        JournalInvalid: a line is broken; or no file has as much as a header.
    """
    begun = False
    for path in paths:
        told(str(path))
        try:
            with open_journal(path) as journal:
                begun = True
                for record in journal.records():
                    yield journal.header.config, record
        except JournalTorn:
            if not begun and path == paths[-1]:
                raise


def files_of(path: Path) -> list[Path]:
    """A journal file, or those of a folder, oldest first. Raises ConfigError where there is none."""
    if path.is_file():
        return [path]
    files = files_in(path) if path.is_dir() else []
    if not files:
        given = "holds no journal" if path.is_dir() else "No such file"
        raise ConfigError((Problem(str(path), given, NAMED),))
    return files


def files_since(path: Path, since_s: float) -> list[Path]:
    """As `files_of`, without those that ended before a time, as their names tell; the last one is always there."""
    *rotated, last = files_of(path)
    ended = f"forescale-{datetime.fromtimestamp(since_s, tz=UTC):%Y%m%dT%H%M%S}"
    return [*(file for file in rotated if file.name >= ended), last]


def files_in(folder: Path) -> list[Path]:
    """The journals of a folder, oldest first: their names sort by time, the current one comes last."""
    found = {p for p in folder.glob("forescale-*.jsonl*") if not p.name.endswith(".tmp")}
    # A writer that ended while it compressed has left a file beside what became of it.
    rotated = [p for p in found if p.with_name(f"{p.name}.zst") not in found]
    current = [p for p in (folder / "forescale.jsonl",) if p.exists()]
    return [*sorted(rotated), *current]


@contextmanager
def _decompressed(raw: IO[bytes]) -> Iterator[IO[bytes]]:
    magic = raw.read(4)
    raw.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        with gzip.open(raw) as lines:
            yield io.BufferedReader(lines)
    elif magic == b"\x28\xb5\x2f\xfd":
        with io.BufferedReader(_Zstd(raw)) as lines:
            yield lines
    else:
        yield raw


class _Zstd(io.RawIOBase):
    """Frames of zstd one after the other. zstandard's own reader takes a file that is cut short for a whole one."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._frame = _frame()
        self._read = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As in RawIOBase. Raises EOFError where a frame has no end."""
        while not self._read:
            packed = self._raw.read(CHUNK)
            if not packed and not self._frame.eof:
                raise EOFError("it is cut short")
            if not packed:
                return 0
            self._read = memoryview(self._unpacked(packed))
        size = min(len(buffer), len(self._read))
        buffer[:size] = self._read[:size]
        self._read = self._read[size:]
        return size

    def _unpacked(self, packed: bytes) -> bytes:
        parts = []
        while packed:
            if self._frame.eof:
                self._frame = _frame()
            parts.append(self._frame.decompress(packed))
            packed = self._frame.unused_data
        return b"".join(parts)


def _frame() -> zstandard.ZstdDecompressionObj:
    return zstandard.ZstdDecompressor(max_window_size=1 << WINDOW_LOG).decompressobj()
