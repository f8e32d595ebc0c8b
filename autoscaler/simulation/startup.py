"""How long a replica takes from its request until it is ready."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# The 99th percentile of a standard normal.
_NORMAL_P99 = 2.326


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """Lognormal; its p99 is `p99_ratio` times the median, and a median of 0 is ready at once.

    Raises ValueError where the numbers can't be.
    """

    median_s: float
    p99_ratio: float = 2.3
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.median_s < math.inf:
            raise ValueError(f"median_s: {self.median_s}, 0 or more")
        if not 1.0 <= self.p99_ratio < math.inf:
            raise ValueError(f"p99_ratio: {self.p99_ratio}, 1 or more")

    def draw_s(self, number: int) -> float:
        """Of the `number`-th pod of the run, the same for every policy."""
        normal = float(np.random.default_rng((self.seed, number)).standard_normal())
        return self.median_s * math.exp(normal * math.log(self.p99_ratio) / _NORMAL_P99)
