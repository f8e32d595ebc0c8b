"""Single requests of a rate: when each of them arrives, drawn from a generator that is handed in."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def poisson_arrivals(
    rates_rps: ArrayLike,
    rng: np.random.Generator,
    *,
    dispersion: float = 1.0,
    burst_steps: int = 1,
    start_s: float = 0.0,
    step_s: float = 1.0,
) -> NDArray[np.float64]:
    """Ascending arrival times in seconds of a Poisson process with a rate for each step.

    `dispersion` is the index of dispersion of the counts: their variance over their mean in a burst
    of `burst_steps` steps. 1 is Poisson. Above it each burst's rate is multiplied by a gamma variate
    with mean 1, so that its count is negative binomial; bursts are independent of each other.
    Raises ValueError for rates that are negative or not finite and for a dispersion below 1.
    """
    rates = np.asarray(rates_rps, dtype=np.float64)
    if rates.ndim != 1:
        raise ValueError(f"rates_rps: {rates.ndim} dimensions, one")
    if not (np.isfinite(rates).all() and (rates >= 0.0).all()):
        raise ValueError("rates_rps: a rate that is negative or not finite, 0 or more")
    if not 1.0 <= dispersion < math.inf:
        raise ValueError(f"dispersion: {dispersion}, 1 or more")
    if burst_steps < 1:
        raise ValueError(f"burst_steps: {burst_steps}, at least 1")
    if not 0.0 < step_s < math.inf:
        raise ValueError(f"step_s: {step_s}, more than 0")
    means = rates * step_s
    if dispersion > 1.0:
        means = means * _burst_factors(means, rng, dispersion, burst_steps)
    counts = rng.poisson(means)
    steps = np.repeat(np.arange(rates.size, dtype=np.float64), counts)
    times = (steps + rng.random(steps.size)) * step_s + start_s
    times.sort()
    return times


def _burst_factors(
    means: NDArray[np.float64], rng: np.random.Generator, dispersion: float, burst_steps: int
) -> NDArray[np.float64]:
    """A factor for each step, the same within a burst.

    A burst with mean m and a factor of variance v has a count of variance m + m² v, so the dispersion
    is 1 + m v and the gamma's shape 1/v = m / (dispersion - 1).
    """
    bursts = -(-means.size // burst_steps)
    burst_of = np.arange(means.size) // burst_steps
    burst_means = np.bincount(burst_of, weights=means, minlength=bursts)
    shapes = burst_means / (dispersion - 1.0)
    # A burst of rate 0 has no requests whatever its factor, and the gamma no shape 0.
    drawn = shapes > 0.0
    factors = np.ones(bursts)
    factors[drawn] = rng.gamma(shapes[drawn]) / shapes[drawn]
    return factors[burst_of]
