"""The bounds: what the clairvoyant needs, and what start-ups add at least."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.simulation.bounds import gpu_hours_with_startups, least_factor
from autoscaler.simulation.clients import Clients, Users
from autoscaler.simulation.nodes import NodeSettings, Span
from autoscaler.simulation.score import Minutes, Score, score
from autoscaler.simulation.trial import Progress, Trial
from tests.simulation.test_fluid import RISE, world


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


class Told(Trial):
    """Its clairvoyant attains the goal from one factor on; the fluid model says another."""

    def __init__(self, *, fluid: float, exact: float) -> None:
        super().__init__(RISE, 1)
        self._fluid_factor, self._exact = fluid, exact
        self.tried: list[float] = []

    def _least_factor(self) -> float | None:
        return self._fluid_factor

    def _run_clairvoyant(self, factor: float, progress: Progress) -> Score:
        self.tried.append(factor)
        return score(
            f"{factor:.4f}",
            Minutes(
                total=np.array([100.0]), good=np.array([99.0 if factor >= self._exact else 98.0])
            ),
            goal=0.99,
            gpu_hours=factor,
            replicas=((0.0, 1),),
        )


@pytest.mark.parametrize(
    ("fluid", "found", "runs"),
    [
        pytest.param(1.000, 1.0, 2, id="just so: the step below does not hold"),
        pytest.param(0.985, 1.0048, 3, id="too kind: raised until it holds"),
        pytest.param(1.025, 1.0048, 4, id="too strict: lowered while it holds"),
        pytest.param(1.200, 1.1418, 6, id="no further than six steps"),
        pytest.param(0.900, None, 6, id="nor up"),
    ],
)
def test_the_clairvoyants_factor_is_the_smallest_that_holds_request_by_request(
    fluid: float, found: float | None, runs: int
) -> None:
    trial = Told(fluid=fluid, exact=1.0)
    best = trial.clairvoyant()
    assert (None if best is None else best.gpu_hours) == (
        None if found is None else pytest.approx(found, abs=1e-4)
    )
    assert len(trial.tried) == runs


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({"nodes": NodeSettings(boot_s=240.0)}, id="nodes that boot"),
        pytest.param(
            {"outages": (Span(start_s=1700.0, end_s=3000.0),)}, id="metrics that are gone"
        ),
    ],
)
def test_the_clairvoyant_waits_for_nothing_and_needs_no_metrics(told: dict[str, Any]) -> None:
    plain = Trial(RISE, 1).clairvoyant()
    found = Trial(replace(RISE, **told), 1).clairvoyant()
    assert plain is not None
    assert found is not None
    assert (found.gpu_hours, found.attainment_ratio) == (plain.gpu_hours, plain.attainment_ratio)


def test_the_clairvoyant_has_seen_the_first_half_minute_too() -> None:
    told = replace(world((0.0, 100.0), hours=0.1), first_replicas=1)
    found = Trial(told, 1).clairvoyant()
    assert found is not None
    assert found.attainment_ratio >= 0.99
    assert found.replicas[0][1] >= 10


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


def test_the_clairvoyant_has_enough_that_nobody_asks_again() -> None:
    """Before the fall it has too few for seconds: that costs who waits little, and makes a storm of who asks again."""
    storm = replace(RISE, clients=Clients(timeout_s=5.0, retries=3))
    patient, found = Trial(RISE, 1).clairvoyant(), Trial(storm, 1).clairvoyant()
    assert patient is not None
    assert found is not None
    assert found.attainment_ratio >= 0.99
    assert found.attempts_ratio == pytest.approx(1.0, abs=0.001)
    assert patient.gpu_hours <= found.gpu_hours < 1.2 * patient.gpu_hours


def test_there_is_no_bound_for_users() -> None:
    users = Users(name="users", counts=np.full(600, 40))
    trial = Trial(replace(RISE, demand=users), 1)
    assert (trial.clairvoyant(), trial.least_gpu_hours()) == (None, None)
