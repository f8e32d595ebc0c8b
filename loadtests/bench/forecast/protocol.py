"""The protocol of `make bench-forecast`: what a forecaster is given, when, and what it must answer.

- The last 3 days of a series are its test. Every 7 minutes is an origin: the first is the end of what lies before the
  test, the last is 15 minutes before the end, so that every outcome is known.
- At an origin a forecaster has seen the values up to it and none after it. It is fitted at the first origin on all that
  lies before, and again at the first origin of every further 24 hours; between, values are appended with `update`.
- It answers quantiles 0.5, 0.9, 0.95 and 0.99 of the value 1, 3, 5, 10 and 15 minutes ahead, and of the highest value
  of the next 5, 10 and 15 minutes.
- Every score is the mean over the origins, divided by that of the naive forecast on the same origins: mean absolute
  error of the median (naive: the last value f), pinball loss at 0.95 and, for the highest value, at 0.9, 0.95 and 0.99.
- Naive's quantile q is f + Q * sqrt(max(f, 1)), with Q the (1 + 1/n) * q quantile of its n errors
  (y - f) / sqrt(max(f, 1)) at the origins of the last day (1,440 minutes, every 7 minutes) whose outcome is known;
  for the highest value, y is the highest value.
- Coverage of the 0.95 quantile is the share of values below it; a value that equals it (to 1e-9 of its size) counts as
  0.95 of one, so that a forecast that is certain and right covers 0.95 and no chance enters.
- Means over series are geometric. The four columns that are nearly all zeros enter none: of those the relative error
  sum|y - median| / sum|y| is told one by one.

Nothing here can be set for a series: there are constants, and they are the same for all. Of the traces, design choices
are made on f_2aec, f_704b, nasa_http_jul95 and servegen_m-large_synth1min; the others are only reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasting.base import Forecaster
from forecasting.types import Array

STEP_S = 60.0
DAY = 1440
"""Minutes, as all lengths here."""
TEST = 3 * DAY
EVERY = 7
HORIZONS = (1, 3, 5, 10, 15)
WINDOWS = (5, 10, 15)
QUANTILES = (0.5, 0.9, 0.95, 0.99)
LONGEST = max(*HORIZONS, *WINDOWS)

Origins = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """What a method answered at every origin of a series. NaN: it had no answer, and naive's counts in its place."""

    values: Array
    """Shape (origins, horizons, quantiles)."""
    maximum: Array
    """Shape (origins, windows, quantiles)."""
    failed_fits: int = 0
    unanswered: int = 0
    """Origins."""


def origins(minutes: int) -> Origins:
    """Number of values known at each origin of a series of `minutes`.

    Raises:
        ValueError: less than two days are left before the test.
    """
    if minutes < TEST + 2 * DAY:
        raise ValueError(f"series: has {minutes} minutes, must have {TEST + 2 * DAY} or more")
    return np.arange(minutes - TEST, minutes - LONGEST + 1, EVERY)


def issue(make: Callable[[], Forecaster], y: Array) -> Issued:
    """Leads one forecaster through the test of `y`, shape (minutes,)."""
    forecaster = make()
    known = 0
    fitted = -DAY
    values, maximum = [], []
    at = origins(y.size)
    for origin in at.tolist():
        if known:
            forecaster.update(y[known:origin].copy())
        if origin - fitted >= DAY:
            forecaster.fit(y[:origin].copy(), cutoff=STEP_S * (origin - 1))
            fitted = origin
        known = origin
        forecast = forecaster.predict(LONGEST, QUANTILES)
        values.append(_rows(forecast.values, HORIZONS))
        maximum.append(_rows(forecast.maximum, WINDOWS))
    issued_values, issued_maximum = np.array(values), np.array(maximum)
    return Issued(
        values=issued_values,
        maximum=issued_maximum,
        failed_fits=int(getattr(forecaster, "failed_fits_", 0)),
        unanswered=int(np.isnan(issued_values).any(axis=(1, 2)).sum()),
    )


def _rows(given: Array, ahead: Sequence[int]) -> Array:
    return np.take(given, [step - 1 for step in ahead], axis=0)
