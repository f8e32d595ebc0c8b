"""The forecast to beat: what comes is as what is, and errors are as they were."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecasting.history import History
from forecasting.point import PointForecaster
from forecasting.types import Array


class NaiveForecaster(PointForecaster):
    """The last value, with empirical quantiles of (y - last) / sqrt(max(last, 1)) over the last `window` origins."""

    def __init__(self, *, window: int = 1440, step: float = 60.0) -> None:
        self.window = window
        self.step = step

    def _points(self, history: History, origins: NDArray[np.int64], horizon: int) -> Array:
        return np.repeat(history.values[:, origins, None], horizon, axis=2)

    def _scale(self, points: Array) -> Array:
        # As counts vary, in the unit that is given: this forecast is the yardstick, and stays as published.
        return np.asarray(np.sqrt(np.maximum(points, 1.0)))

    def _stride(self) -> int:
        return 1
