"""Statistics of what lies behind many origins of many series at once: the raw material of features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecasting.types import Array

# A day and an hour and a half: what most windows lie within.
RECENT_STEPS = 1530


class Lookback:
    """Reads of `values` (series, steps) as seen from `origins`; every answer is (series, origins).

    `lag` is how many steps before the origin a window ends; it may be negative only where the caller means the future
    of a past cycle, that is, never beyond the origin. Before the first value is NaN; a window that begins before it is
    cut short.
    """

    def __init__(self, values: Array, origins: NDArray[np.int64]) -> None:
        self._y = values
        self._origins = origins
        self._sums: Array | None = None
        self._squares: Array | None = None
        self._highest: dict[tuple[int, bool], Array] = {}

    def at(self, lag: int) -> Array:
        """The value `lag` steps before."""
        place = self._origins - lag
        return np.where(place >= 0, self._y[:, np.maximum(place, 0)], np.nan)

    def mean(self, width: int, lag: int = 0) -> Array:
        """Mean of the `width` values that end `lag` steps before."""
        total, count = self._total(width, lag, squared=False)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(total / count)

    def deviation(self, width: int) -> Array:
        """Standard deviation of the last `width` values."""
        total, count = self._total(width, 0, squared=False)
        squares, _ = self._total(width, 0, squared=True)
        mean = total / count
        return np.sqrt(np.maximum(squares / count - mean * mean, 0.0))

    def highest(self, width: int, lag: int = 0) -> Array:
        """Highest of the `width` values that end `lag` steps before."""
        return self._extreme(width, lag, lowest=False)

    def lowest(self, width: int) -> Array:
        """Lowest of the last `width` values."""
        return self._extreme(width, 0, lowest=True)

    def _total(self, width: int, lag: int, *, squared: bool) -> tuple[Array, Array]:
        end = self._origins + 1 - lag
        start = np.maximum(end - width, 0)
        count = np.maximum(end - start, 0).astype(np.float64)
        count[end <= 0] = np.nan
        first = self._summed_from
        if self._origins.size == 1 and start[0] < first:
            part = self._y[:, start[0] : max(int(end[0]), 0)]
            total = (part * part if squared else part).sum(axis=1)[:, None]
            return total, count
        sums = self._cumulative(squared=squared)
        safe = np.maximum(end, 0)
        return sums[:, safe - first] - sums[:, np.minimum(start, safe) - first], count

    @property
    def _summed_from(self) -> int:
        """Where sums begin: for one origin of a large fleet, those of the whole past would cost more than they save."""
        return max(0, int(self._origins[0]) + 1 - RECENT_STEPS) if self._origins.size == 1 else 0

    def _cumulative(self, *, squared: bool) -> Array:
        kept = self._squares if squared else self._sums
        if kept is None:
            y = self._y[:, self._summed_from :]
            if self._origins.size == 1:
                y = y[:, :RECENT_STEPS]
            y = y * y if squared else y
            kept = np.concatenate([np.zeros((len(y), 1)), np.cumsum(y, axis=1)], axis=1)
            if squared:
                self._squares = kept
            else:
                self._sums = kept
        return kept

    def _extreme(self, width: int, lag: int, *, lowest: bool) -> Array:
        end = self._origins - lag
        if self._origins.size == 1:
            last = int(end[0])
            if last < 0:
                return np.full((len(self._y), 1), np.nan)
            part = self._y[:, max(0, last - width + 1) : last + 1]
            return np.asarray((part.min(axis=1) if lowest else part.max(axis=1))[:, None])
        # Two overlapping windows of a power of two cover any width.
        power = 1 << (width.bit_length() - 1)
        table = self._table(power, lowest=lowest)
        safe = np.maximum(end, 0)
        # A window cut short by the beginning reads its power's own first windows, which are cut short too.
        first = np.maximum(safe - width + power, 0)
        pick = np.minimum if lowest else np.maximum
        answer = pick(table[:, safe], table[:, np.minimum(first, safe)])
        return np.where(end >= 0, answer, np.nan)

    def _table(self, power: int, *, lowest: bool) -> Array:
        """(series, steps): extreme of the `power` values that end at each step."""
        if power == 1:
            return self._y
        kept = self._highest.get((power, lowest))
        if kept is None:
            half = power // 2
            under = self._table(half, lowest=lowest)
            kept = under.copy()
            pick = np.minimum if lowest else np.maximum
            kept[:, half:] = pick(under[:, half:], under[:, :-half])
            self._highest[(power, lowest)] = kept
        return kept
