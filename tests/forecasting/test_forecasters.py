"""The contract that every forecaster passes, and what the naive one says on series whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from forecasting.base import Forecaster
from forecasting.naive import NaiveForecaster
from forecasting.types import NotFittedError

QUANTILES = (0.1, 0.5, 0.95, 0.999)
FORECASTERS = [pytest.param(NaiveForecaster, id="naive")]


@pytest.fixture(params=FORECASTERS)
def forecaster(request: pytest.FixtureRequest) -> Forecaster:
    return request.param()  # type: ignore[no-any-return]


def noise(scale: float = 100.0) -> np.ndarray:
    return np.random.default_rng(5).poisson(scale, 600).astype(float)


def test_before_fit_it_says_so(forecaster: Forecaster) -> None:
    with pytest.raises(NotFittedError, match="call fit first"):
        forecaster.predict(1, QUANTILES)


def test_fit_returns_itself_and_twice_is_once(forecaster: Forecaster) -> None:
    assert forecaster.fit(noise()) is forecaster
    once = forecaster.predict(5, QUANTILES)
    twice = forecaster.fit(noise()).predict(5, QUANTILES)
    np.testing.assert_array_equal(once.values, twice.values)
    np.testing.assert_array_equal(once.maximum, twice.maximum)


@pytest.mark.parametrize(
    "series",
    [
        pytest.param(np.full(50, 7.0), id="constant"),
        pytest.param(np.zeros(50), id="all zero"),
        pytest.param(np.array([3.0]), id="one point"),
    ],
)
def test_series_without_news_forecast_themselves(
    forecaster: Forecaster, series: np.ndarray
) -> None:
    forecast = forecaster.fit(series).predict(3, QUANTILES)
    np.testing.assert_allclose(forecast.values, series[-1])
    np.testing.assert_allclose(forecast.maximum, series[-1])


def test_shapes_order_and_sign(forecaster: Forecaster) -> None:
    series = np.concatenate([noise(1.0), noise(300.0)])  # a leap in scale
    series[100:150] = np.nan
    forecast = forecaster.fit(series, cutoff=60.0).predict(6, QUANTILES)
    assert forecast.values.shape == forecast.maximum.shape == (6, 4)
    assert (forecast.cutoff, forecast.horizon) == (60.0, 6)
    assert (forecast.values >= 0.0).all()
    assert (np.diff(forecast.values, axis=1) >= 0.0).all()
    assert (np.diff(forecast.maximum, axis=0) >= 0.0).all()
    assert (forecast.maximum >= forecast.values).all()


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ([1.0, -1.0], "negative"),
        ([1.0, float("inf")], "infinite"),
        ([], "not empty"),
        ([[1.0]], "one-dimensional"),
    ],
)
def test_what_is_no_series_is_refused(
    forecaster: Forecaster, series: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        forecaster.fit(series)


@pytest.mark.parametrize("quantiles", [(), (0.0,), (1.0,), (0.9, 0.1)])
def test_what_is_no_quantile_is_refused(
    forecaster: Forecaster, quantiles: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="quantiles"):
        forecaster.fit(noise()).predict(1, quantiles)


def test_update_is_fit_on_the_whole(forecaster: Forecaster) -> None:
    series = noise()
    whole = forecaster.fit(series, cutoff=0.0).predict(3, QUANTILES)
    parts = forecaster.fit(series[:500], cutoff=-6000.0).update(series[500:]).predict(3, QUANTILES)
    np.testing.assert_allclose(parts.values, whole.values)
    assert parts.cutoff == whole.cutoff


def test_the_naive_quantile_covers_what_it_says() -> None:
    series = np.random.default_rng(6).poisson(100.0, 3000).astype(float)
    covered = [
        series[origin + 5]
        <= NaiveForecaster().fit(series[:origin]).predict(6, (0.95,)).values[5, 0]
        for origin in range(1500, 2900, 7)
    ]
    assert 0.92 <= np.mean(covered) <= 0.98


def test_the_naive_maximum_of_a_sawtooth_is_its_top() -> None:
    series = np.tile(np.arange(10.0), 60)
    forecast = NaiveForecaster().fit(series[:-9]).predict(9, (0.5,))
    # The last value is 0, and within nine steps it has always been 9.
    assert forecast.maximum[8, 0] >= 1.0
