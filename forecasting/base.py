"""What every forecaster is: scikit-learn's contract on a one-dimensional series.

Hyper-parameters in `__init__` and stored unchanged, `fit` learns and returns self, learned names end in `_`, fitting
twice is fitting once. Series are float arrays in time order, one value a step; NaN is a gap and not a zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from forecasting.types import Array, Forecast


class Forecaster(Protocol):
    """Learns from a series and says what comes next."""

    def fit(self, y: ArrayLike, *, cutoff: float = 0.0) -> Self:
        """Learns from `y`, whose last value was observed at `cutoff`."""
        ...

    def update(self, y: ArrayLike) -> Self:
        """Appends new observations cheaply, without learning anew."""
        ...

    def predict(self, horizon: int, quantiles: Sequence[float]) -> Forecast:
        """The next `horizon` steps. Raises NotFittedError before `fit`."""
        ...


def checked_series(y: ArrayLike) -> Array:
    """`y` as a float array.

    Raises:
        ValueError: not one-dimensional, empty, infinite or negative.
    """
    series = np.asarray(y, dtype=np.float64)
    if series.ndim != 1 or series.size == 0:
        raise ValueError(f"y: has shape {series.shape}, must be one-dimensional and not empty")
    if np.isinf(series).any() or (series < 0.0).any():
        raise ValueError(
            "y: holds negative or infinite values, must be 0 or more; use NaN for a gap"
        )
    return series


def checked_quantiles(quantiles: Sequence[float]) -> tuple[float, ...]:
    """Ascending, each in (0, 1). Raises ValueError."""
    given = tuple(float(q) for q in quantiles)
    if not given or any(not 0.0 < q < 1.0 for q in given) or list(given) != sorted(given):
        raise ValueError(f"quantiles: are {given}, must be ascending and between 0 and 1")
    return given
