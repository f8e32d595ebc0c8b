"""The figures of `make bench-fleets`, and a quarter of an hour of it."""

from __future__ import annotations

import pytest

from loadtests.bench.fleets import Outcome, Run, figures, outcome


def came_to(node_gpu_hours: float, attained_ratio: float = 1.0) -> Outcome:
    return Outcome(
        attained_ratio=attained_ratio, gpu_hours=1.0, node_gpu_hours=node_gpu_hours, changes=1
    )


FOUND = {
    Run(): came_to(60.0, 0.995),
    Run(shape="gpu"): came_to(100.0),
    Run(shape="gpu", target=0.9): came_to(80.0),
    Run(shape="1g.10gb"): came_to(75.0),
    Run(shape="2g.20gb"): came_to(50.0, 0.98),
    Run(shape="2g.20gb", target=0.6): came_to(64.0),
}


def test_it_is_held_against_the_cheapest_that_attains_enough() -> None:
    told = {
        one.name.removeprefix("node GPU-hours saved against keda on "): one
        for one in figures(FOUND)
    }
    assert {name: one.value for name, one in told.items() if name.startswith(("whole", "its"))} == {
        "whole GPUs at its default": pytest.approx(40.0),
        "whole GPUs in hindsight": pytest.approx(25.0),
        "its best profile at its default": pytest.approx(20.0),
        "its best profile in hindsight": pytest.approx(6.25),
    }
    assert [one.met for one in told.values()] == [None, True, True, False, True, False]


def test_a_peer_that_never_attains_it_has_no_figure() -> None:
    found = {Run(): came_to(60.0), Run(shape="gpu"): came_to(50.0, 0.9)}
    assert len(figures(found)) == 2


@pytest.mark.parametrize("run", [Run(), Run(shape="gpu"), Run(shape="3g.40gb")])
def test_a_quarter_of_an_hour_of_two_models(run: Run) -> None:
    found = outcome(run, hours=0.25, models=2)
    assert found.attained_ratio > 0.9
    assert 0.0 < found.gpu_hours < found.node_gpu_hours
