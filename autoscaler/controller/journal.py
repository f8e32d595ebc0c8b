"""Writes every tick down: what was seen, what was decided, what became of it.

A disk that is full or gone never stops control: the journal then says so, drops records, and begins a new file once it
can. All methods block; the loop calls them in a thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import zstandard

from autoscaler import __version__
from autoscaler.config import JournalSettings
from autoscaler.core.settings import EngineConfig
from autoscaler.core.state import EngineState
from autoscaler.core.types import TickRecord
from autoscaler.simulation.journal_file import (
    WINDOW_LOG,
    JournalHeader,
    files_in,
    header_line,
    record_line,
)

CURRENT = "forescale.jsonl"
MIB = 1 << 20
# Long-distance matching finds what a tick repeats of the one before, megabytes back, at hundreds of MB a second.
_PARAMETERS = zstandard.ZstdCompressionParameters.from_level(
    3, window_log=WINDOW_LOG, enable_ldm=True
)


class Journal:
    """One folder of journal files, of which this process writes the current one."""

    def __init__(self, settings: JournalSettings, *, config: EngineConfig, identity: str) -> None:
        assert settings.path is not None
        self._folder = Path(settings.path)
        self._limit = int(settings.max_file_mib * MIB)
        self._keep = settings.keep
        self._config, self._identity = config, identity
        self._file: IO[bytes] | None = None
        self._size = 0
        self._started_s = 0.0
        self.written_bytes = 0
        """Since this process began, uncompressed."""
        self.untidy = False
        """Something has been rotated and waits for `tidy`."""

    def open(self, state: EngineState, now_s: float) -> None:
        """Begins a file; what an earlier process left behind, or this one has open, is put away.

        Raises:
            OSError: the folder can't be written.
        """
        self._close()
        self._folder.mkdir(parents=True, exist_ok=True)
        for leftover in self._folder.glob("*.tmp"):
            leftover.unlink()
        for whole in self._folder.glob("*.jsonl.zst"):
            whole.with_suffix("").unlink(missing_ok=True)
        self._put_away()
        self._begin(state, now_s)

    def append(self, record: TickRecord, snapshot: Callable[[], EngineState]) -> None:
        """Writes one line; `snapshot` gives the engine's state after this record.

        Raises:
            OSError: it was not written. The next call begins a new file, from the state that it is given.
        """
        if self._file is None or _is_removed(self._file):
            self.open(snapshot(), record.input.now_s)
            return
        self._write(record_line(record))
        if self._size >= self._limit:
            self._close()
            self._put_away()
            self._begin(snapshot(), record.input.now_s)

    def tidy(self) -> None:
        """Compresses what has been rotated and deletes the oldest beyond the limit. Takes seconds: no part of a tick.

        Raises:
            OSError: no space to compress into; what was rotated stays as it is.
        """
        self.untidy = False
        rotated = [path for path in files_in(self._folder) if path.name != CURRENT]
        kept = max(0, len(rotated) - self._keep)
        # First what goes: a disk that is full has no room to compress into before.
        for path in rotated[:kept]:
            path.unlink(missing_ok=True)
        for path in rotated[kept:]:
            if path.suffix == ".jsonl":
                _compress(path)

    def close(self) -> None:
        """Flushes to the disk."""
        if self._file is not None:
            try:
                self._file.flush()
                os.fsync(self._file.fileno())
            finally:
                self._close()

    def _begin(self, state: EngineState, now_s: float) -> None:
        self._file = (self._folder / CURRENT).open("wb", buffering=0)
        self._size, self._started_s = 0, now_s
        header = JournalHeader(
            forescale=__version__,
            identity=self._identity,
            started_s=now_s,
            config=self._config,
            state=state,
        )
        try:
            self._write(header_line(header))
        except OSError:
            # Half a header is worth nothing, and a full disk must not fill with them.
            self._close()
            (self._folder / CURRENT).unlink(missing_ok=True)
            raise

    def _write(self, line: bytes) -> None:
        assert self._file is not None
        try:
            left = memoryview(line)
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            # Half a line may stand there: nothing may follow it in this file.
            self._close()
            raise
        self._size += len(line)
        self.written_bytes += len(line)

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _put_away(self) -> None:
        """Gives the current file a name of its own, by the time at which it ended."""
        current = self._folder / CURRENT
        if not current.exists():
            return
        ended = datetime.fromtimestamp(current.stat().st_mtime, tz=UTC)
        stem = f"forescale-{ended:%Y%m%dT%H%M%S}"
        taken = len(list(self._folder.glob(f"{stem}*")))
        current.rename(self._folder / f"{stem}-{taken:03d}.jsonl")
        self.untidy = True


def _is_removed(file: IO[bytes]) -> bool:
    """Whether its folder was emptied: the system goes on to take what is written to a file without a name."""
    return os.fstat(file.fileno()).st_nlink == 0


def _compress(path: Path) -> None:
    target = path.with_name(path.name + ".zst")
    partial = target.with_name(target.name + ".tmp")
    try:
        with path.open("rb") as source, partial.open("wb") as sink:
            compressor = zstandard.ZstdCompressor(compression_params=_PARAMETERS)
            compressor.copy_stream(source, sink, size=path.stat().st_size)
            # On the disk before the only other copy goes.
            sink.flush()
            os.fsync(sink.fileno())
    except OSError:
        # What it took of a full disk is what the current file is to be written into.
        partial.unlink(missing_ok=True)
        raise
    partial.rename(target)
    path.unlink()
