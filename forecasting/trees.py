"""The one place that loads scikit-learn: boosted trees for quantiles, and a flat copy of them for single rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from forecasting.threads import one_thread
from forecasting.types import Array

# 80 trees of 8 leaves: larger ones fitted noise at the upper quantiles of the series that choices are made on.
TREES, LEAVES, MIN_LEAF, RATE = 80, 8, 100, 0.1
# Up to so many rows the flat copy is faster: scikit-learn takes a millisecond a call before it looks at a tree.
FEW_ROWS = 64


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

    def fit(self, features: Array, target: Array) -> Self:
        """`features` (rows, features) with NaN for missing, `target` (rows,)."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        # A feature that is never known has no bins.
        self.empty_ = ~np.isfinite(features).any(axis=0)
        rows = self._rows(features)
        with one_thread():
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
        self.flat_ = FlatTrees(self.models_, rows[:1])
        return self

    def predict(self, features: Array) -> Array:
        """(rows, levels), not yet ordered."""
        rows = self._rows(features)
        if len(rows) <= FEW_ROWS:
            return self.flat_.predict(rows)
        with one_thread():
            return np.column_stack([model.predict(rows) for model in self.models_])

    def _rows(self, features: Array) -> Array:
        if not self.empty_.any():
            return features
        rows = features.copy()
        rows[:, self.empty_] = 0.0
        return rows


class FlatTrees:
    """All trees of several boostings as arrays of nodes, walked together.

    Made from scikit-learn's own nodes, which are private to it: a test holds the two to the same answers. A leaf leads
    to itself, so that every walk may take as many steps as the deepest.
    """

    def __init__(self, models: Sequence[Any], row: Array) -> None:
        roots: list[int] = []
        nodes: list[NDArray[Any]] = []
        size = 0
        for model in models:
            for (tree,) in model._predictors:
                roots.append(size)
                part = tree.nodes.copy()
                leaf = part["is_leaf"].astype(bool)
                part["left"] = np.where(leaf, np.arange(len(part)), part["left"]) + size
                part["right"] = np.where(leaf, np.arange(len(part)), part["right"]) + size
                nodes.append(part)
                size += len(part)
        joined = np.concatenate(nodes)
        self._roots = np.array(roots)
        self._left = joined["left"].astype(np.int64)
        self._right = joined["right"].astype(np.int64)
        self._feature = joined["feature_idx"].astype(np.int64)
        self._threshold = joined["num_threshold"].astype(np.float64)
        self._missing_left = joined["missing_go_to_left"].astype(bool)
        self._value = joined["value"].astype(np.float64)
        self._steps = int(joined["depth"].max())
        self._models = len(models)
        self._baseline = np.zeros(self._models)
        told = np.array([float(model.predict(row)[0]) for model in models])
        self._baseline = told - self.predict(row)[0]

    def predict(self, rows: Array) -> Array:
        """(rows, models)."""
        at = np.broadcast_to(self._roots, (len(rows), self._roots.size)).copy()
        which = np.arange(len(rows))[:, None]
        for _ in range(self._steps):
            seen = rows[which, self._feature[at]]
            # A comparison with NaN is false.
            left = (seen <= self._threshold[at]) | (np.isnan(seen) & self._missing_left[at])
            at = np.where(left, self._left[at], self._right[at])
        grown = self._value[at].reshape(len(rows), self._models, -1).sum(axis=2)
        return np.asarray(grown + self._baseline)
