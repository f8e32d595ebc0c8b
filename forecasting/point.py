"""Forecasters that say one number for each step; their quantiles are those of their own past errors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forecasting.base import BaseForecaster, log_offset
from forecasting.empirical import sample_quantiles
from forecasting.history import History
from forecasting.types import Array, Grid

# Errors are taken at every fifth origin: those of neighbours tell nearly the same.
STRIDE = 5
REFRESH_STEPS = 60


class PointForecaster(BaseForecaster):
    """Quantiles of (y - f) / sqrt(max(f, 0) + offset) over the origins of the last `window` steps.

    The root, because counts vary by the root of their level; the offset, a part of the mean, keeps it from 0.
    """

    window: int

    @abstractmethod
    def _points(self, history: History, origins: NDArray[np.int64], horizon: int) -> Array:
        """(series, origins, horizon): the forecast at 1 to `horizon` steps after each origin."""

    def _learn_points(self, history: History) -> None:
        """What the point forecast itself needs; nothing by default."""

    def _learn(self, history: History) -> None:
        self._learn_points(history)
        self.offset_ = log_offset(history)
        self._spreads_: dict[tuple[int, tuple[float, ...]], tuple[Array, Array]] = {}
        self._judged_ = history.steps
        self._past_ = history.until(history.steps)

    def _observe(self, history: History) -> None:
        if self._past_.steps > history.steps or history.steps - self._judged_ >= REFRESH_STEPS:
            self._spreads_ = {}
            self._judged_ = history.steps
            self._past_ = history.until(history.steps)

    def _quantiles(
        self,
        history: History,
        origins: NDArray[np.int64],
        steps: Sequence[int],
        levels: Sequence[float],
    ) -> Grid:
        points = self._points(history, origins, steps[-1])
        highest = np.maximum.accumulate(points, axis=2)
        values = np.empty((*points.shape[:2], len(steps), len(levels)))
        maximum = np.empty_like(values)
        for i, ahead in enumerate(steps):
            ordinary, extreme = self._spreads(ahead, tuple(levels))
            for into, point, spread in (
                (values, points, ordinary),
                (maximum, highest, extreme),
            ):
                at = point[:, :, ahead - 1]
                into[:, :, i] = at[:, :, None] + spread[:, None, :] * self._scale(at)[:, :, None]
        return Grid(values=values, maximum=maximum)

    def _scale(self, points: Array) -> Array:
        return np.asarray(np.sqrt(np.maximum(points, 0.0) + self.offset_[:, None]))

    def _spreads(self, ahead: int, levels: tuple[float, ...]) -> tuple[Array, Array]:
        """Quantiles (series, levels) of the scaled errors of the value and of the maximum; kept until refreshed, for
        most forecasts are made between two refreshes."""
        known = self._spreads_.get((ahead, levels))
        if known is None:
            value, extreme = self._errors(ahead)
            known = sample_quantiles(value, levels), sample_quantiles(extreme, levels)
            self._spreads_[ahead, levels] = known
        return known

    def _errors(self, ahead: int) -> tuple[Array, Array]:
        """Scaled errors (series, origins) of the value and of the maximum."""
        past = self._past_
        last = past.steps - 1 - ahead
        origins = np.arange(last, max(last - self.window, -1), -self._stride())
        if not origins.size:
            return (np.zeros((past.series, 0)),) * 2
        points = self._points(past, origins, ahead)
        highest = points.max(axis=2)
        value, extreme = past.outcomes(origins, ahead)
        return (
            (value - points[:, :, -1]) / self._scale(points[:, :, -1]),
            (extreme - highest) / self._scale(highest),
        )

    def _stride(self) -> int:
        return STRIDE
