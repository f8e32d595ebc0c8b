"""The one place that loads scikit-learn: boosted trees for quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from forecasting.types import Array

# 80 trees of 8 leaves: on generated demand more or larger trees fitted noise at the upper quantiles.
TREES, LEAVES, MIN_LEAF, RATE = 80, 8, 100, 0.1


class QuantileTrees:
    """One boosting for each level, on the same rows."""

    def __init__(
        self,
        levels: Sequence[float],
        *,
        random_state: int,
        trees: int = TREES,
        leaves: int = LEAVES,
    ) -> None:
        self._levels = tuple(levels)
        self._trees = trees
        self._random_state = random_state
        self._leaves = leaves

    def fit(self, features: Array, target: Array) -> QuantileTrees:
        """`features` (rows, features) with NaN for missing, `target` (rows,)."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        # A feature that is never known has no bins.
        self.empty_ = ~np.isfinite(features).any(axis=0)
        rows = self._rows(features)
        self.models_: list[Any] = [
            HistGradientBoostingRegressor(
                loss="quantile",
                quantile=level,
                max_iter=self._trees,
                max_leaf_nodes=self._leaves,
                min_samples_leaf=min(MIN_LEAF, max(5, len(rows) // 50)),
                learning_rate=RATE,
                early_stopping=False,
                random_state=self._random_state,
            ).fit(rows, target)
            for level in self._levels
        ]
        return self

    def predict(self, features: Array) -> Array:
        """(rows, levels), not yet ordered."""
        rows = self._rows(features)
        return np.column_stack([model.predict(rows) for model in self.models_])

    def _rows(self, features: Array) -> Array:
        if not self.empty_.any():
            return features
        rows = features.copy()
        rows[:, self.empty_] = 0.0
        return rows
