"""How forecasts are scored, with numbers that can be checked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadtests.bench.forecast import scoring
from loadtests.bench.forecast.protocol import HORIZONS, QUANTILES, WINDOWS, Issued, origins

NOW = np.array([22])
"""22 values are known: y[21] is the last. Earlier origins: 15, 8 and 1, with last values y[14], y[7] and y[0]."""


def _known(values: dict[int, float]) -> np.ndarray:
    y = np.zeros(22)
    for minute, value in values.items():
        y[minute] = value
    return y


# Scaled errors (8 - 4)/2 = 2, (12 - 9)/3 = 1 and (3 - 0)/1 = 3; the last value is 16, its root 4.
ONE_AHEAD = _known({14: 4.0, 15: 8.0, 7: 9.0, 8: 12.0, 0: 0.0, 1: 3.0, 21: 16.0})


@pytest.mark.parametrize(
    ("quantile", "expected"),
    [
        # 4/3 * 0.5 = 2/3 of the way from 1 to 3: 7/3.
        pytest.param(0.5, 16.0 + 4.0 * 7.0 / 3.0, id="the rank is (1 + 1/n) times the quantile"),
        pytest.param(0.95, 16.0 + 4.0 * 3.0, id="a rank above 1 is the largest error"),
    ],
)
def test_naive_quantile(quantile: float, expected: float) -> None:
    (found,) = scoring.naive_quantiles(ONE_AHEAD, NOW, 1, quantile)
    assert found == pytest.approx(expected)


def test_naive_knows_no_outcome_that_lies_ahead() -> None:
    # Ten after origin 15 is y[24], not known yet; after 8 it is y[17], after 1 it is y[10].
    y = _known({7: 4.0, 17: 6.0, 0: 1.0, 10: 5.0, 14: 100.0, 21: 9.0})
    (found,) = scoring.naive_quantiles(y, NOW, 10, 0.99)
    assert found == pytest.approx(9.0 + 3.0 * 4.0)


def test_naive_highest_value_is_over_the_whole_window() -> None:
    # Of the five after origin 15: y[15] to y[19].
    y = _known({14: 4.0, 17: 10.0, 21: 1.0})
    (found,) = scoring.naive_quantiles(y, NOW, 5, 0.99, of_maximum=True)
    assert found == pytest.approx(1.0 + (10.0 - 4.0) / 2.0)


def test_naive_errors_are_those_of_one_day() -> None:
    y = np.ones(3000)
    now = np.array([3000])
    y[3000 - 1442] = 50.0  # the outcome of an origin 1,442 minutes ago, which is not on the grid
    y[3000 - 1442 - 7 :: -7] = 50.0  # outcomes of origins that are older than a day
    assert scoring.naive_quantiles(y, now, 1, 0.99) == pytest.approx(1.0)
    y[3000 - 1435] = 50.0  # the oldest origin of the day: 205 times 7 minutes ago
    assert scoring.naive_quantiles(y, now, 1, 0.999) == pytest.approx(50.0)


def test_pinball_weighs_too_low_by_the_quantile() -> None:
    loss = scoring.pinball(np.array([10.0, 10.0]), np.array([6.0, 14.0]), 0.95)
    assert loss == pytest.approx([0.95 * 4.0, 0.05 * 4.0])


def test_a_tie_is_covered_with_the_quantiles_probability() -> None:
    actual, forecast = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 2.0, 5.0])
    assert scoring.coverage(actual, forecast, 0.95) == pytest.approx((1 + 0.95 + 0 + 1) / 4)


def test_certain_and_right_covers_exactly_the_quantile() -> None:
    assert scoring.coverage(np.zeros(7), np.zeros(7), 0.95) == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.5, 2.0, 1.0], 1.0), ([0.25, 1.0], 0.5), ([0.0, 3.0], 0.0), ([math.inf, 3.0], math.inf)],
)
def test_geometric_mean(values: list[float], expected: float) -> None:
    assert scoring.geometric_mean(values) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(1.0, 4.0, 0.25), (0.0, 0.0, 1.0), (1.0, 0.0, math.inf), (0.0, 2.0, 0.0)],
)
def test_ratio(part: float, whole: float, expected: float) -> None:
    assert scoring.ratio(part, whole) == expected


def test_a_method_without_answers_scores_as_naive() -> None:
    y = np.random.default_rng(1).poisson(20.0, 8000).astype(np.float64)
    count = origins(y.size).size
    silent = Issued(
        values=np.full((count, len(HORIZONS), len(QUANTILES)), np.nan),
        maximum=np.full((count, len(WINDOWS), len(QUANTILES)), np.nan),
        unanswered=count,
    )
    scores = scoring.score(silent, y)
    for ratios in (scores.mae, scores.pinball_95, scores.max_pinball):
        assert set(ratios.values()) == {1.0}
    assert all(0.93 < covered < 0.97 for covered in scores.coverage_95.values())


def test_worse_than_naive_counts_series_and_forgives_the_next_minute() -> None:
    def scores(mae: dict[int, float], pinball_95: dict[int, float]) -> scoring.Scores:
        return scoring.Scores(
            mae=dict.fromkeys(HORIZONS, 1.0) | mae,
            pinball_95=dict.fromkeys(HORIZONS, 0.5) | pinball_95,
            coverage_95={},
            max_pinball={},
            relative_error={},
        )

    series = [
        scores({1: 1.2}, {}),  # at one minute: forgiven
        scores({5: 1.01}, {}),
        scores({3: 1.1, 15: 1.1}, {10: 1.3}),  # counts once
        scores({}, {}),
    ]
    assert scoring.worse_than_naive(series) == 2
