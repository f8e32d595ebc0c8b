"""Exponential smoothing with a damped trend (Gardner and McKenzie, Management Science 31, 1985)."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from forecasting.history import History
from forecasting.point import PointForecaster
from forecasting.types import Array

# (level, trend, damping): what is tried; the best at five steps ahead over the last `window` steps is kept.
LEVELS = (0.05, 0.15, 0.35, 0.7)
TRENDS = (0.0, 0.05, 0.2)
DAMPING = 0.95
JUDGED_AHEAD = 5
# Older steps weigh less than 0.95 ** 400 of a part in a hundred million.
REACH = 400
# From so many on numpy is faster than plain numbers.
FEW_SERIES = 8


class DampedHoltForecaster(PointForecaster):
    """Level and damped trend; the smoothing is chosen for each series from a few settings by its own past errors.

    Learned: `smoothing_`, (series, 2) of level and trend.
    """

    def __init__(self, *, window: int = 1440, step: float = 60.0) -> None:
        self.window = window
        self.step = step

    def _learn_points(self, history: History) -> None:
        start = max(0, history.steps - self.window - REACH)
        y = history.values[:, start:]
        best = np.full(history.series, np.inf)
        self.smoothing_ = np.tile(np.array([LEVELS[1], 0.0]), (history.series, 1))
        for alpha, beta in product(LEVELS, TRENDS):
            level, trend = _smooth(y, np.full(len(y), alpha), np.full(len(y), beta))
            told = level + _damped(JUDGED_AHEAD) * trend
            if y.shape[1] <= JUDGED_AHEAD:
                continue
            loss = np.abs(y[:, JUDGED_AHEAD:] - told[:, :-JUDGED_AHEAD]).sum(axis=1)
            better = loss < best
            best[better] = loss[better]
            self.smoothing_[better] = (alpha, beta)

    def _points(self, history: History, origins: NDArray[np.int64], horizon: int) -> Array:
        start = max(0, int(origins.min()) - REACH)
        level, trend = _smooth(
            history.values[:, start : int(origins.max()) + 1],
            self.smoothing_[:, 0],
            self.smoothing_[:, 1],
        )
        damped = np.array([_damped(ahead) for ahead in range(1, horizon + 1)])
        at = origins - start
        return np.asarray(np.maximum(0.0, level[:, at, None] + damped * trend[:, at, None]))


def _damped(ahead: int) -> float:
    """Sum of damping ** i for i from 1 to `ahead`."""
    return DAMPING * (1.0 - DAMPING**ahead) / (1.0 - DAMPING)


def _smooth(y: Array, alpha: Array, beta: Array) -> tuple[Array, Array]:
    """Level and trend (series, steps) after each step."""
    if len(y) < FEW_SERIES:
        one_by_one = [
            _smooth_one(row, a, b)
            for row, a, b in zip(y.tolist(), alpha.tolist(), beta.tolist(), strict=True)
        ]
        return np.array([told[0] for told in one_by_one]), np.array(
            [told[1] for told in one_by_one]
        )
    levels, trends = np.empty_like(y), np.empty_like(y)
    level, trend = y[:, 0].copy(), np.zeros(len(y))
    for i in range(y.shape[1]):
        before = level
        expected = level + DAMPING * trend
        level = expected + alpha * (y[:, i] - expected)
        trend = DAMPING * trend + beta * (level - before - DAMPING * trend)
        levels[:, i], trends[:, i] = level, trend
    return levels, trends


def _smooth_one(y: list[float], alpha: float, beta: float) -> tuple[list[float], list[float]]:
    """The same of one series, to the last bit, in a tenth of the time: plain numbers need no arrays."""
    levels, trends = [], []
    level, trend = y[0], 0.0
    for value in y:
        before = level
        expected = level + DAMPING * trend
        level = expected + alpha * (value - expected)
        trend = DAMPING * trend + beta * (level - before - DAMPING * trend)
        levels.append(level)
        trends.append(trend)
    return levels, trends
