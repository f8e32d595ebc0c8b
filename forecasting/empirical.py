"""Quantiles: of samples with gaps, between the levels that a model knows, and beyond them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from forecasting.types import Array

_NORMAL = NormalDist()


def sample_quantiles(samples: Array, levels: Sequence[float]) -> Array:
    """(series, levels) of samples (series, n) in which NaN is absent; 0 where none is there.

    Interpolated linearly at rank level x (1 + 1/n): the quantile of a new sample, not of those already seen.
    """
    count = (~np.isnan(samples)).sum(axis=1)
    if not samples.shape[1] or not count.any():
        return np.zeros((len(samples), len(levels)))
    ascending = np.sort(samples, axis=1)  # NaN comes last
    some = np.maximum(count, 1)[:, None]
    rank = np.minimum(1.0, np.asarray(levels) * (1.0 + 1.0 / some)) * (some - 1)
    below = np.floor(rank).astype(np.int64)
    above = np.minimum(below + 1, some - 1)
    low = np.take_along_axis(ascending, below, axis=1)
    high = np.take_along_axis(ascending, above, axis=1)
    # (1 - w) low + w high and not low + w (high - low): equal samples give exactly themselves.
    weight = rank - below
    answer = (1.0 - weight) * low + weight * high
    return np.where(count[:, None] > 0, answer, 0.0)


def at_levels(known: Array, known_levels: Sequence[float], levels: Sequence[float]) -> Array:
    """Quantiles (..., levels) from those at `known_levels`, ascending and beginning with 0.5.

    Between them the normal deviate is interpolated. Above the highest the tail is exponential through the two highest:
    from 0.95 and 0.99 to 0.999 it goes on by ln 10 / ln 5 = 1.43 times their distance. Below the median the upper side
    is mirrored. Meant for quantiles of a logarithm, where skewed demand is nearly symmetric.
    """
    given = [float(q) for q in known_levels]
    deviates = [_NORMAL.inv_cdf(q) for q in given]
    answer = np.empty((*known.shape[:-1], len(levels)))
    for i, level in enumerate(levels):
        mirrored = level < 0.5
        upper = 1.0 - level if mirrored else level
        value = _above_median(known, given, deviates, upper)
        answer[..., i] = 2.0 * known[..., 0] - value if mirrored else value
    return answer


def _above_median(
    known: Array, given: Sequence[float], deviates: Sequence[float], level: float
) -> Array:
    if len(given) == 1:
        return known[..., 0]
    if level > given[-1]:
        tail = np.log((1.0 - given[-1]) / (1.0 - level))
        step = np.log((1.0 - given[-2]) / (1.0 - given[-1]))
        return np.asarray(known[..., -1] + (known[..., -1] - known[..., -2]) * tail / step)
    upper = next(i for i, q in enumerate(given) if q >= level - 1e-12)
    if upper == 0:
        return known[..., 0]
    span = deviates[upper] - deviates[upper - 1]
    weight = (_NORMAL.inv_cdf(level) - deviates[upper - 1]) / span
    return np.asarray((1.0 - weight) * known[..., upper - 1] + weight * known[..., upper])


def at_steps(known: Array, known_steps: Sequence[int], steps: Sequence[int]) -> Array:
    """Interpolates (..., steps, levels) linearly between the steps that a model is trained for."""
    if tuple(steps) == tuple(known_steps):
        return known
    places = np.interp(steps, known_steps, np.arange(len(known_steps)))
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, len(known_steps) - 1)
    weight = (places - below)[:, None]
    return np.asarray((1.0 - weight) * known[..., below, :] + weight * known[..., above, :])
