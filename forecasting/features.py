"""What the learned models see: ratios to the present level, so that one model serves any scale.

All features are logarithms of (something + offset) / (level + offset), or pure numbers. Those of the state are made
once for all steps ahead; those of the target look at what followed the same moment of earlier cycles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecasting.history import History
from forecasting.lookback import RECENT_STEPS, Lookback
from forecasting.types import Array

HOUR, DAY = 60, 1440
WEEK = 7 * DAY
LEVEL_STEPS = 5
LAGS = (0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 14)
MEANS = (3, 10, 15, 30, 60, 180, DAY)
HIGHEST = (5, 15, 60, 180)
LOWEST = (15, 60)
DEVIATIONS = (15, 60, 360)
# (period, cycles averaged): what happens at the same phase of the clock.
PROFILES = ((60, 24), (30, 24), (15, 24), (10, 24), (5, 30))
CENTRE_STEPS = 61


class FeatureMaker:
    """Features at `origins` of a history; `offset` (series,) is added before logarithms."""

    def __init__(self, history: History, offset: Array, origins: NDArray[np.int64]) -> None:
        self._history = history
        self._origins = origins
        self._offset = offset[:, None]
        self._back = Lookback(history.values, origins)
        self._hourly: tuple[int, Array] | None = None
        self.level = self._back.mean(LEVEL_STEPS) + self._offset
        """(series, origins): mean of the last five steps plus the offset; what forecasts are ratios to."""

    def log_ratio(self, value: Array) -> Array:
        """log((value + offset) / level)."""
        return np.asarray(np.log((value + self._offset) / self.level))

    def state(self) -> dict[str, Array]:
        """What does not depend on how far ahead one looks."""
        back, ratio = self._back, self.log_ratio
        made = {"level": np.log(self.level / self._offset)}
        made |= {f"lag {k}": ratio(back.at(k)) for k in LAGS}
        made |= {f"mean {w}": ratio(back.mean(w)) for w in MEANS}
        made |= {f"highest {w}": ratio(back.highest(w)) for w in HIGHEST}
        made |= {f"lowest {w}": ratio(back.lowest(w)) for w in LOWEST}
        for width in DEVIATIONS:
            made[f"deviation {width}"] = back.deviation(width) / (back.mean(width) + self._offset)
        for name, period in (("day", DAY), ("week", WEEK)):
            made[f"{name} ago, hour"] = ratio(back.mean(HOUR, period))
            made[f"{name} ago, highest of the next 15"] = np.log(
                (back.highest(15, period - 15) + self._offset)
                / (back.mean(15, period) + self._offset)
            )
        made["in event"] = self._event(0)
        return made

    def target(self, ahead: int) -> dict[str, Array]:
        """What earlier cycles did `ahead` steps after the same moment."""
        made = {}
        for name, period in (("day", DAY), ("week", WEEK)):
            made[f"{name} ago, target"] = self.log_ratio(self._back.at(period - ahead))
            for half in (2, 7):
                made[f"{name} ago, change {2 * half + 1}"] = self._change(period, ahead, half)
        made["days ago, change"] = self._mean_change(ahead)
        for period, cycles in PROFILES:
            made[f"profile {period}"] = self._profile(period, cycles, ahead)
        made["event at target"] = self._event(ahead)
        return made

    def calendar(self, ahead: int) -> dict[str, Array]:
        """Where on the clock the target lies; for models of one series only."""
        minute = self._history.first_index + self._origins + ahead
        made = {f"minute of {p}": minute % p for p in (60, 30, 15, 10, 5)}
        made |= {"time of day": minute % DAY, "day of week": minute // DAY % 7}
        shape = (self._history.series, 1)
        return {name: np.tile(value.astype(np.float64), shape) for name, value in made.items()}

    def _change(self, period: int, ahead: int, half: int) -> Array:
        """log of the mean around the target one cycle ago over the mean before the origin then."""
        width = 2 * half + 1
        then = self._back.mean(width, period - ahead - half) + self._offset
        return np.asarray(np.log(then / (self._back.mean(width, period) + self._offset)))

    def _mean_change(self, ahead: int) -> Array:
        """The same over the last three days together."""
        then = _known_mean([self._back.mean(5, d * DAY - ahead - 2) for d in (1, 2, 3)])
        before = _known_mean([self._back.mean(5, d * DAY) for d in (1, 2, 3)])
        return np.asarray(np.log((then + self._offset) / (before + self._offset)))

    def _profile(self, period: int, cycles: int, ahead: int) -> Array:
        """Mean over earlier cycles of the value at the target's phase over the hour around it."""
        first, relative = self._relative()
        lags = np.arange(1, cycles + 1) * period - ahead
        # The hour around it must have passed.
        places = self._origins - lags[lags >= CENTRE_STEPS // 2, None]
        told = np.where(places >= 0, relative[:, np.maximum(places - first, 0)], 0.0)
        count = (places >= 0).sum(axis=0)
        mean = told.sum(axis=1) / np.where(count > 0, count, np.nan)
        return np.asarray(np.log(np.maximum(mean, 1e-3)))

    def _relative(self) -> tuple[int, Array]:
        """(its first step, each value over the mean of the hour around it); of the last day for a single origin."""
        if self._hourly is None:
            last = int(self._origins.max())
            first = max(0, last + 1 - RECENT_STEPS) if self._origins.size == 1 else 0
            y = self._history.values[:, first : last + 1]
            steps, around = y.shape[1], CENTRE_STEPS // 2
            # Sums before each step, with the ends repeated, so that windows cut short are differences of slices too.
            sums = np.zeros((len(y), steps + 1 + 2 * around))
            np.cumsum(y, axis=1, out=sums[:, around + 1 : around + 1 + steps])
            sums[:, around + 1 + steps :] = sums[:, [around + steps]]
            place = np.arange(steps)
            width = np.minimum(place + around + 1, steps) - np.maximum(place - around, 0)
            centre = (sums[:, CENTRE_STEPS:] - sums[:, :-CENTRE_STEPS]) / width
            self._hourly = first, (y + self._offset) / (centre + self._offset)
        return self._hourly

    def _event(self, ahead: int) -> Array:
        inside = self._history.in_event(self._origins + ahead)
        return np.tile(inside, (self._history.series, 1))


def stacked(parts: list[dict[str, Array]]) -> Array:
    """(series, origins, features); what is not finite is NaN, which the models take for missing."""
    columns = [column for part in parts for column in part.values()]
    table = np.stack(columns, axis=-1)
    table[~np.isfinite(table)] = np.nan
    return table


def _known_mean(arrays: list[Array]) -> Array:
    """Mean over the arrays of what is not NaN; NaN where all are."""
    total = np.zeros_like(arrays[0])
    count = np.zeros_like(arrays[0])
    for array in arrays:
        known = ~np.isnan(array)
        total[known] += array[known]
        count += known
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
