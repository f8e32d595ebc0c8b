"""What is promised against each peer on each series, from outcomes told by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from autoscaler.simulation.peers.catalog import RULES
from loadtests.bench.policies import series
from loadtests.bench.policies.choose import Outcome
from loadtests.bench.policies.promises import promises_of
from loadtests.bench.policies.protocol import Protocol
from loadtests.bench.policies.results import Results
from loadtests.bench.report import Figure


def came_to(
    in_time: float,
    gpu_hours: float,
    *,
    good: float = 0.99,
    longest_bad_s: float = 60.0,
    changes: float = 100.0,
) -> Outcome:
    return Outcome(
        attainment_ratio=in_time,
        gpu_hours=gpu_hours,
        good_windows_ratio=good,
        worst_window_ratio=0.5,
        longest_bad_s=longest_bad_s,
        changes=changes,
    )


OURS = {"smooth": came_to(0.995, 100.0), "hourly": came_to(0.993, 200.0, longest_bad_s=120.0)}
THEIRS = {
    # Dearer by 50 %, and better in everything.
    "static": {
        "smooth": came_to(0.999, 150.0, good=1.0, longest_bad_s=0.0, changes=0.0),
        "hourly": came_to(0.999, 300.0, good=1.0, longest_bad_s=0.0, changes=0.0),
    },
    # Cheaper by 2 % on one series, where it has less in time, dearer by 60 % on the other; changes half as much.
    "keda": {
        "smooth": came_to(0.991, 98.0, good=0.98, longest_bad_s=180.0, changes=50.0),
        "hourly": came_to(0.992, 320.0, good=0.97, longest_bad_s=240.0, changes=50.0),
    },
}


class Told(Results):
    """Outcomes that nobody measured."""

    def __init__(self) -> None:
        self.protocol = Protocol(days=1.0, startups_s=(100.0,), seeds=(1,))

    counted = ("smooth", "hourly")

    def ours(self, series: str, startup_s: float) -> Outcome:
        return OURS[series]

    def peer(
        self, rule: str, kind: str, series: str, startup_s: float, *, confirmed: bool = False
    ) -> Outcome | None:
        return THEIRS.get(rule, {}).get(series)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    def demand(name: str, **given: object) -> object:
        rates = [1.0, 1.0, 1.0, 9.0] if name == "hourly" else [1.0, 2.0]
        return SimpleNamespace(rates_rps=np.array(rates))

    monkeypatch.setattr(series, "demand", demand)
    return {figure.name.removesuffix(", start-up 100 s"): figure for figure in promises_of(Told())}


@pytest.mark.parametrize(
    ("name", "value", "met", "note"),
    [
        ("tuned peers that attain no more", 1.0, False, "better: static (+50% GPU-hours)"),
        (
            "tuned peers that have no more good 5 minutes",
            1.0,
            False,
            "better: static (+50% GPU-hours)",
        ),
        (
            "tuned peers that have no shorter worst run",
            1.0,
            False,
            "better: static (+50% GPU-hours)",
        ),
        # 1.25 times the GPU-hours of forescale in the mean: nearer than static.
        ("replica changes over the compared peer's, tuned", 2.0, False, RULES["keda"].name),
        (
            "more in time than peers at their defaults, or as much for less, series by series",
            2.0,
            False,
            "of the others 0 have it for no more GPU-hours",
        ),
        (
            "most GPU-hours above a peer in hindsight, one series",
            2.04,
            True,
            f"smooth, {RULES['keda'].name}",
        ),
        # Its peak is three times the mean: 200 for 300.
        (
            "GPU-hours saved on spiky series, hindsight",
            33.3,
            True,
            f"hourly; {RULES['static'].name}",
        ),
    ],
)
def test_each_promise(
    figures: dict[str, Figure], name: str, value: float, met: bool, note: str
) -> None:
    figure = figures[name]
    assert figure.value == pytest.approx(value, rel=0.01)
    assert (figure.met, figure.note) == (met, note)


def test_a_peer_without_a_setting_is_not_compared(figures: dict[str, Figure]) -> None:
    assert figures["tuned peers that attain no more"].unit == "of 2"
