"""What a forecaster is shown, when it is fitted, and which outcome its answer is held against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import pytest
from numpy.typing import ArrayLike

from forecasting.types import Array, Forecast
from loadtests.bench.forecast.protocol import HORIZONS, QUANTILES, WINDOWS, issue, origins
from loadtests.bench.forecast.scoring import score
from loadtests.bench.forecast.subject import subject

MINUTES = 7220
"""Five days and twenty minutes: the test begins at minute 2,900."""


class Recorder:
    """Answers from `truth` if it is given one, else 0; keeps what it was shown."""

    def __init__(self, truth: Array | None = None) -> None:
        self.truth = truth
        self.seen = np.zeros(0)
        self.fits: list[tuple[int, float]] = []
        self.predicts: list[int] = []

    def fit(self, y: ArrayLike, *, cutoff: float = 0.0) -> Self:
        self.seen = np.asarray(y, dtype=np.float64)
        self.fits.append((self.seen.size, cutoff))
        return self

    def update(self, y: ArrayLike) -> Self:
        self.seen = np.concatenate([self.seen, np.asarray(y, dtype=np.float64)])
        return self

    def predict(self, horizon: int, quantiles: Sequence[float]) -> Forecast:
        known = self.seen.size
        self.predicts.append(known)
        # A series whose every value is its minute: what was shown is the past, whole and in order.
        assert self.truth is not None or self.seen.tolist() == list(range(known))
        ahead = np.zeros(horizon) if self.truth is None else self.truth[known : known + horizon]
        values = np.repeat(ahead[:, None], len(quantiles), axis=1)
        return Forecast(
            cutoff=60.0 * (known - 1),
            step=60.0,
            quantiles=tuple(quantiles),
            values=values,
            maximum=np.maximum.accumulate(values, axis=0),
        )


def test_a_forecaster_never_sees_what_lies_ahead() -> None:
    recorder = Recorder()
    issued = issue(lambda: recorder, np.arange(MINUTES, dtype=np.float64))
    assert recorder.predicts == list(range(2900, 7206, 7))
    assert issued.values.shape == (616, 5, 4)
    assert issued.maximum.shape == (616, 3, 4)


def test_it_is_fitted_once_a_day_on_all_that_lies_before() -> None:
    recorder = Recorder()
    issue(lambda: recorder, np.arange(MINUTES, dtype=np.float64))
    # 206 origins of 7 minutes are the first that make 24 hours or more.
    assert recorder.fits == [
        (2900, 60.0 * 2899),
        (2900 + 1442, 60.0 * 4341),
        (2900 + 2884, 60.0 * 5783),
    ]


def test_what_it_does_to_the_series_it_was_given_changes_nothing() -> None:
    class Vandal(Recorder):
        def fit(self, y: ArrayLike, *, cutoff: float = 0.0) -> Self:
            super().fit(np.array(y), cutoff=cutoff)
            np.asarray(y)[:] = -1.0
            return self

    y = np.arange(MINUTES, dtype=np.float64)
    issue(Vandal, y)
    assert y.tolist() == list(range(MINUTES))


def test_answers_are_held_against_the_minute_they_are_of() -> None:
    y = np.random.default_rng(2).poisson(50.0, MINUTES).astype(np.float64)
    scores = score(issue(lambda: Recorder(truth=y), y), y)
    assert scores.mae == dict.fromkeys(HORIZONS, 0.0)
    assert scores.relative_error == dict.fromkeys(HORIZONS, 0.0)
    assert scores.coverage_95 == pytest.approx(dict.fromkeys(HORIZONS, 0.95))
    assert {window for _, window in scores.max_pinball} == set(WINDOWS)
    assert set(scores.max_pinball.values()) == {0.0}


def test_every_outcome_of_the_last_origin_is_known() -> None:
    at = origins(MINUTES)
    assert (at[0], at[-1]) == (2900, 7205)
    assert at[-1] + 15 == MINUTES


def test_a_series_with_too_little_before_the_test_is_refused() -> None:
    with pytest.raises(ValueError, match="has 7199 minutes, must have 7200 or more"):
        origins(7199)


def test_the_subject_answers_what_is_asked() -> None:
    y = np.random.default_rng(3).poisson(5.0, 2880).astype(np.float64)
    forecast = subject().fit(y).predict(15, QUANTILES)
    assert forecast.values.shape == forecast.maximum.shape == (15, 4)
