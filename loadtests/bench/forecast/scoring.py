"""Scores of issued forecasts, as `protocol` defines them. Pure functions of arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.types import Array
from loadtests.bench.forecast.protocol import (
    DAY,
    EVERY,
    HORIZONS,
    QUANTILES,
    WINDOWS,
    Issued,
    Origins,
    origins,
)

TIE = 1e-9
MAXIMUM_QUANTILES = (0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Of one method on one series. Ratios are to naive's; below 1 is better."""

    mae: dict[int, float]
    """By horizon."""
    pinball_95: dict[int, float]
    coverage_95: dict[int, float]
    max_pinball: dict[tuple[float, int], float]
    """By quantile and window."""
    relative_error: dict[int, float]
    """sum|y - median| / sum|y|, by horizon."""


def score(issued: Issued, y: Array) -> Scores:
    """Scores of `issued` on the test of `y`, shape (minutes,)."""
    at = origins(y.size)
    last = y[at - 1]
    median, upper = QUANTILES.index(0.5), QUANTILES.index(0.95)
    mae, pinball_95, coverage_95, max_pinball, relative_error = {}, {}, {}, {}, {}
    for row, ahead in enumerate(HORIZONS):
        actual = y[at + ahead - 1]
        naive = naive_quantiles(y, at, ahead, 0.95)
        middle = _or_naive(issued.values[:, row, median], last)
        high = _or_naive(issued.values[:, row, upper], naive)
        error, naive_error = np.abs(actual - middle), np.abs(actual - last)
        mae[ahead] = ratio(error.mean(), naive_error.mean())
        relative_error[ahead] = ratio(error.sum(), actual.sum())
        pinball_95[ahead] = ratio(
            pinball(actual, high, 0.95).mean(), pinball(actual, naive, 0.95).mean()
        )
        coverage_95[ahead] = coverage(actual, high, 0.95)
    for row, ahead in enumerate(WINDOWS):
        actual = highest(y, at, ahead)
        for quantile in MAXIMUM_QUANTILES:
            naive = naive_quantiles(y, at, ahead, quantile, of_maximum=True)
            high = _or_naive(issued.maximum[:, row, QUANTILES.index(quantile)], naive)
            max_pinball[quantile, ahead] = ratio(
                pinball(actual, high, quantile).mean(), pinball(actual, naive, quantile).mean()
            )
    return Scores(
        mae=mae,
        pinball_95=pinball_95,
        coverage_95=coverage_95,
        max_pinball=max_pinball,
        relative_error=relative_error,
    )


def naive_quantiles(
    y: Array, at: Origins, ahead: int, quantile: float, *, of_maximum: bool = False
) -> Array:
    """Naive's quantile of the value `ahead` minutes on, or of the highest up to there, at each origin of `at`."""
    return np.array(
        [_naive_quantile(y, origin, ahead, quantile, of_maximum) for origin in at.tolist()]
    )


def _naive_quantile(y: Array, origin: int, ahead: int, quantile: float, of_maximum: bool) -> float:
    # Every 7 minutes back from here for a day; the outcome of the latest is the last value that is known.
    past = np.arange(origin - EVERY, max(origin - DAY, 1) - 1, -EVERY)
    past = past[past + ahead <= origin]
    outcomes = highest(y, past, ahead) if of_maximum else y[past + ahead - 1]
    scaled = (outcomes - y[past - 1]) / np.sqrt(np.maximum(y[past - 1], 1.0))
    spread = np.quantile(scaled, min(1.0, (1.0 + 1.0 / scaled.size) * quantile))
    last = y[origin - 1]
    return float(last + spread * math.sqrt(max(last, 1.0)))


def highest(y: Array, at: Origins, window: int) -> Array:
    """The highest of the `window` values after each origin."""
    return np.asarray(np.lib.stride_tricks.sliding_window_view(y, window)[at].max(axis=1))


def pinball(actual: Array, forecast: Array, quantile: float) -> Array:
    """Loss of a quantile: `quantile` for each unit too low, 1 - `quantile` for each too high."""
    over = actual - forecast
    return np.asarray(np.maximum(quantile * over, (quantile - 1.0) * over))


def coverage(actual: Array, forecast: Array, quantile: float) -> float:
    """Share of values below their quantile; one that equals it counts as `quantile`."""
    tied = np.isclose(actual, forecast, rtol=TIE, atol=TIE)
    return float(np.where(tied, quantile, actual < forecast).mean())


def ratio(part: float, whole: float) -> float:
    """1 where both are 0: as good as naive, which was perfect."""
    if whole > 0.0:
        return float(part / whole)
    return math.inf if part > 0.0 else 1.0


def geometric_mean(values: Iterable[float]) -> float:
    """0 if one is 0."""
    logarithms = [math.log(value) if value > 0.0 else -math.inf for value in values]
    return math.exp(sum(logarithms) / len(logarithms))


def worse_than_naive(scores: Sequence[Scores], *, from_horizon: int = 3) -> int:
    """How many series have a ratio above 1 in either score at that horizon or beyond."""
    return sum(
        any(
            max(one.mae[ahead], one.pinball_95[ahead]) > 1.0
            for ahead in HORIZONS
            if ahead >= from_horizon
        )
        for one in scores
    )


def _or_naive(issued: Array, naive: Array) -> Array:
    return np.where(np.isnan(issued), naive, issued)
