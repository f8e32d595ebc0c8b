"""A robust linear model: ridge regression with Huber's weights, on standardised features."""

from __future__ import annotations

from typing import Self

import numpy as np

from forecasting.threads import one_thread
from forecasting.types import Array

PENALTY = 1e-3
CLIP = 4.0
ROUNDS = 3


class RobustLinear:
    """What trees are bad at - slopes and sums - in one small model that never runs away.

    Features are clipped at four deviations, missing ones count as their mean. Huber's weights keep surges from bending
    it (Huber, Annals of Mathematical Statistics 35, 1964).
    """

    def fit(self, features: Array, target: Array) -> Self:
        """`features` (rows, features) with NaN for missing, `target` (rows,)."""
        with np.errstate(invalid="ignore"):
            known = np.isfinite(features)
            count = np.maximum(known.sum(axis=0), 1)
            self.mean_ = np.where(known, features, 0.0).sum(axis=0) / count
            spread = np.where(known, features - self.mean_, 0.0)
            self.scale_ = np.sqrt((spread**2).sum(axis=0) / count)
        self.scale_[self.scale_ < 1e-9] = np.inf  # a constant says nothing
        rows = self._rows(features)
        weight = np.ones(len(target))
        penalty = np.full(rows.shape[1], PENALTY * len(target))
        penalty[-1] = 0.0
        with one_thread():
            for _ in range(ROUNDS):
                gram = (rows * weight[:, None]).T @ rows
                gram[np.diag_indices(len(gram))] += penalty + 1e-9
                self.coefficients_ = np.linalg.solve(gram, (rows * weight[:, None]).T @ target)
                missed = np.abs(target - rows @ self.coefficients_)
                limit = 1.5 * float(np.median(missed)) + 1e-9
                weight = np.minimum(1.0, limit / np.maximum(missed, 1e-12))
        return self

    def predict(self, features: Array) -> Array:
        """(rows,)."""
        return np.asarray(self._rows(features) @ self.coefficients_)

    def _rows(self, features: Array) -> Array:
        centred = np.where(np.isfinite(features), features - self.mean_, 0.0)
        standard = np.clip(centred / self.scale_, -CLIP, CLIP)
        return np.column_stack([standard, np.ones(len(standard))])
