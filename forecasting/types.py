"""Values of the library: a forecast is quantiles over steps ahead, made at a cutoff."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is expected after `cutoff`, step by step.

    `values[i, j]` is quantile `quantiles[j]` at `i + 1` steps after the cutoff; `maximum[i, j]` that of the highest
    value within the next `i + 1` steps. Both have shape (horizon, len(quantiles)), or (series, horizon, len(quantiles))
    where many series were given together. They never fall with the quantile and are never negative; `maximum` never
    falls with the step.
    """

    cutoff: float
    """Time of the last observation, in the unit of the caller's times."""
    step: float
    quantiles: tuple[float, ...]
    values: Array
    maximum: Array

    @property
    def horizon(self) -> int:
        """Steps ahead."""
        return int(self.values.shape[-2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Quantiles at chosen steps and levels, for many origins: what models pass to each other.

    Both arrays have shape (series, origins, steps, levels).
    """

    values: Array
    maximum: Array


class NotFittedError(ValueError):
    """`predict` or `update` was called before `fit`."""
