"""Surges on a schedule over a level that wanders: cron jobs, batch windows, polling clients.

Of any period and phase, from two days of history. What stands out from the running median is folded at the periods that
explain it best; a phase that held a surge in most of its cycles is expected to hold the next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecasting.history import History
from forecasting.period import find_periods
from forecasting.point import PointForecaster
from forecasting.types import Array

MEDIAN_STEPS = 31
LEVEL_STEPS = 10
CYCLES = 8


class SpikeForecaster(PointForecaster):
    """The recent level, plus at each step what stood above it at the same phase of the cycles before.

    `longest` is the longest period that is looked for, in steps; a day finds all that cron writes but weekly jobs.
    Learned: `periods_`, a tuple for each series.
    """

    def __init__(
        self,
        *,
        longest: int = 1440,
        reach: int = 3 * 1440,
        window: int = 1440,
        step: float = 60.0,
    ) -> None:
        self.longest = longest
        self.reach = reach
        self.window = window
        self.step = step

    def _learn_points(self, history: History) -> None:
        tail = history.values[:, -self.reach :]
        self.periods_ = tuple(find_periods(above_median(y), longest=self.longest) for y in tail)

    def _points(self, history: History, origins: NDArray[np.int64], horizon: int) -> Array:
        points = np.empty((history.series, origins.size, horizon))
        first = max(0, int(origins.min()) - max(CYCLES * self.longest, self.reach))
        for i, periods in enumerate(self.periods_):
            y = history.values[i, first : int(origins.max()) + 1]
            points[i] = _expected(y, origins - first, horizon, periods)
        return points


def above_median(y: Array) -> Array:
    """What stands out from the running median of the last half hour; the median looks back only."""
    return np.asarray(y - _running_median(y))


def _running_median(y: Array) -> Array:
    padded = np.concatenate([np.full(MEDIAN_STEPS - 1, y[0]), y])
    windows = np.lib.stride_tricks.sliding_window_view(padded, MEDIAN_STEPS)
    return np.asarray(np.median(windows, axis=1))


def _expected(
    y: Array, origins: NDArray[np.int64], horizon: int, periods: tuple[int, ...]
) -> Array:
    median = _running_median(y)
    rest = y - median
    ahead = np.arange(1, horizon + 1)
    told = np.zeros((origins.size, horizon))
    for period in periods:
        told += _folded(rest, origins, ahead, period)
        # What one period explains is not explained again by the next.
        steps = np.arange(y.size)
        rest = rest - _folded(rest, np.maximum(steps - 1, 0), np.array([1]), period)[:, 0]
    # Level: the mean of what is left after the surges.
    sums = np.concatenate([[0.0], np.cumsum(median + rest)])
    start = np.maximum(origins + 1 - LEVEL_STEPS, 0)
    level = (sums[origins + 1] - sums[start]) / (origins + 1 - start)
    return np.asarray(np.maximum(0.0, level[:, None] + told))


def _folded(
    rest: Array, origins: NDArray[np.int64], ahead: NDArray[np.int64], period: int
) -> Array:
    """(origins, ahead): the median over the last cycles at the target's phase, 0 before two have passed."""
    first = -(-ahead // period)
    back = first[None, :, None] + np.arange(CYCLES)
    places = (origins[:, None] + ahead)[:, :, None] - back * period
    seen = np.where(places >= 0, rest[np.maximum(places, 0)], np.nan)
    enough = (~np.isnan(seen)).sum(axis=2) >= 2
    answer = np.zeros(enough.shape)
    answer[enough] = np.nanmedian(seen[enough], axis=1)
    return answer
