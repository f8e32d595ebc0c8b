"""The forecast to beat: tomorrow is as now, and errors are as they were.

Its quantiles are those of its own past errors, scaled by the root of the level as counts are, for each horizon and for
the highest value up to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from forecasting.base import checked_quantiles, checked_series
from forecasting.types import Array, Forecast, NotFittedError


class NaiveForecaster:
    """Last value, with empirical quantiles of (y - last) / sqrt(max(last, 1)) over the last `window` origins."""

    def __init__(self, *, window: int = 1440, step: float = 60.0) -> None:
        self.window = window
        self.step = step

    def fit(self, y: ArrayLike, *, cutoff: float = 0.0) -> Self:
        """Keeps the series' end; the errors are taken from it when a horizon is asked for."""
        self.history_: Array = checked_series(y)[-self._kept() :]
        self.cutoff_ = float(cutoff)
        return self

    def update(self, y: ArrayLike) -> Self:
        """Appends. Raises NotFittedError."""
        self._require_fitted()
        new = checked_series(y)
        self.history_ = np.concatenate([self.history_, new])[-self._kept() :]
        self.cutoff_ += self.step * new.size
        return self

    def predict(self, horizon: int, quantiles: Sequence[float]) -> Forecast:
        """Raises NotFittedError, or ValueError for a horizon below 1 or quantiles outside (0, 1)."""
        self._require_fitted()
        if horizon < 1:
            raise ValueError(f"horizon: is {horizon}, must be 1 or more")
        levels = checked_quantiles(quantiles)
        known = self.history_[~np.isnan(self.history_)]
        last = float(known[-1]) if known.size else 0.0
        values = np.empty((horizon, len(levels)))
        maximum = np.empty_like(values)
        for ahead in range(1, horizon + 1):
            values[ahead - 1] = self._quantiles(self._errors(ahead, highest=False), last, levels)
            maximum[ahead - 1] = self._quantiles(self._errors(ahead, highest=True), last, levels)
        # The highest of more steps is never below the highest of fewer, whatever the samples say.
        maximum = np.maximum.accumulate(np.maximum(maximum, values), axis=0)
        return Forecast(
            cutoff=self.cutoff_, step=self.step, quantiles=levels, values=values, maximum=maximum
        )

    def _kept(self) -> int:
        return int(2 * self.window)

    def _require_fitted(self) -> None:
        if not hasattr(self, "history_"):
            raise NotFittedError("NaiveForecaster: is not fitted; call fit first")

    def _errors(self, ahead: int, *, highest: bool) -> Array:
        """Scaled errors of the origins for which both ends are known."""
        y = self.history_
        if y.size <= ahead:
            return np.zeros(0)
        origins = y[:-ahead][-self.window :]
        if highest:
            windows = np.lib.stride_tricks.sliding_window_view(y[1:], ahead)[-origins.size :]
            later = windows.max(axis=1)
        else:
            later = y[ahead:][-origins.size :]
        errors = (later - origins) / np.sqrt(np.maximum(origins, 1.0))
        return np.asarray(errors[~np.isnan(errors)])

    @staticmethod
    def _quantiles(errors: Array, last: float, levels: tuple[float, ...]) -> Array:
        if errors.size == 0:
            return np.full(len(levels), last)
        # (1 + 1/n): the quantile of a new error, not of those already seen.
        ranks = np.minimum(1.0, np.asarray(levels) * (1.0 + 1.0 / errors.size))
        spread = np.quantile(errors, ranks) * np.sqrt(max(last, 1.0))
        return np.asarray(np.maximum(0.0, last + spread))
