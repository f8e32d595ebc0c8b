"""What several forecasters know together that each alone does not."""

from __future__ import annotations

import numpy as np

from forecasting import (
    DampedHoltForecaster,
    EnsembleForecaster,
    SeasonalNaiveForecaster,
    SpikeForecaster,
)
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
