"""Demand shapes against values that can be read off their definitions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from autoscaler.simulation.shapes import (
    Shape,
    constant,
    diurnal,
    flash_crowd,
    noise,
    ramp,
    spikes,
    steps,
)

HOUR_S = 3600.0
DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("shape", "t_s", "expected"),
    [
        pytest.param(constant(7.0), 123.0, 7.0, id="constant"),
        pytest.param(steps((10.0, 5.0), (20.0, 40.0)), 9.9, 0.0, id="before the first step"),
        pytest.param(
            steps((10.0, 5.0), (20.0, 40.0)), 10.0, 5.0, id="a step holds from its time on"
        ),
        pytest.param(steps((10.0, 5.0), (20.0, 40.0)), 19.9, 5.0, id="until the next"),
        pytest.param(steps((10.0, 5.0), (20.0, 40.0)), 99.0, 40.0, id="the last step stays"),
        pytest.param(ramp((0.0, 10.0), (100.0, 30.0)), 25.0, 15.0, id="on the ramp"),
        pytest.param(ramp((0.0, 10.0), (100.0, 30.0)), 200.0, 30.0, id="after the ramp"),
        pytest.param(
            spikes(rate_rps=50, every_s=3600, length_s=30, offset_s=60), 59.0, 0.0, id="early"
        ),
        pytest.param(
            spikes(rate_rps=50, every_s=3600, length_s=30, offset_s=60), 60.0, 50.0, id="on"
        ),
        pytest.param(
            spikes(rate_rps=50, every_s=3600, length_s=30, offset_s=60), 90.0, 0.0, id="over"
        ),
        pytest.param(
            spikes(rate_rps=50, every_s=3600, length_s=30, offset_s=60), 3665.0, 50.0, id="again"
        ),
        pytest.param(flash_crowd(at_s=100, peak_ratio=5, rise_s=60), 99.0, 1.0, id="no crowd yet"),
        pytest.param(flash_crowd(at_s=100, peak_ratio=5, rise_s=60), 130.0, 3.0, id="half up"),
        pytest.param(flash_crowd(at_s=100, peak_ratio=5, rise_s=60), 160.0, 5.0, id="peak"),
        pytest.param(
            flash_crowd(at_s=100, peak_ratio=5, rise_s=60, hold_s=40), 199.0, 5.0, id="held"
        ),
        pytest.param(
            flash_crowd(at_s=100, peak_ratio=5, rise_s=60, decay_s=300),
            460.0,
            1 + 4 / math.e,
            id="decays",
        ),
        pytest.param(flash_crowd(at_s=100, peak_ratio=5, rise_s=0), 100.0, 5.0, id="at once"),
        pytest.param(
            diurnal(low_rps=20, high_rps=200), 10.5 * HOUR_S, 200.0, id="the morning's peak"
        ),
        pytest.param(
            diurnal(low_rps=20, high_rps=200), 20 * HOUR_S, 164.0, id="the evening's, 80 % up"
        ),
        pytest.param(
            diurnal(low_rps=20, high_rps=200, weekend_ratio=0.5),
            5 * DAY_S + 10.5 * HOUR_S,
            100.0,
            id="Saturday",
        ),
        pytest.param(
            diurnal(low_rps=20, high_rps=200, weekend_ratio=0.5),
            7 * DAY_S + 10.5 * HOUR_S,
            200.0,
            id="Monday",
        ),
        pytest.param(constant(3.0) + constant(4.0), 0.0, 7.0, id="sum"),
        pytest.param(constant(3.0) * constant(4.0), 0.0, 12.0, id="product"),
        pytest.param(2.0 * constant(3.0), 0.0, 6.0, id="multiple"),
    ],
)
def test_value(shape: Shape, t_s: float, expected: float) -> None:
    assert shape(t_s) == pytest.approx(expected, abs=1e-3)


def test_a_day_joins_the_next_and_rests_at_night() -> None:
    day = diurnal(low_rps=20, high_rps=200, evening_h=22.0)
    assert day(DAY_S - 0.001) == pytest.approx(day(DAY_S), rel=1e-5)
    assert day(4 * HOUR_S) < 40.0


def test_samples_are_the_middles_of_the_steps() -> None:
    assert ramp((0.0, 0.0), (10.0, 10.0)).sample(3.0).tolist() == [0.5, 1.5, 2.5]
    assert ramp((0.0, 0.0), (10.0, 10.0)).sample(2.0, start_s=4.0, step_s=2.0).tolist() == [5.0]
    assert constant(1.0).sample(2.5).size == 3
    assert constant(1.0).sample(0.0).size == 0


def test_noise_has_its_mean_and_spread_and_depends_on_the_time_alone() -> None:
    factor = noise(cv=0.3, seed=5, every_s=10.0)
    knots = np.array([factor(t_s) for t_s in range(0, 100_000, 10)])
    assert knots.mean() == pytest.approx(1.0, abs=0.01)
    assert knots.std() == pytest.approx(0.3, abs=0.015)
    assert abs(np.corrcoef(knots[:-1], knots[1:])[0, 1]) < 0.03
    assert factor(5.0) == pytest.approx((knots[0] + knots[1]) / 2)
    assert noise(cv=0.3, seed=5, every_s=10.0)(123.0) == factor(123.0)
    assert noise(cv=0.3, seed=6, every_s=10.0)(123.0) != factor(123.0)
    assert noise(cv=0.0, seed=5)(77.0) == 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: constant(-1.0), "rate_rps: -1.0, 0.0 or more"),
        (lambda: steps(), "steps: no points"),
        (lambda: steps((1.0, 1.0), (1.0, 2.0)), "steps: times"),
        (lambda: ramp((0.0, float("nan"))), "ramp: rates"),
        (lambda: diurnal(low_rps=10, high_rps=5), "high_rps: 5, 10 or more"),
        (lambda: spikes(rate_rps=1, every_s=10, length_s=20), "every_s: 10, 20 or more"),
        (lambda: flash_crowd(at_s=0, peak_ratio=0.5), "peak_ratio: 0.5, 1.0 or more"),
        (lambda: noise(cv=0.1, seed=-1), "seed: -1, 0 or more"),
        (lambda: -1.0 * constant(1.0), "factor: -1.0, 0.0 or more"),
        (lambda: constant(1.0).sample(10.0, step_s=0.0), "step_s: 0.0, more than 0"),
    ],
)
def test_what_can_not_be_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
