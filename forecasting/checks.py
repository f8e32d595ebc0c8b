"""What is accepted as a series, its times, and quantiles. Whatever is not names its place and its value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from forecasting.types import Array


def checked_series(y: ArrayLike) -> Array:
    """`y` as floats, of shape (steps,) or (series, steps).

    NaN is a gap. Raises ValueError: neither shape, empty, infinite or negative.
    """
    series = np.asarray(y, dtype=np.float64)
    if series.ndim not in (1, 2) or series.size == 0:
        raise ValueError(
            f"y: has shape {series.shape}, must be (steps,) or (series, steps) and not empty"
        )
    wrong = np.isinf(series) | (series < 0.0)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        place = str(at[0]) if series.ndim == 1 else str(at)
        raise ValueError(
            f"y[{place}]: is {series[at]:g}, must be 0 or more and finite; use NaN for a gap "
            f"(negative or infinite values: {int(wrong.sum())})"
        )
    return series


def checked_times(times: ArrayLike, steps: int, *, step: float, after: float | None) -> Array:
    """Times of `steps` observations: ascending, `step` apart, the first one step after `after`.

    Raises ValueError.
    """
    given = np.asarray(times, dtype=np.float64)
    if given.shape != (steps,):
        raise ValueError(f"times: have shape {given.shape}, must be ({steps},), one for each step")
    unknown = np.flatnonzero(~np.isfinite(given))
    if unknown.size:
        raise ValueError(f"times[{unknown[0]}]: is {given[unknown[0]]}, must be finite")
    # A thousandth of a step: clocks that write times as floats.
    tolerance = 1e-3 * step
    if after is not None and abs(given[0] - after - step) > tolerance:
        back = "going back" if given[0] <= after else "not the next step"
        raise ValueError(
            f"times[0]: is {given[0]:.15g}, {back}: must be {after + step:.15g}, one step of {step:g} after the last; "
            "fill what is missing with NaN"
        )
    wrong = np.flatnonzero(np.abs(np.diff(given) - step) > tolerance)
    if wrong.size:
        at = int(wrong[0]) + 1
        moved = given[at] - given[at - 1]
        what = "going back" if moved <= 0.0 else "a wrong step"
        raise ValueError(
            f"times[{at}]: is {given[at]:.15g} after {given[at - 1]:.15g}, {what}: must be {step:g} later; "
            "fill what is missing with NaN"
        )
    return given


def checked_quantiles(quantiles: Sequence[float]) -> tuple[float, ...]:
    """Ascending, each in (0, 1). Raises ValueError."""
    given = tuple(float(q) for q in quantiles)
    if not given or any(not 0.0 < q < 1.0 for q in given) or list(given) != sorted(given):
        raise ValueError(f"quantiles: are {given}, must be ascending and between 0 and 1")
    return given


def checked_steps(steps: Sequence[int]) -> tuple[int, ...]:
    """Steps ahead that a model is trained for: ascending whole numbers from 1. Raises ValueError."""
    given = tuple(int(s) for s in steps)
    if not given or given[0] != 1 or any(b <= a for a, b in zip(given, given[1:], strict=False)):
        raise ValueError(f"steps: are {given}, must ascend and begin with 1")
    return given
