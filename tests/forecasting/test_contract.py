"""The contract that every forecaster passes, and what it says on series whose answer is known."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

import forecasting
from forecasting import (
    BoostedForecaster,
    DampedHoltForecaster,
    EnsembleForecaster,
    Event,
    Forecaster,
    NaiveForecaster,
    NotFittedError,
    PooledForecaster,
    SeasonalNaiveForecaster,
    SpikeForecaster,
)
from forecasting.base import BaseForecaster
from forecasting.holt import FEW_SERIES
from tests.forecasting.demand import daily, noise, with_surges

QUANTILES = (0.1, 0.5, 0.95, 0.999)
SMALL = {"steps": (1, 6), "levels": (0.5, 0.95)}


def boosted(**params: object) -> BoostedForecaster:
    return BoostedForecaster(trees=15, **SMALL, **params)  # type: ignore[arg-type]


def pooled() -> PooledForecaster:
    return PooledForecaster(rows=3000, trees=15, **SMALL)  # type: ignore[arg-type]


def ensemble() -> EnsembleForecaster:
    return EnsembleForecaster(
        experts=(SeasonalNaiveForecaster(longest=400), DampedHoltForecaster(), boosted()),
        holdout=200,
        **SMALL,  # type: ignore[arg-type]
    )


MAKERS: dict[str, Callable[[], BaseForecaster]] = {
    "naive": NaiveForecaster,
    "seasonal": SeasonalNaiveForecaster,
    "spikes": SpikeForecaster,
    "holt": DampedHoltForecaster,
    "boosted": boosted,
    "boosted on linear": lambda: boosted(linear_first=True),
    "pooled": pooled,
    "ensemble": ensemble,
}
# The naive one is the yardstick and counts in units: its errors are scaled by sqrt(max(f, 1)).
SCALING = [name for name in MAKERS if name != "naive"]


@pytest.fixture(params=MAKERS)
def forecaster(request: pytest.FixtureRequest) -> BaseForecaster:
    return MAKERS[request.param]()


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Callable[[], BaseForecaster]:
    return MAKERS[request.param]


def test_every_forecaster_of_the_library_is_held_to_the_contract() -> None:
    names = [name for name in forecasting.__all__ if name.endswith("Forecaster")]
    exported = {getattr(forecasting, name) for name in names} - {Forecaster}
    assert exported == {type(make()) for make in MAKERS.values()}


def test_before_fit_it_says_so(forecaster: BaseForecaster) -> None:
    with pytest.raises(NotFittedError, match="call fit first"):
        forecaster.predict(1, QUANTILES)
    with pytest.raises(NotFittedError, match="call fit first"):
        forecaster.update([1.0])


def test_parameters_are_kept_as_given_and_named_when_wrong(forecaster: BaseForecaster) -> None:
    given = forecaster.get_params()
    assert forecaster.fit(noise()).get_params() == given
    with pytest.raises(ValueError, match="has no parameter 'colour', has "):
        forecaster.set_params(colour="red")


def test_fit_returns_itself_and_twice_is_once(make: Callable[[], BaseForecaster]) -> None:
    forecaster = make()
    assert forecaster.fit(noise()) is forecaster
    once = forecaster.predict(5, QUANTILES)
    twice = forecaster.fit(noise()).predict(5, QUANTILES)
    anew = make().fit(noise()).predict(5, QUANTILES)
    for other in (twice, anew):
        np.testing.assert_array_equal(once.values, other.values)
        np.testing.assert_array_equal(once.maximum, other.maximum)


@pytest.mark.parametrize(
    "series",
    [
        pytest.param(np.full(900, 7.0), id="constant"),
        pytest.param(np.zeros(900), id="all zero"),
        pytest.param(np.array([3.0]), id="one point"),
        pytest.param(np.array([np.nan, 4.0, np.nan]), id="one known point"),
    ],
)
def test_series_without_news_forecast_themselves(
    forecaster: BaseForecaster, series: np.ndarray
) -> None:
    forecast = forecaster.fit(series).predict(3, QUANTILES)
    last = series[~np.isnan(series)][-1]
    np.testing.assert_allclose(forecast.values, last, atol=1e-9)
    np.testing.assert_allclose(forecast.maximum, last, atol=1e-9)


@pytest.mark.parametrize("steps", [10, 900])
def test_nothing_known_is_zero_and_not_an_error(forecaster: BaseForecaster, steps: int) -> None:
    forecast = forecaster.fit(np.full(steps, np.nan)).predict(2, QUANTILES)
    np.testing.assert_array_equal(forecast.values, 0.0)


def test_shapes_order_and_sign(forecaster: BaseForecaster) -> None:
    series = np.concatenate([noise(1.0, 900), noise(300.0, 900)])  # a leap in scale
    series[100:150] = np.nan
    forecast = forecaster.fit(series, cutoff=60.0).predict(6, QUANTILES)
    assert forecast.values.shape == forecast.maximum.shape == (6, 4)
    assert (forecast.cutoff, forecast.horizon) == (60.0, 6)
    assert (forecast.values >= 0.0).all()
    assert (np.diff(forecast.values, axis=1) >= 0.0).all()
    assert (np.diff(forecast.maximum, axis=1) >= 0.0).all()
    assert (np.diff(forecast.maximum, axis=0) >= 0.0).all()
    assert (forecast.maximum >= forecast.values).all()


def test_many_series_are_forecast_side_by_side(make: Callable[[], BaseForecaster]) -> None:
    together = make().fit(np.stack([noise(50.0, 700), noise(5.0, 700)]), cutoff=6000.0)
    forecast = together.update(np.array([[60.0], [4.0]])).predict(4, QUANTILES)
    assert forecast.values.shape == (2, 4, 4)
    assert forecast.cutoff == 6060.0
    assert forecast.values[0, 0, 1] > 3.0 * forecast.values[1, 0, 1]


@pytest.mark.parametrize("name", [n for n in MAKERS if n != "pooled"])
def test_a_series_is_not_moved_by_its_neighbours(name: str) -> None:
    alone = MAKERS[name]().fit(noise(50.0, 700)).predict(4, QUANTILES)
    beside = MAKERS[name]().fit(np.stack([noise(50.0, 700), noise(5.0, 700, seed=9)]))
    np.testing.assert_allclose(beside.predict(4, QUANTILES).values[0], alone.values)


@pytest.mark.parametrize("name", SCALING)
def test_forecasts_scale_with_demand(name: str) -> None:
    one = MAKERS[name]().fit(daily(0.7)).predict(6, QUANTILES)
    thousand = MAKERS[name]().fit(1024.0 * daily(0.7)).predict(6, QUANTILES)
    np.testing.assert_allclose(thousand.values, 1024.0 * one.values, rtol=1e-6)


def test_the_same_series_at_another_time_is_forecast_alike(
    make: Callable[[], BaseForecaster],
) -> None:
    # Weeks apart, so that the calendar says the same.
    now = make().fit(daily(0.7), cutoff=0.0).predict(6, QUANTILES)
    later = make().fit(daily(0.7), cutoff=4.0 * 7 * 86400.0).predict(6, QUANTILES)
    np.testing.assert_array_equal(now.values, later.values)


def test_nothing_after_the_origin_counts(make: Callable[[], BaseForecaster]) -> None:
    forecaster = make().fit(daily(0.7))
    history = forecaster.history_
    origins = np.array([500, 640])
    before = forecaster._quantiles(history, origins, (1, 6), (0.5, 0.95))
    history._values[:, 641:] = 1e6
    after = forecaster._quantiles(history, origins, (1, 6), (0.5, 0.95))
    np.testing.assert_array_equal(before.values, after.values)
    np.testing.assert_array_equal(before.maximum, after.maximum)


def test_updates_are_followed(forecaster: BaseForecaster) -> None:
    forecaster.fit(noise(20.0, 900))
    for minute in np.array_split(np.full(60, 200.0), 12):
        forecaster.update(minute)
    assert forecaster.predict(1, (0.5, 0.95)).values[0, 1] > 100.0


def test_saved_and_restored_it_says_the_same(make: Callable[[], BaseForecaster]) -> None:
    forecaster = make().fit(noise(50.0, 700), cutoff=6000.0)
    forecaster.predict(3, (0.5,))
    told = forecaster.predict(4, QUANTILES)
    saved = json.loads(json.dumps(forecaster.state()))
    restored = make().restore(saved, noise(50.0, 700)).predict(4, QUANTILES)
    np.testing.assert_array_equal(told.values, restored.values)
    with pytest.raises(ValueError, match="saved with another history"):
        make().restore(saved, noise(50.0, 700, seed=6))
    with pytest.raises(ValueError, match="version is 99, must be 1"):
        make().restore({**saved, "version": 99}, noise(50.0, 700))


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ([1.0, -1.0], r"y\[1\]: is -1, must be 0 or more"),
        ([1.0, 2.0, float("inf")], r"y\[2\]: is inf, must be 0 or more and finite"),
        ([], "not empty"),
        ([[[1.0]]], r"has shape \(1, 1, 1\)"),
        ([[1.0, 2.0], [3.0, -4.0]], r"y\[\(1, 1\)\]: is -4"),
    ],
)
def test_what_is_no_series_is_refused_and_nothing_is_learned(
    forecaster: BaseForecaster, series: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        forecaster.fit(series)
    with pytest.raises(NotFittedError):
        forecaster.predict(1, QUANTILES)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0.0, 60.0], r"times: have shape \(2,\), must be \(3,\)"),
        ([0.0, 60.0, 180.0], r"times\[2\]: is 180 after 60, a wrong step: must be 60 later"),
        ([0.0, 60.0, 30.0], r"times\[2\]: is 30 after 60, going back"),
        ([0.0, 60.0, 60.0], r"times\[2\]: is 60 after 60, going back"),
        ([0.0, float("nan"), 120.0], r"times\[1\]: is nan, must be finite"),
    ],
)
def test_times_must_be_steps(forecaster: BaseForecaster, times: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forecaster.fit([1.0, 2.0, 3.0], times=times)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([120.0], r"times\[0\]: is 120, going back: must be 180"),
        ([240.0], r"times\[0\]: is 240, not the next step: must be 180"),
    ],
)
def test_an_update_must_be_the_next_step(
    forecaster: BaseForecaster, times: list[float], message: str
) -> None:
    forecaster.fit([1.0, 2.0, 3.0], times=[0.0, 60.0, 120.0])
    with pytest.raises(ValueError, match=message):
        forecaster.update([5.0], times=times)
    assert forecaster.predict(1, (0.5,)).cutoff == 120.0


def test_an_update_must_have_the_shape_of_the_fit(forecaster: BaseForecaster) -> None:
    forecaster.fit(noise(5.0, 20))
    with pytest.raises(ValueError, match=r"must be \(steps,\) as in fit"):
        forecaster.update([[1.0], [2.0]])


@pytest.mark.parametrize(
    ("horizon", "quantiles", "message"),
    [
        (0, (0.5,), "horizon: is 0, must be 1 or more"),
        (2, (), "quantiles: are"),
        (2, (0.9, 0.5), "must be ascending"),
        (2, (1.0,), "between 0 and 1"),
    ],
)
def test_what_can_not_be_asked(
    forecaster: BaseForecaster, horizon: int, quantiles: tuple[float, ...], message: str
) -> None:
    forecaster.fit(noise(5.0, 30))
    with pytest.raises(ValueError, match=message):
        forecaster.predict(horizon, quantiles)


@pytest.mark.parametrize("name", ["boosted", "pooled", "ensemble"])
def test_models_trained_for_steps_say_how_far_they_see(name: str) -> None:
    forecaster = MAKERS[name]().fit(noise())
    with pytest.raises(ValueError, match="horizon: is 7, must be at most 6"):
        forecaster.predict(7, (0.5,))


@pytest.mark.parametrize("name", ["boosted", "pooled"])
def test_events_known_ahead_are_learned(name: str) -> None:
    # Demand trebles for ten minutes at times that follow no period; a schedule tells them.
    rng = np.random.default_rng(3)
    starts = np.cumsum(rng.integers(25, 90, 40))
    starts = starts[starts < 1500]
    y = noise(50.0, 1520, seed=4)
    for start in starts:
        y[start : start + 10] *= 3.0
    cutoff = 60.0 * (len(y) - 1)
    events = [Event(60.0 * s, 60.0 * (s + 10)) for s in starts]
    soon = Event(cutoff + 60.0, cutoff + 660.0)
    without = MAKERS[name]().fit(y, cutoff=cutoff, events=events).predict(6, (0.5,))
    told = MAKERS[name]().fit(y, cutoff=cutoff, events=[*events, soon]).predict(6, (0.5,))
    assert told.values[5, 0] > 1.8 * without.values[5, 0]


def test_surges_on_a_schedule_are_seen_coming() -> None:
    # Four minutes past every half hour, from two days.
    y = with_surges(noise(20.0, 2 * 1440), period=30, phase=4, height=200.0)
    forecast = SpikeForecaster().fit(y[: 2 * 1440 - 30]).predict(10, (0.5,))
    # The last value stands at minute 29 of the half hour: the surge is five steps ahead.
    assert forecast.values[4, 0] > 150.0
    assert forecast.values[2, 0] < 40.0
    assert forecast.maximum[9, 0] > 150.0


def test_few_series_are_smoothed_as_many_are() -> None:
    """Plain numbers and arrays give the same bits."""
    y = np.stack([daily(1, seed=seed) for seed in range(FEW_SERIES + 1)])
    many, few = DampedHoltForecaster().fit(y), DampedHoltForecaster().fit(y[:2])
    assert np.array_equal(
        many.predict(30, (0.5, 0.95)).maximum[:2], few.predict(30, (0.5, 0.95)).maximum
    )
