"""The past of one or many series on one clock: what was observed, what was not, and when."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecasting.types import Array


@dataclass(frozen=True, slots=True)
class Event:
    """Something known ahead, such as a schedule: from `start` until `end`, in the unit of the series' times."""

    start: float
    end: float


class History:
    """`series` x `steps` values in time order, appended to cheaply.

    `values` has gaps filled by the last known value, so that models can reckon with it; `known` says which were
    observed. What was not observed is never learned from as an outcome.
    """

    def __init__(
        self, y: Array, *, cutoff: float, step: float, events: Sequence[Event] = ()
    ) -> None:
        series, steps = y.shape
        # A sixteenth more room: a minute's append copies nothing, but for one in hours.
        self._values = np.empty((series, steps + max(64, steps // 16)))
        self._known = np.empty(self._values.shape, dtype=np.bool_)
        self._size = 0
        self.step = step
        self.cutoff = cutoff - step * steps
        self.events = tuple(events)
        self.append(y)

    def append(self, y: Array) -> None:
        """Values of the next steps, shape (series, steps)."""
        known = ~np.isnan(y)
        previous = (
            self._values[:, self._size - 1]
            if self._size
            else np.where(known.any(axis=1), y[np.arange(len(y)), known.argmax(axis=1)], 0.0)
        )
        grown = self._size + y.shape[1]
        if grown > self._values.shape[1]:
            room = grown + max(64, grown // 16)
            self._values = _wider(self._values, self._size, room)
            self._known = _wider(self._known, self._size, room)
        self._values[:, self._size : grown] = _filled(y, known, previous)
        self._known[:, self._size : grown] = known
        self._size = grown
        self.cutoff += self.step * y.shape[1]

    def keep(self, steps: int) -> None:
        """Forgets all but the last `steps`, once there is half as much again."""
        if self._size > steps + steps // 2:
            self._values[:, :steps] = self._values[:, self._size - steps : self._size].copy()
            self._known[:, :steps] = self._known[:, self._size - steps : self._size].copy()
            self._size = steps

    def until(self, steps: int) -> History:
        """The first `steps` of it, sharing memory; not to be appended to."""
        part = object.__new__(History)
        part._values, part._known, part._size = self._values, self._known, steps
        part.step, part.events = self.step, self.events
        part.cutoff = self.cutoff - self.step * (self._size - steps)
        return part

    def only(self, series: int) -> History:
        """One series of many, sharing memory; not to be appended to."""
        part = self.until(self._size)
        part._values = self._values[series : series + 1]
        part._known = self._known[series : series + 1]
        return part

    @property
    def values(self) -> Array:
        """(series, steps), gaps filled."""
        return self._values[:, : self._size]

    @property
    def known(self) -> NDArray[np.bool_]:
        """(series, steps)."""
        return self._known[:, : self._size]

    @property
    def series(self) -> int:
        """How many."""
        return int(self._values.shape[0])

    @property
    def steps(self) -> int:
        """How long."""
        return self._size

    @property
    def first_index(self) -> int:
        """Steps from time 0 to the first value: what calendars are reckoned from."""
        return int(round(self.cutoff / self.step)) - self._size + 1

    def outcomes(self, origins: NDArray[np.int64], ahead: int) -> tuple[Array, Array]:
        """(value at `ahead` steps after each origin, highest until then), each (series, origins).

        NaN where a value that counts was not observed, or lies beyond the end.
        """
        first, end = int(origins.min()) + 1, int(origins.max()) + 1 + ahead
        raw = np.full((self.series, end - first), np.nan)
        seen = min(end, self._size) - first
        if seen > 0:
            values, known = (
                self.values[:, first : first + seen],
                self.known[:, first : first + seen],
            )
            raw[:, :seen] = np.where(known, values, np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(raw, ahead, axis=1)
        at = origins + 1 - first
        # max() gives NaN where any is NaN: a gap may have hidden the highest.
        return raw[:, at + ahead - 1], windows[:, at].max(axis=2)

    def tail(self, steps: int) -> History:
        """The last `steps` of it, sharing memory; not to be appended to."""
        part = self.until(self._size)
        kept = min(steps, self._size)
        part._values = self._values[:, self._size - kept : self._size]
        part._known = self._known[:, self._size - kept : self._size]
        part._size = kept
        return part

    def in_event(self, indices: NDArray[np.int64]) -> Array:
        """1 where a step, counted from the first value, lies in a known event; also for steps to come."""
        at = (self.first_index + indices) * self.step
        inside = np.zeros(at.shape)
        for event in self.events:
            inside[(at >= event.start) & (at < event.end)] = 1.0
        return inside

    def digest(self) -> str:
        """Names exactly this history."""
        told = np.where(self.known, self.values, np.nan)
        return hashlib.sha256(np.ascontiguousarray(told).tobytes()).hexdigest()


def _filled(y: Array, known: NDArray[np.bool_], previous: Array) -> Array:
    """Gaps carry the last known value on."""
    if known.all():
        return y
    with_previous = np.column_stack([previous, y])
    source = np.where(
        np.column_stack([np.ones(len(y), np.bool_), known]), np.arange(y.shape[1] + 1), 0
    )
    np.maximum.accumulate(source, axis=1, out=source)
    return np.asarray(np.take_along_axis(with_previous, source, axis=1)[:, 1:])


def _wider(array: NDArray[Any], used: int, room: int) -> NDArray[Any]:
    wider = np.empty((array.shape[0], room), dtype=array.dtype)
    wider[:, :used] = array[:, :used]
    return wider
