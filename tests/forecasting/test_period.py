"""What repeats is found, whatever its period; what does not is not."""

from __future__ import annotations

import numpy as np
import pytest

from forecasting import find_periods
from tests.forecasting.demand import DAY, daily, noise, with_surges


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        pytest.param(
            with_surges(noise(20.0, 2 * DAY), period=30, phase=4, height=200.0),
            (30,),
            id="every half hour, two days",
        ),
        pytest.param(
            with_surges(noise(2.0, 2 * DAY), period=37, phase=11, height=60.0),
            (37,),
            id="every 37 minutes",
        ),
        pytest.param(
            with_surges(np.zeros(3 * DAY), period=240, phase=17, height=60.0),
            (240,),
            id="every four hours, nothing else",
        ),
        pytest.param(noise(50.0, 2 * DAY), (), id="noise"),
        pytest.param(np.zeros(500), (), id="zeros"),
        pytest.param(np.array([4.0]), (), id="one point"),
    ],
)
def test_periods(y: np.ndarray, expected: tuple[int, ...]) -> None:
    assert find_periods(y, longest=DAY, most=1) == expected


def test_a_smooth_day_is_found_nearly() -> None:
    # At the flat top of a wave a few minutes more or less explain as much.
    (period,) = find_periods(daily(4), longest=2000, most=1)
    assert period == pytest.approx(DAY, rel=0.01)


def test_a_second_period_explains_what_the_first_leaves() -> None:
    y = with_surges(daily(5), period=30, phase=4, height=80.0)
    # The day holds 48 half hours, so that it explains both.
    assert find_periods(y, longest=DAY)[0] == DAY
    apart = with_surges(noise(20.0, 3 * DAY), period=30, phase=4, height=200.0)
    both = with_surges(apart, period=77, phase=20, height=150.0)
    assert set(find_periods(both, longest=DAY)) == {30, 77}
