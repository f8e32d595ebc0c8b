"""The fleets of `make bench-odd-fleets`, and whom each is compared with."""

from __future__ import annotations

import pytest

from loadtests.bench.fleets import Outcome, Run
from loadtests.bench.odd_fleets import FLEETS, Work, figures, scenario


@pytest.mark.parametrize("name", sorted(FLEETS))
def test_every_fleet_is_one_that_a_user_could_write(name: str) -> None:
    told = scenario(name)
    assert len(told.workloads) == len(FLEETS[name][0])
    assert told.duration_s == 6 * 3600.0


@pytest.mark.parametrize(
    ("cheap", "dear", "named"),
    [
        pytest.param((0.995, 40.0), (1.0, 50.0), "keda@gpu=0.9: 40.0, 99.50 %", id="both hold it"),
        pytest.param((0.97, 40.0), (0.992, 50.0), "keda@gpu=0.7: 50.0, 99.20 %", id="one does"),
        pytest.param((0.96, 40.0), (0.97, 50.0), "keda@gpu=0.7: 50.0, 97.00 %", id="none does"),
    ],
)
def test_the_cheapest_that_attains_the_goal_is_named(
    cheap: tuple[float, float], dear: tuple[float, float], named: str
) -> None:
    def came_to(attained_ratio: float, node_gpu_hours: float) -> Outcome:
        return Outcome(
            attained_ratio=attained_ratio,
            gpu_hours=10.0,
            node_gpu_hours=node_gpu_hours,
            changes=12,
        )

    found = {
        Work(fleet="f", run=Run()): came_to(0.999, 30.0),
        Work(fleet="f", run=Run(shape="gpu", target=0.9)): came_to(*cheap),
        Work(fleet="f", run=Run(shape="gpu", target=0.7)): came_to(*dear),
    }
    (told,) = figures(found)
    assert (told.name, told.value) == ("f", 30.0)
    assert told.note == f"99.90 %, 12 changes; {named}"
