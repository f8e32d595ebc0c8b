"""The field's methods, as statsforecast has them, behind the same contract as ours.

The same for every series, and nothing else is set:

- fitted once a day on the last two days;
- one season for all: that of 5, 10, 15, 30 and 60 minutes at which the minute-to-minute changes of those two days
  correlate most with themselves, none where that is below 0.1;
- AutoARIMA searches orders up to (3, 1, 3)(1, 1, 1) with at most 5 coefficients and 20 models, compared by their
  conditional sum of squares (`approximation`), the chosen one fitted by maximum likelihood;
- AutoETS chooses among its models, Theta is the dynamic optimised one, Holt-Winters is additive (Holt where there is no
  season);
- at an origin the fitted parameters are applied to the data from the start of those two days up to the origin
  (`forward`, which is `predict` where no data is new);
- median: the mean forecast; quantiles 0.9, 0.95 and 0.99: upper ends of the prediction intervals of 80, 90 and 98 %.
  Below 0 is 0;
- none of them has a distribution of the highest value: its quantile is the highest of the steps' quantiles.

A fit or a forecast that fails, or is not finite, is counted and answered by naive.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from forecasting.types import Array, Forecast
from loadtests.bench.forecast.protocol import DAY, QUANTILES, STEP_S

SEASONS = (5, 10, 15, 30, 60)
LEAST_AUTOCORRELATION = 0.1
LEVELS = (80, 90, 98)
"""Of intervals, in percent: their upper ends are the quantiles after the median."""


def season_of(y: Array) -> int:
    """The season in minutes; 1: none."""
    changes = np.diff(y)
    changes = changes - changes.mean()
    power = float(changes @ changes)
    if power == 0.0:
        return 1
    found = {lag: float(changes[lag:] @ changes[:-lag]) / power for lag in SEASONS}
    best = max(found, key=lambda lag: found[lag])
    return best if found[best] >= LEAST_AUTOCORRELATION else 1


def _auto_arima(season: int) -> Any:
    from statsforecast.models import AutoARIMA

    return AutoARIMA(
        season_length=season,
        max_p=3,
        max_q=3,
        max_P=1,
        max_Q=1,
        max_d=1,
        max_D=1,
        max_order=5,
        nmodels=20,
        approximation=True,
    )


def _auto_ets(season: int) -> Any:
    from statsforecast.models import AutoETS

    return AutoETS(season_length=season)


def _theta(season: int) -> Any:
    from statsforecast.models import DynamicOptimizedTheta

    return DynamicOptimizedTheta(season_length=season)


def _holt_winters(season: int) -> Any:
    from statsforecast.models import Holt, HoltWinters

    return Holt() if season == 1 else HoltWinters(season_length=season)


PEERS: dict[str, Callable[[int], Any]] = {
    "AutoARIMA": _auto_arima,
    "Theta": _theta,
    "AutoETS": _auto_ets,
    "Holt-Winters": _holt_winters,
}
"""By the time they take, longest first."""


class Peer:
    """One of `PEERS` as a forecaster."""

    def __init__(self, name: str) -> None:
        self.name = name

    def fit(self, y: ArrayLike, *, cutoff: float = 0.0) -> Self:
        """Learns from the last two days of `y`."""
        self.history_: Array = np.asarray(y, dtype=np.float64)[-2 * DAY :]
        self.cutoff_ = cutoff
        self.failed_fits_: int = getattr(self, "failed_fits_", 0)
        self.model_: Any = PEERS[self.name](season_of(self.history_))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.model_.fit(self.history_)
        except Exception:  # noqa: BLE001 - whatever a peer raises is a failed fit, and is counted
            self.model_ = None
            self.failed_fits_ += 1
        return self

    def update(self, y: ArrayLike) -> Self:
        """Appends."""
        new = np.asarray(y, dtype=np.float64)
        self.history_ = np.concatenate([self.history_, new])
        self.cutoff_ += STEP_S * new.size
        return self

    def predict(self, horizon: int, quantiles: Sequence[float]) -> Forecast:
        """NaN where the method has no answer.

        Raises:
            ValueError: other quantiles than the protocol's.
        """
        if tuple(quantiles) != QUANTILES:
            raise ValueError(f"quantiles: are {tuple(quantiles)}, must be {QUANTILES}")
        values = self._quantiles(horizon)
        return Forecast(
            cutoff=self.cutoff_,
            step=STEP_S,
            quantiles=QUANTILES,
            values=values,
            maximum=np.maximum.accumulate(values, axis=0),
        )

    def _quantiles(self, horizon: int) -> Array:
        nothing = np.full((horizon, len(QUANTILES)), np.nan)
        if self.model_ is None:
            return nothing
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = self.model_.forward(self.history_, h=horizon, level=list(LEVELS))
        except Exception:  # noqa: BLE001 - as above: no answer, which the protocol counts
            return nothing
        columns = [found["mean"], *(found[f"hi-{level}"] for level in LEVELS)]
        values = np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])
        return np.maximum(values, 0.0) if np.isfinite(values).all() else nothing
