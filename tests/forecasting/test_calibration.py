"""Weights, shifts and skill, with numbers that can be reckoned by hand."""

from __future__ import annotations

import numpy as np
import pytest

from forecasting.calibration import Calibration, pinball
from forecasting.types import Array


def calibration(experts: int = 2, levels: tuple[float, ...] = (0.5,)) -> Calibration:
    return Calibration(
        experts=experts, series=1, steps=(1,), levels=levels, window=1000, half_life=100.0
    )


def at(*values: float) -> Array:
    """One series, two kinds alike, one step: (E, 1, 2, 1, 1)."""
    return np.array(values).reshape(-1, 1, 1, 1, 1).repeat(2, axis=2)


def outcome(value: float) -> Array:
    return np.full((1, 2, 1), value)


@pytest.mark.parametrize(
    ("y", "quantile", "level", "loss"),
    [
        (10.0, 8.0, 0.95, 1.9),
        (10.0, 12.0, 0.95, 0.1),
        (10.0, 10.0, 0.95, 0.0),
        (4.0, 6.0, 0.5, 1.0),
    ],
)
def test_pinball(y: float, quantile: float, level: float, loss: float) -> None:
    assert pinball(np.array(y), np.array(quantile), np.array(level)) == pytest.approx(loss)


def test_before_any_outcome_only_the_naive_expert_counts() -> None:
    assert calibration().weights[:, 0, 0, 0, 0] == pytest.approx([1.0, 0.0])


def test_weights_are_the_twentieth_power_of_relative_loss() -> None:
    judged = calibration()
    judged.judge(0, outcome(10.0), at(12.0, 11.8))  # losses 1 and 0.9
    # 0.9 ** 20 = 0.1216 of the better one's.
    assert judged.weights[:, 0, 0, 0, 0] == pytest.approx([0.1084, 0.8916], abs=1e-4)


def test_experts_that_never_missed_share_alike() -> None:
    judged = calibration()
    judged.judge(0, outcome(0.0), at(0.0, 0.0))
    assert judged.weights[:, 0, 0, 0, 0] == pytest.approx([0.5, 0.5])


def test_losses_fade_by_half_in_a_half_life() -> None:
    judged = calibration()
    judged.judge(0, outcome(10.0), at(12.0, 12.2))
    judged.judge(100, outcome(10.0), at(12.2, 12.0))
    # 1 / 2 + 1.1 = 1.6 against 1.1 / 2 + 1 = 1.55.
    share = (1.55 / 1.6) ** 20
    assert judged.weights[0, 0, 0, 0, 0] == pytest.approx(share / (1.0 + share))


def test_an_outcome_that_was_not_observed_teaches_nothing() -> None:
    judged = calibration()
    judged.judge(0, outcome(10.0), at(12.0, 14.0))
    before = judged.weights
    judged.judge(0, outcome(float("nan")), at(100.0, 0.0))
    np.testing.assert_array_equal(judged.weights, before)


def test_skill_is_the_share_of_the_naive_loss_that_was_saved() -> None:
    judged = calibration(levels=(0.95,))
    assert np.isnan(judged.skill().value).all()
    judged.score(0, outcome(10.0), at(12.0)[0], at(14.0)[0])
    told = judged.skill()
    assert told.value[0, 0, 0] == told.maximum[0, 0, 0] == pytest.approx(0.5)
    assert told.samples[0] == 1.0


def test_the_shift_is_the_quantile_of_the_residuals_as_far_as_there_are_enough_of_them() -> None:
    judged = calibration(levels=(0.5, 0.9))
    residuals = np.arange(101.0)[None, :, None, None, None].repeat(2, 2).repeat(2, 4)
    judged.remember(np.arange(101), residuals)
    # Rank 0.9 x (1 + 1/101) x 100 of 0, 1 ... 100; 10.1 residuals lie beyond. The median is left alone.
    expected = [0.0, 90.891 * 10.1 / 15.1]
    assert judged.shifts()[0, 0, 0] == pytest.approx(expected, abs=1e-3)


def test_few_residuals_shift_little() -> None:
    judged = calibration(levels=(0.9,))
    judged.remember(np.arange(10), np.full((1, 10, 2, 1, 1), 12.0))
    assert judged.shifts()[0, 0, 0, 0] == pytest.approx(
        2.0
    )  # one beyond the level, five count half


def test_old_residuals_are_forgotten() -> None:
    judged = calibration(levels=(0.9,))
    judged.remember(np.arange(50), np.full((1, 50, 2, 1, 1), 10.0))
    judged.remember(np.arange(2000, 2050), np.full((1, 50, 2, 1, 1), 2.0))
    assert judged.shifts()[0, 0, 0, 0] == pytest.approx(1.0)  # five beyond: half of 2
