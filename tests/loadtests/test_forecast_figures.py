"""What is promised, and of which series."""

from __future__ import annotations

import numpy as np
import pytest

from loadtests.bench.forecast import subject
from loadtests.bench.forecast.figures import figures
from loadtests.bench.forecast.protocol import HORIZONS, WINDOWS
from loadtests.bench.forecast.scoring import MAXIMUM_QUANTILES, Scores
from loadtests.bench.forecast.series import PROMISED, Series
from loadtests.bench.report import Figure


def _scores(ratio: float) -> Scores:
    return Scores(
        mae=dict.fromkeys(HORIZONS, ratio),
        pinball_95=dict.fromkeys(HORIZONS, ratio),
        coverage_95=dict.fromkeys(HORIZONS, 0.95),
        max_pinball={(q, w): ratio for q in MAXIMUM_QUANTILES for w in WINDOWS},
        relative_error=dict.fromkeys(HORIZONS, ratio),
    )


def _figures(names: list[str], ratios: dict[str, float]) -> dict[str, Figure]:
    series = [Series(name, np.zeros(1)) for name in names]
    scores = {(method, name): _scores(ratio) for method, ratio in ratios.items() for name in names}
    return {one.name: one for one in figures(series, list(ratios), scores, "")}


def test_means_are_promised_of_the_eleven_series() -> None:
    found = _figures(sorted(PROMISED), {subject.NAME: 0.5, "AutoARIMA": 0.8})
    assert len(PROMISED) == 11
    assert (found["MAE/naive 3 min"].target, found["MAE/naive 3 min"].met) == (0.79, True)
    assert (found["pinball 0.95/naive 10 min"].target, found["MAE/naive 1 min"].target) == (
        0.49,
        None,
    )
    assert found["MAE/naive 3 min AutoARIMA"].target is None


@pytest.mark.parametrize("names", [["diurnal", "bursty"], ["f_2aec"]])
def test_of_other_series_or_of_a_part_none_is(names: list[str]) -> None:
    assert _figures(names, {subject.NAME: 0.5})["MAE/naive 3 min"].target is None


def test_the_highest_value_is_held_against_the_best_of_the_others() -> None:
    found = _figures(["bursty"], {subject.NAME: 0.9, "AutoARIMA": 0.8, "Theta": 0.7})
    ours = found["max pinball 0.99/naive 15 min"]
    assert (ours.target, ours.met) == (pytest.approx(0.7), False)
    assert found["coverage bursty 5 min"].value == 0.95
