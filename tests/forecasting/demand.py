"""Generated demand, a value a minute; seeds are fixed and the truth is known."""

from __future__ import annotations

import numpy as np

from forecasting.types import Array

DAY = 1440


def noise(level: float = 100.0, steps: int = 600, seed: int = 5) -> Array:
    """Poisson counts around one level."""
    return np.random.default_rng(seed).poisson(level, steps).astype(float)


def daily(days: float, *, low: float = 20.0, high: float = 120.0, seed: int = 1) -> Array:
    """A hump a day, with Poisson noise."""
    minute = np.arange(round(days * DAY))
    mean = low + (high - low) * 0.5 * (1.0 - np.cos(2.0 * np.pi * minute / DAY))
    return np.random.default_rng(seed).poisson(mean).astype(float)


def with_surges(y: Array, *, period: int, phase: int, height: float) -> Array:
    """A surge of `height` at `phase` minutes past every `period`."""
    surged = y.copy()
    surged[phase::period] += height
    return surged
