"""The engine's memory, kept outside the process so that the next leader takes it over.

A checkpoint that is missing, corrupt or of another version is reported and ignored: the engine then starts cold, and a
cold engine does not scale down. Of one in which single workloads can't be read the others are taken over.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import logging
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from autoscaler.clock import Clock
from autoscaler.codec import decode, encode
from autoscaler.controller.deadline import within
from autoscaler.controller.ports import CheckpointStore
from autoscaler.core.state import (
    STATE_VERSION,
    Departed,
    EngineState,
    SetAside,
    WorkloadState,
)
from autoscaler.core.types import DemandForecast
from autoscaler.errors import SourceInvalid, SourceUnavailable

log = logging.getLogger(__name__)

# A ConfigMap may hold 1 MiB; the rest is for its metadata.
PART_BYTES = 900 * 1024
INDEX, PART = "index", "part"
# Parts of a state that are lists with an entry for each workload.
APART: Mapping[str, type[object]] = {
    "workloads": WorkloadState,
    "forecasts": DemandForecast,
    "departed": Departed,
    "set_aside": SetAside,
}
# A store of several parts is several calls, each with its own limit: at 3 s a call, four parts take 12 s. What is not
# read is soon written over, so a start waits three times so long, and no longer.
LOAD_TIMEOUT_S = 15.0
LOAD_PAUSES_S = (1.0, 3.0)
# Beside the ticks. The last one is a part of a shutdown's 30 s.
SAVE_TIMEOUT_S = 30.0
LAST_SAVE_TIMEOUT_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A state and when it was saved."""

    version: int = STATE_VERSION
    saved_at_s: float
    state: EngineState
    final: bool = False
    """It is what a controller left that ended cleanly: nothing was written after it."""

    def left(self) -> EngineState:
        """For whoever goes on from here. What may have been written since is not known, and no edit from outside."""
        if self.final:
            return self.state
        workloads = tuple(replace(item, written=None) for item in self.state.workloads)
        return replace(self.state, workloads=workloads)


@dataclass(frozen=True, slots=True)
class _Form:
    version: int = 0


def pack(state: EngineState, now_s: float, *, final: bool = False) -> bytes:
    """As it is stored. Takes tenths of a second for a large fleet: call it in a thread."""
    # Those of a new leader come after a minute and a quarter, and after its fits: a rise begins meanwhile.
    state = replace(state, forecasts=tuple([_rounded(item) for item in state.forecasts]))
    # Level 5: four fifths of the gain for a third of the time.
    return gzip.compress(
        encode(Checkpoint(version=state.version, saved_at_s=now_s, state=state, final=final)),
        compresslevel=5,
        mtime=0,
    )


def _rounded(forecast: DemandForecast) -> DemandForecast:
    """Four digits: a third of the size, 220 bytes for each workload, and less than any forecast knows."""
    return replace(
        forecast,
        values_rps=tuple([tuple([float(f"{v:.4g}") for v in row]) for row in forecast.values_rps]),
        skills=tuple([tuple([round(v, 3) for v in row]) for row in forecast.skills]),
    )


def unpack(data: bytes) -> Checkpoint:
    """
    Raises:
        SourceInvalid: it is corrupt, or of another version.
    """
    try:
        text = gzip.decompress(data)
        form = decode(text, _Form)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise SourceInvalid(f"checkpoint: can't be read ({error}), starting cold") from error
    if form.version != STATE_VERSION:
        raise SourceInvalid(
            f"checkpoint: version {form.version}, this forescale reads version {STATE_VERSION}, starting cold"
        )
    try:
        return decode(text, Checkpoint)
    except ValueError as error:
        return _without_unreadable(text, error)


def _without_unreadable(text: bytes, error: ValueError) -> Checkpoint:
    """Less the workloads that can't be read, as for a number that is none: the others keep what they learned."""
    try:
        whole = decode(text, dict[str, Any])
        state, lost = whole["state"], 0
        for name, kind in APART.items():
            entries = state.get(name) or []
            state[name] = [entry for entry in entries if _reads(entry, kind)]
            lost += len(entries) - len(state[name])
        found = decode(encode(whole), Checkpoint)
    except (AttributeError, KeyError, TypeError, ValueError):
        # The error is elsewhere.
        raise SourceInvalid(f"checkpoint: {error}, starting cold") from error
    log.warning("checkpoint read in part", extra={"left_out": lost, "error": str(error)})
    return found


def _reads(entry: object, kind: type[object]) -> bool:
    try:
        decode(encode(entry), kind)
    except ValueError:
        return False
    return True


async def loaded(store: CheckpointStore, clock: Clock) -> bytes | None:
    """What is stored, asked for again where there is no answer: without it, it is soon written over.

    Raises:
        TimeoutError, SourceError or OSError: after the last try.
    """
    for pause_s in LOAD_PAUSES_S:
        try:
            return await within(clock, LOAD_TIMEOUT_S, store.load())
        except (SourceUnavailable, TimeoutError):
            await clock.sleep(pause_s)
    return await within(clock, LOAD_TIMEOUT_S, store.load())


class FileCheckpoint:
    """In one file: for a controller that runs outside a cluster."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def save(self, data: bytes) -> None:
        """Replaces the file as a whole. Raises OSError."""
        await asyncio.to_thread(self._save, data)

    async def load(self) -> bytes | None:
        """None: there is no file. Raises OSError."""
        return await asyncio.to_thread(self._load)

    def _save(self, data: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(self._path.name + ".tmp")
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self._path)

    def _load(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None


class MapApi(Protocol):
    """Access to ConfigMaps' binaryData in one namespace."""

    async def read(self, name: str) -> Mapping[str, bytes] | None:
        """None: there is none. May raise SourceError."""
        ...

    async def write(self, name: str, data: Mapping[str, bytes]) -> None:
        """Creates it or replaces all of its data. May raise ActuationError or SourceError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    """Says which parts belong together. Further parts alternate between two slots, so that a writer that dies half
    way leaves the old checkpoint whole."""

    sha256: str
    parts: int
    slot: str


class ConfigMapCheckpoint:
    """In a ConfigMap, and in further ones where one is too small."""

    def __init__(self, api: MapApi, name: str, *, part_bytes: int = PART_BYTES) -> None:
        self._api, self._name, self._part_bytes = api, name, part_bytes
        self._slot: str | None = None
        """That of the index which is stored; None: not known, as after a write that may or may not have happened."""

    async def save(self, data: bytes) -> None:
        """Further parts first, then the index that makes them valid."""
        used = self._slot or await self._stored_slot()
        slot, self._slot = "b" if used == "a" else "a", None
        size = self._part_bytes
        parts = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
        for number, part in enumerate(parts[1:], start=1):
            await self._api.write(self._part_name(slot, number), {PART: part})
        index = _Index(sha256=hashlib.sha256(data).hexdigest(), parts=len(parts), slot=slot)
        await self._api.write(self._name, {INDEX: encode(index), PART: parts[0]})
        self._slot = slot

    async def load(self) -> bytes | None:
        """
        Raises:
            SourceInvalid: parts are missing or do not belong together.
        """
        main = await self._api.read(self._name)
        if not main:
            return None
        try:
            index = decode(main[INDEX], _Index)
            parts = [main[PART]]
        except (KeyError, ValueError) as error:
            raise SourceInvalid(
                f"ConfigMap {self._name}: is no checkpoint ({error}), starting cold"
            ) from error
        self._slot = index.slot
        for number in range(1, index.parts):
            name = self._part_name(index.slot, number)
            more = await self._api.read(name)
            if more is None or PART not in more:
                raise SourceInvalid(f"ConfigMap {name}: is missing, starting cold")
            parts.append(more[PART])
        data = b"".join(parts)
        if hashlib.sha256(data).hexdigest() != index.sha256:
            raise SourceInvalid(
                f"ConfigMap {self._name}: its parts do not belong together, starting cold"
            )
        return data

    async def _stored_slot(self) -> str | None:
        """None: what is stored is no checkpoint, so nothing is lost with it."""
        main = await self._api.read(self._name)
        try:
            return decode(main[INDEX], _Index).slot if main else None
        except (KeyError, ValueError):
            return None

    def _part_name(self, slot: str, number: int) -> str:
        return f"{self._name}-{slot}-{number}"
