"""Flat trees say what scikit-learn says."""

from __future__ import annotations

import numpy as np
import pytest

from forecasting.trees import QuantileTrees


@pytest.mark.parametrize("missing", [0.0, 0.2], ids=["all known", "some missing"])
def test_the_flat_copy_answers_as_the_original(missing: float) -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(2000, 6))
    target = features[:, 0] * features[:, 1] + rng.gamma(1.0, size=2000)
    features[rng.random(features.shape) < missing] = np.nan
    features[:, 5] = np.nan  # never known
    trees = QuantileTrees((0.5, 0.95), random_state=0, trees=30).fit(features, target)
    rows = np.where(np.isfinite(features[:50]), features[:50], np.nan)
    rows[:, 5] = 0.0
    original = np.column_stack([model.predict(rows) for model in trees.models_])
    np.testing.assert_allclose(trees.predict(features[:50]), original, rtol=1e-12, atol=1e-12)


def test_many_rows_and_few_are_answered_alike() -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(600, 3))
    trees = QuantileTrees((0.9,), random_state=0, trees=10).fit(features, features.sum(axis=1))
    together = trees.predict(features)
    apart = np.concatenate([trees.predict(features[[i]]) for i in range(0, 600, 50)])
    np.testing.assert_allclose(together[::50], apart)
