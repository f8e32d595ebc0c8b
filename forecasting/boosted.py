"""Gradient-boosted quantile regression on lags, rolling statistics and calendar, for each series by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasting.base import BaseForecaster, log_offset
from forecasting.checks import checked_steps
from forecasting.empirical import at_levels, at_steps
from forecasting.features import FeatureMaker, stacked
from forecasting.history import History
from forecasting.linear import RobustLinear
from forecasting.naive import NaiveForecaster
from forecasting.trees import TREES, QuantileTrees
from forecasting.types import Array, Grid

STEPS = (1, 3, 5, 10, 15)
LEVELS = (0.5, 0.9, 0.95, 0.99)
# Fewer outcomes than this teach trees nothing that the last value does not tell.
MIN_ROWS = 500


@dataclass(slots=True)
class _Target:
    """One target of one series: what a linear model tells of it, and the trees on the rest."""

    linear: RobustLinear | None
    trees: QuantileTrees


class BoostedForecaster(BaseForecaster):
    """Direct models: one for each of `steps`, for the value there and for the highest value until then.

    Forecasts are of log((y + offset) / level). With `linear_first` a robust linear model is fitted before, and the
    trees learn what it leaves and see what it says: better where demand slopes, worse where it jumps, so that both
    together are better than either. A series with too short a past gets the naive forecast.
    """

    def __init__(
        self,
        *,
        steps: tuple[int, ...] = STEPS,
        levels: tuple[float, ...] = LEVELS,
        reach: int = 14 * 1440,
        linear_first: bool = False,
        trees: int = TREES,
        random_state: int = 0,
        step: float = 60.0,
    ) -> None:
        self.steps = steps
        self.levels = levels
        self.reach = reach
        self.linear_first = linear_first
        self.trees = trees
        self.random_state = random_state
        self.step = step

    def _learn(self, history: History) -> None:
        steps = checked_steps(self.steps)
        self.offset_ = log_offset(history)
        self.naive_ = NaiveForecaster(step=self.step)
        self.naive_._learn(history)
        self.targets_: dict[tuple[int, int, bool], _Target] = {}
        origins = np.arange(max(0, history.steps - self.reach), history.steps - 1)
        for i in range(history.series):
            own = history.only(i)
            # The target with the most gaps decides: the highest over the longest window.
            judged = np.isfinite(own.outcomes(origins, steps[-1])[1]).sum() if origins.size else 0
            if judged < MIN_ROWS:
                continue
            maker = FeatureMaker(own, self.offset_[[i]], origins)
            state = maker.state()
            for ahead in steps:
                features = self._features(maker, state, ahead)[0]
                for highest, outcome in enumerate(own.outcomes(origins, ahead)):
                    if highest and ahead == 1:
                        continue
                    ratio = maker.log_ratio(outcome)[0]
                    self.targets_[i, ahead, bool(highest)] = self._fit_target(features, ratio)

    def _fit_target(self, features: Array, ratio: Array) -> _Target:
        rows = np.isfinite(ratio)
        seen, told = features[rows], ratio[rows]
        linear = None
        if self.linear_first:
            linear = RobustLinear().fit(seen, told)
            base = linear.predict(seen)
            seen, told = np.column_stack([seen, base]), told - base
        trees = QuantileTrees(self.levels, random_state=self.random_state, trees=self.trees).fit(
            seen, told
        )
        return _Target(linear=linear, trees=trees)

    @staticmethod
    def _features(maker: FeatureMaker, state: dict[str, Array], ahead: int) -> Array:
        return stacked([state, maker.target(ahead), maker.calendar(ahead)])

    def _quantiles(
        self,
        history: History,
        origins: NDArray[np.int64],
        steps: Sequence[int],
        levels: Sequence[float],
    ) -> Grid:
        require_horizon(steps, self.steps)
        fallback = self.naive_._quantiles(history, origins, steps, levels)
        for i in sorted({key[0] for key in self.targets_}):
            own = history.only(i)
            maker = FeatureMaker(own, self.offset_[[i]], origins)
            state = maker.state()
            known = np.empty((2, origins.size, len(self.steps), len(self.levels)))
            for j, ahead in enumerate(self.steps):
                features = self._features(maker, state, ahead)[0]
                known[0, :, j] = self._ratio(i, ahead, False, features)
                known[1, :, j] = self._ratio(i, ahead, ahead > 1, features)
            known = np.maximum.accumulate(known, axis=3)
            told = at_steps(at_levels(known, self.levels, levels), self.steps, steps)
            demand = np.exp(told) * maker.level[0][None, :, None, None] - self.offset_[i]
            fallback.values[i], fallback.maximum[i] = demand[0], demand[1]
        return fallback

    def _ratio(self, series: int, ahead: int, highest: bool, features: Array) -> Array:
        target = self.targets_[series, ahead, highest]
        if target.linear is None:
            return target.trees.predict(features)
        base = target.linear.predict(features)
        left = target.trees.predict(np.column_stack([features, base]))
        return np.asarray(base[:, None] + left)


def require_horizon(steps: Sequence[int], trained: Sequence[int]) -> None:
    """Raises ValueError beyond the last step that a model is trained for."""
    if steps[-1] > trained[-1]:
        raise ValueError(
            f"horizon: is {steps[-1]}, must be at most {trained[-1]}, the last of the model's steps"
        )
