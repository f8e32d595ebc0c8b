"""What several forecasters know together that each alone does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from forecasting import (
    DampedHoltForecaster,
    EnsembleForecaster,
    SeasonalNaiveForecaster,
    SpikeForecaster,
)
from forecasting.types import Array
from tests.forecasting.demand import DAY


def test_a_jump_at_the_full_hour_of_each_day_is_forecast_over_three_steps() -> None:
    """One origin in a day stands three steps before it; with every fifth judged, none did."""
    days, nine = 8, 9 * 60
    minute = np.arange(days * DAY)
    surge = (minute % DAY >= nine) & (minute % DAY < nine + 120)
    rng = np.random.default_rng(1)
    # One day is busier than another, so that within the hours the last value tells more than yesterday's.
    factor = 1.0 + 0.1 * rng.standard_normal(days)
    y = rng.poisson(np.where(surge, 9000.0, 900.0) * factor[minute // DAY]) / 60.0
    forecaster = EnsembleForecaster(
        experts=(SeasonalNaiveForecaster(), SpikeForecaster(), DampedHoltForecaster())
    )
    # Fitted at seven o'clock, the last minute told begins at 8:57.
    seven, told = (days - 1) * DAY + nine - 120, (days - 1) * DAY + nine - 2
    forecaster.fit(y[None, :seven]).update(y[None, seven:told])
    highest = forecaster.predict(3, (0.5, 0.95)).maximum[0]
    assert highest[0].max() < 30.0
    assert highest[2, 1] > 90.0


TWO = 120


def nights(days: int) -> Array:
    """Five a second, and a hundred from two o'clock to half past three."""
    minute = np.arange(days * DAY) % DAY
    high = (minute >= TWO) & (minute < TWO + 90)
    return np.random.default_rng(3).poisson(np.where(high, 6000.0, 300.0)) / 60.0


def quick(**given: Any) -> EnsembleForecaster:
    experts = (SeasonalNaiveForecaster(), SpikeForecaster(), DampedHoltForecaster())
    return EnsembleForecaster(experts=experts, **given)


@pytest.mark.parametrize(("ahead", "before"), [(3, 1), (5, 3), (10, 5), (15, 10)])
def test_what_came_on_two_nights_is_foretold_for_the_third(ahead: int, before: int) -> None:
    y = nights(3)
    forecaster = quick().fit(y[: 2 * DAY])
    # The last of so many minutes ahead is the first of the jump.
    told = forecaster.update(y[2 * DAY : 2 * DAY + TWO - ahead + 1]).predict(15, (0.5,))
    assert told.maximum[ahead - 1, 0] == pytest.approx(100.0, rel=0.1)
    assert told.maximum[before - 1, 0] < 10.0
    assert forecaster.skill().maximum[0, 0, 0] > 0.1


def test_also_where_a_model_from_the_first_day_is_fitted_again_after_the_second() -> None:
    y = nights(3)
    forecaster = quick(warm_start=True).fit(y[:DAY])
    for minute in range(DAY, 2 * DAY):
        forecaster.predict(5, (0.5,))
        forecaster.update(y[minute : minute + 1])
    forecaster.fit(y[: 2 * DAY]).update(y[2 * DAY : 2 * DAY + TWO - 2])
    assert forecaster.predict(3, (0.5,)).maximum[2, 0] == pytest.approx(100.0, rel=0.1)


def test_what_came_on_one_night_only_is_not() -> None:
    y = nights(2)
    forecaster = quick().fit(y[:DAY]).update(y[DAY : DAY + TWO - 2])
    assert forecaster.predict(3, (0.5,)).maximum[2, 0] < 10.0
