"""The value of past cycles at the same phase, with the period found in the series itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecasting.history import History
from forecasting.period import find_periods
from forecasting.point import PointForecaster
from forecasting.types import Array

CYCLES = 5


class SeasonalNaiveForecaster(PointForecaster):
    """Median of the last cycles at the same phase, times how the present level stands to the level one cycle ago.

    `longest` is the longest period that is looked for, in steps. A series in which nothing repeats gets its last value.
    Learned: `periods_`, one for each series, 0 for none.
    """

    def __init__(self, *, longest: int = 7 * 1440, window: int = 1440, step: float = 60.0) -> None:
        self.longest = longest
        self.window = window
        self.step = step

    def _learn_points(self, history: History) -> None:
        found = [find_periods(y, longest=self.longest, most=1) for y in history.values]
        self.periods_ = np.array([p[0] if p else 0 for p in found])

    def _points(self, history: History, origins: NDArray[np.int64], horizon: int) -> Array:
        points = np.empty((history.series, origins.size, horizon))
        for i, period in enumerate(self.periods_):
            y = history.values[i]
            if not period:
                points[i] = y[origins, None]
                continue
            points[i] = _seasonal(y, origins, horizon, int(period))
        return points


def _seasonal(y: Array, origins: NDArray[np.int64], horizon: int, period: int) -> Array:
    """Whole cycles before each target, at most five; the last value where not even one has passed."""
    target = origins[:, None] + np.arange(1, horizon + 1)
    # Cycles back until the target lies at or before the origin: more than one where the horizon outlasts the period.
    first = -(-np.arange(1, horizon + 1) // period)
    back = first[None, :, None] + np.arange(CYCLES)
    places = target[:, :, None] - back * period
    seen = np.where(places >= 0, y[np.maximum(places, 0)], np.nan)
    some = ~np.isnan(seen[:, :, 0])
    seen[~some] = np.broadcast_to(y[origins, None, None], seen.shape)[~some]
    middle = np.nanmedian(seen, axis=2)
    return middle * _level_ratio(y, origins, period)[:, None]


def _level_ratio(y: Array, origins: NDArray[np.int64], period: int) -> Array:
    """How the last cycle's mean stands to that of the cycles before, between a half and double."""
    sums = np.concatenate([[0.0], np.cumsum(y)])

    def mean(until: NDArray[np.int64], width: int) -> Array:
        start = np.maximum(until - width, 0)
        return np.asarray((sums[until] - sums[start]) / np.maximum(until - start, 1))

    now = mean(origins + 1, period)
    past = mean(origins + 1, CYCLES * period)
    ratio = np.divide(now, past, out=np.ones_like(now), where=past > 0.0)
    # The square root: half of a single cycle's news is noise.
    return np.asarray(np.clip(np.sqrt(ratio), 0.5, 2.0))
