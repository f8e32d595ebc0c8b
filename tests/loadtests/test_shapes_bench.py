"""The figures of `make bench-shapes`."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.simulation.peers.catalog import FORESCALE
from loadtests.bench import shapes
from loadtests.bench.shapes import PEER, STARTUPS_S


def outcome(startup_s: float, least: float | None) -> dict[str, Any]:
    ours = {"gpu_hours": 30.0, "attainment_ratio": 0.995, "changes": 4}
    theirs = {"gpu_hours": 20.0, "attainment_ratio": 0.99, "changes": 4}
    return {"shape": "x", "startup_s": startup_s, "least": least, FORESCALE: ours, PEER: theirs}


@pytest.mark.parametrize(("least", "over"), [(20.0, [1.5, 1.5]), (None, [])])
def test_what_has_no_bound_has_no_figure_against_it(least: float | None, over: list[float]) -> None:
    figures = shapes._figures([outcome(startup_s, least) for startup_s in STARTUPS_S])
    told = [item.value for item in figures if "clairvoyant" in item.name]
    assert told == pytest.approx(over)
    # 99 % is what is aimed at: more than that for more is no gain.
    assert [item.note for item in figures if PEER in item.name] == ["x", "x"]
