"""The bounds: what the clairvoyant needs, and what start-ups add at least."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.simulation.bounds import gpu_hours_with_startups, least_factor
from autoscaler.simulation.trial import Trial
from tests.simulation.test_fluid import RISE


@pytest.mark.parametrize(
    ("ready", "startup_s", "seconds"),
    [
        pytest.param([2, 2, 2], 100.0, 90.0, id="from the start on: two for 45 s"),
        pytest.param([1, 2, 1], 100.0, 45.0 + 15.0 + 100.0, id="one more, and its start"),
        pytest.param([2, 1, 2], 100.0, 90.0, id="a short gap is bridged"),
        pytest.param([2, 1, 1, 1, 2], 20.0, 75.0 + 30.0 + 20.0, id="a long one is not"),
        pytest.param([0, 0, 1], 5.0, 20.0, id="nothing before"),
        pytest.param([0], 5.0, 0.0, id="nothing at all"),
    ],
)
def test_the_least_that_pays_its_starts(ready: list[int], startup_s: float, seconds: float) -> None:
    found = gpu_hours_with_startups(np.array(ready, float), tick_s=15.0, startup_s=startup_s)
    assert found * 3600.0 == pytest.approx(seconds)


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
    st.sampled_from([5.0, 15.0, 20.0, 40.0, 1000.0]),
)
def test_no_schedule_is_cheaper(ready: list[int], startup_s: float) -> None:
    def cost(held: tuple[int, ...]) -> float:
        starts = sum(max(0, b - a) for a, b in itertools.pairwise(held))
        return 15.0 * sum(held) + startup_s * starts

    first, rest = ready[0], ready[1:]
    schedules = itertools.product((first,), *(range(low, 4) for low in rest))
    least = min(cost(held) for held in schedules)
    found = gpu_hours_with_startups(np.array(ready, float), tick_s=15.0, startup_s=startup_s)
    assert found * 3600.0 == pytest.approx(least)


def test_the_least_factor() -> None:
    assert least_factor(lambda factor: factor / 2.0, 0.8) == pytest.approx(1.6, abs=0.01)
    with pytest.raises(ValueError, match="does not attain"):
        least_factor(lambda _: 0.5, 0.99)


def test_the_clairvoyant_attains_the_goal_for_less_than_any_peer() -> None:
    trial = Trial(RISE, 1)
    bound = trial.clairvoyant()
    assert bound is not None
    assert bound.attainment_ratio >= 0.99
    # 50 a second for an hour, 150 for another: 5 + 15 replicas.
    assert 20.0 <= bound.gpu_hours < 23.0
    paid = trial.least_gpu_hours()
    assert paid is not None
    assert bound.gpu_hours < paid < trial.score("keda").gpu_hours
