"""Arrival times: their rate, their dispersion, and that a seed gives the same again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from autoscaler.simulation.arrivals import poisson_arrivals


def counts_of(times_s: NDArray[np.float64], width_s: float, duration_s: float) -> NDArray[np.int64]:
    return np.histogram(times_s, bins=int(duration_s / width_s), range=(0.0, duration_s))[0]


def test_the_rate_of_each_step_is_followed() -> None:
    times_s = poisson_arrivals([1000.0, 0.0, 3000.0], np.random.default_rng(1))
    assert (np.diff(times_s) >= 0.0).all()
    # standard deviations are 32 and 55
    assert counts_of(times_s, 1.0, 3.0).tolist() == pytest.approx([1000, 0, 3000], abs=200)
    assert times_s[0] >= 0.0
    assert times_s[-1] <= 3.0


def test_steps_and_start_are_in_seconds() -> None:
    times_s = poisson_arrivals([50.0] * 2, np.random.default_rng(1), start_s=100.0, step_s=10.0)
    assert times_s.size == pytest.approx(1000, abs=130)
    assert 100.0 <= times_s[0] < 100.2
    assert 119.8 < times_s[-1] <= 120.0


@pytest.mark.parametrize(
    ("dispersion", "burst_steps", "width_s"),
    [(1.0, 1, 1.0), (4.0, 1, 1.0), (4.0, 10, 10.0), (4.0, 1, 10.0)],
)
def test_counts_have_the_dispersion_that_was_asked_for(
    dispersion: float, burst_steps: int, width_s: float
) -> None:
    times_s = poisson_arrivals(
        np.full(200_000, 20.0),
        np.random.default_rng(2),
        dispersion=dispersion,
        burst_steps=burst_steps,
    )
    counts = counts_of(times_s, width_s, 200_000.0)
    assert counts.mean() == pytest.approx(20.0 * width_s, rel=0.01)
    assert counts.var() / counts.mean() == pytest.approx(dispersion, rel=0.05)


def test_gaps_of_a_constant_rate_are_exponential() -> None:
    gaps_s = np.diff(poisson_arrivals(np.full(20_000, 10.0), np.random.default_rng(3)))
    assert gaps_s.mean() == pytest.approx(0.1, rel=0.01)
    assert gaps_s.std() == pytest.approx(0.1, rel=0.02)
    assert np.mean(gaps_s > 0.3) == pytest.approx(np.exp(-3.0), rel=0.03)


def test_a_seed_gives_the_same_again() -> None:
    def times_s(seed: int) -> list[float]:
        drawn_s = poisson_arrivals([5.0] * 100, np.random.default_rng(seed), dispersion=2.0)
        return [float(at_s) for at_s in drawn_s]

    assert times_s(7) == times_s(7)
    assert times_s(7) != times_s(8)


def test_nothing_comes_of_nothing() -> None:
    assert poisson_arrivals([], np.random.default_rng(1)).size == 0
    assert poisson_arrivals([0.0] * 50, np.random.default_rng(1), dispersion=3.0).size == 0


@pytest.mark.parametrize(
    ("rates_rps", "options", "message"),
    [
        ([-1.0], {}, "rates_rps: a rate that is negative"),
        ([float("nan")], {}, "rates_rps: a rate that is negative or not finite"),
        ([[1.0]], {}, "rates_rps: 2 dimensions"),
        ([1.0], {"dispersion": 0.5}, "dispersion: 0.5, 1 or more"),
        ([1.0], {"burst_steps": 0}, "burst_steps: 0, at least 1"),
        ([1.0], {"step_s": 0.0}, "step_s: 0.0, more than 0"),
    ],
)
def test_what_can_not_be_is_refused(rates_rps: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        poisson_arrivals(rates_rps, np.random.default_rng(1), **options)
