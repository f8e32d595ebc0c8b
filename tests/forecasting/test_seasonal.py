"""The value of past cycles at the same phase."""

from __future__ import annotations

import numpy as np
import pytest

from forecasting import SeasonalNaiveForecaster
from tests.forecasting.demand import DAY, noise


def days(count: float) -> np.ndarray:
    """Ten, and two hundred in the third hour of each day."""
    minute = np.arange(round(count * DAY)) % DAY
    return np.where((minute >= 120) & (minute < 180), 200.0, 10.0)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param(0.5, 10.0, id="not even one cycle has passed: the last value"),
        pytest.param(1.08, 200.0, id="a day is supposed"),
        pytest.param(2.08, 200.0, id="of two and a bit"),
        pytest.param(3.08, 200.0, id="found"),
        pytest.param(6.08, 200.0, id="more than are counted"),
    ],
)
def test_the_same_time_of_the_day_before(known: float, expected: float) -> None:
    y = days(known)
    # At 1.08 days, 115 minutes past midnight, the third hour begins in five.
    told = SeasonalNaiveForecaster().fit(y).predict(10, (0.5,))
    assert told.values[9, 0] == pytest.approx(expected, rel=0.01)


def test_only_whole_cycles_tell_how_busy_the_last_was() -> None:
    # Just after the surge of the second day: a day and five eighths hold two surges, and the last day one.
    y = days(1.2)
    told = SeasonalNaiveForecaster().fit(y).predict(1, (0.5,))
    assert told.values[0, 0] == pytest.approx(10.0)
    inside = SeasonalNaiveForecaster().fit(y[: DAY + 150]).predict(1, (0.5,))
    assert inside.values[0, 0] == pytest.approx(200.0, rel=0.01)


def test_none_is_supposed_where_that_is_asked_for_or_where_three_have_been_seen() -> None:
    for model, y in (
        (SeasonalNaiveForecaster(usual=0), noise(50.0, 2 * DAY)),
        (SeasonalNaiveForecaster(), noise(50.0, 3 * DAY)),
    ):
        assert model.fit(y).periods_.tolist() == [0]
