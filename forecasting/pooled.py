"""One model for all series at once: what demand does next, learned from thousands of workloads together.

For series whose own past is short, and for fleets in which a model for each would cost too much. Only ratios to each
series' own level and spread are seen, so that a series of 3 a minute teaches one of 3,000. The clock's phase is not
seen, but what each series did at the same phase is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forecasting.base import BaseForecaster, log_offset
from forecasting.boosted import LEVELS, STEPS, require_horizon
from forecasting.checks import checked_steps
from forecasting.empirical import at_levels, at_steps
from forecasting.features import WEEK, FeatureMaker, stacked
from forecasting.history import History
from forecasting.naive import NaiveForecaster
from forecasting.trees import QuantileTrees
from forecasting.types import Array, Grid

# Rows for one level of one kind: enough for trees of this size, and a refit that ends within a minute.
ROWS = 60_000
LEAVES = 16
FLEET_TREES = 40
MIN_ROWS = 500
# Features look back a week and two hours.
CONTEXT_STEPS = WEEK + 120
SPREAD_STEPS = 1440
# Values of a fleet (series x steps) up to which whole-past sums are made: 40 MB.
SMALL_VALUES = 5_000_000


class PooledForecaster(BaseForecaster):
    """Boosted quantiles of the scaled log ratio, the step ahead being a feature.

    `rows` origins are drawn over all series and the last `reach` steps. Learned: `trees_`, one for values and one for
    the highest value; `spread_`, (series,), the mean size of the last day's log ratios ten steps ahead.
    """

    def __init__(
        self,
        *,
        steps: tuple[int, ...] = STEPS,
        levels: tuple[float, ...] = LEVELS,
        rows: int = ROWS,
        reach: int = WEEK,
        trees: int = FLEET_TREES,
        random_state: int = 0,
        step: float = 60.0,
    ) -> None:
        self.steps = steps
        self.levels = levels
        self.rows = rows
        self.reach = reach
        self.trees = trees
        self.random_state = random_state
        self.step = step

    def _learn(self, history: History) -> None:
        checked_steps(self.steps)
        self.offset_ = log_offset(history)
        self.spread_ = _spread(history, self.offset_)
        self.trees_: tuple[QuantileTrees, QuantileTrees] | None = None
        self.naive_ = NaiveForecaster(step=self.step)
        features, targets = self._rows(history)
        known = [np.isfinite(target) for target in targets]
        if min(int(rows.sum()) for rows in known) < MIN_ROWS:
            self.naive_._learn(history)
            return
        fitted = [
            QuantileTrees(
                self.levels,
                random_state=self.random_state,
                trees=self.trees,
                leaves=LEAVES,
            ).fit(features[rows], target[rows])
            for target, rows in zip(targets, known, strict=True)
        ]
        self.trees_ = (fitted[0], fitted[1])

    def _rows(self, history: History) -> tuple[Array, tuple[Array, Array]]:
        """Features (rows, features), and the scaled log ratio of the value and of the highest."""
        rng = np.random.default_rng(self.random_state)
        first = max(1, history.steps - self.reach)
        origins = np.arange(first, history.steps - 1)
        if not origins.size:
            return np.zeros((0, 0)), (np.zeros(0), np.zeros(0))
        # The same few origins for every series. Reading many at once takes sums over the whole past, for which a large
        # fleet has no memory: there, one at a time.
        draws = max(1, min(origins.size, self.rows // (history.series * len(self.steps)) + 1))
        chosen = np.sort(rng.choice(origins, draws, replace=False))
        pieces: list[Array] = []
        values: list[Array] = []
        highs: list[Array] = []
        together = draws if history.values.size <= SMALL_VALUES else 1
        for origin in np.array_split(chosen, -(-draws // together)):
            maker = FeatureMaker(history, self.offset_, origin)
            state = maker.state()
            for ahead in self.steps:
                features = self._features(maker, state, ahead)
                for outcome, into in zip(
                    history.outcomes(origin, ahead), (values, highs), strict=True
                ):
                    into.append((maker.log_ratio(outcome) / self.spread_[:, None]).ravel())
                pieces.append(features.reshape(-1, features.shape[-1]))
        features = np.concatenate(pieces)
        keep = np.arange(len(features))
        if len(features) > self.rows:
            keep = np.sort(rng.choice(len(features), self.rows, replace=False))
        return features[keep], (np.concatenate(values)[keep], np.concatenate(highs)[keep])

    def _features(self, maker: FeatureMaker, state: dict[str, Array], ahead: int) -> Array:
        shape = maker.level.shape
        own = {
            "ahead": np.full(shape, np.log(ahead)),
            "spread": np.broadcast_to(np.log(self.spread_)[:, None], shape),
        }
        return stacked([state, maker.target(ahead), own])

    def _quantiles(
        self,
        history: History,
        origins: NDArray[np.int64],
        steps: Sequence[int],
        levels: Sequence[float],
    ) -> Grid:
        require_horizon(steps, self.steps)
        if self.trees_ is None:
            return self.naive_._quantiles(history, origins, steps, levels)
        maker = FeatureMaker(history, self.offset_, origins)
        state = maker.state()
        shape = (history.series, origins.size, len(self.steps), len(self.levels))
        known = np.empty((2, *shape))
        for i, ahead in enumerate(self.steps):
            features = self._features(maker, state, ahead)
            rows = features.reshape(-1, features.shape[-1])
            for kind, trees in enumerate(self.trees_):
                told = trees.predict(rows).reshape(*shape[:2], shape[3])
                known[kind, :, :, i] = told * self.spread_[:, None, None]
        known = np.maximum.accumulate(known, axis=4)
        told = at_steps(at_levels(known, self.levels, levels), self.steps, steps)
        demand = np.exp(told) * maker.level[None, :, :, None, None]
        demand = demand - self.offset_[None, :, None, None, None]
        return Grid(values=demand[0], maximum=demand[1])

    def _kept(self) -> int:
        return max(CONTEXT_STEPS, self.reach)


def _spread(history: History, offset: Array) -> Array:
    """(series,) mean size of the log ratio ten steps ahead over the last day; at least 0.01, if demand never moves."""
    day = history.tail(SPREAD_STEPS + 20)
    origins = np.arange(day.steps - 11, 5, -10)
    if not origins.size:
        return np.ones(history.series)
    maker = FeatureMaker(day, offset, origins)
    ratio = np.abs(maker.log_ratio(day.outcomes(origins, 10)[0]))
    known = np.isfinite(ratio)
    mean = np.where(known, ratio, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.asarray(np.maximum(mean, 1e-2))
