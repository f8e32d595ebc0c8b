"""The value of past cycles at the same phase, with the period found in the series itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecasting.history import History
from forecasting.period import SEEN_CYCLES, explained, find_periods
from forecasting.point import PointForecaster
from forecasting.types import Array

CYCLES = 5
CLEARLY_EXPLAINED = 0.5


class SeasonalNaiveForecaster(PointForecaster):
    """Median of the last cycles at the same phase, times how the present level stands to the level one cycle ago.

    `longest` is the longest period that is looked for, in steps. `usual` is taken where a series is too short to look
    for it, less than three of it, and nothing shorter explains most: a day, for people and schedules go by that; 0 for
    none. A series in which nothing repeats gets its last value. Learned: `periods_`, one for each series, 0 for none.
    """

    def __init__(
        self,
        *,
        longest: int = 7 * 1440,
        usual: int = 1440,
        window: int = 1440,
        step: float = 60.0,
    ) -> None:
        self.longest = longest
        self.usual = usual
        self.window = window
        self.step = step

    def _learn_points(self, history: History) -> None:
        self.periods_ = np.array([self._period(y) for y in history.values])

    def _period(self, y: Array) -> int:
        found = find_periods(y, longest=self.longest, most=1)
        if y.size >= SEEN_CYCLES * self.usual:
            return found[0] if found else 0
        # Of a surge a day two days show one in three cycles of eight hours as well.
        is_clear = bool(found) and explained(y, found[0]) >= CLEARLY_EXPLAINED
        return found[0] if is_clear else self.usual

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
    """How the last cycle's mean stands to that of the last five, between a half and double; 1 before there is one.

    Of whole cycles: a day and a half with a surge each morning would hold two of them.
    """
    sums = np.concatenate([[0.0], np.cumsum(y)])
    until = origins + 1
    cycles = np.minimum(until // period, CYCLES)

    def mean(cycles: NDArray[np.int64]) -> Array:
        return np.asarray(
            (sums[until] - sums[until - cycles * period]) / np.maximum(cycles * period, 1)
        )

    now = mean(np.minimum(cycles, 1))
    past = mean(cycles)
    ratio = np.divide(now, past, out=np.ones_like(now), where=past > 0.0)
    # The square root: half of a single cycle's news is noise.
    return np.asarray(np.clip(np.sqrt(ratio), 0.5, 2.0))
