"""What was forecast, held against what came: weights of experts, conformal shifts, and skill.

Everything here is learned from forecasts as they were issued, or as they would have been on a part of the past that was
held out of the fit. Shapes: S series, O origins, 2 kinds (the value at a step, the highest until then), A steps ahead,
L levels, E experts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecasting.empirical import sample_quantiles
from forecasting.types import Array

# Losses relative to the best are raised to this power: an expert 3 % worse weighs half of the best, one 12 % worse a
# tenth.
SHARPNESS = 20.0
# A shift counts half when this many residuals lie beyond its level: of 288 in a day, 14 beyond 0.95 count three
# quarters, the 3 beyond 0.99 a third.
HALF_BELIEVED = 5.0


def pinball(outcome: Array, quantile: Array, levels: Array) -> Array:
    """Pinball loss; the arrays broadcast. Koenker and Bassett, Econometrica 46, 1978."""
    missed = outcome - quantile
    return np.asarray(np.maximum(levels * missed, (levels - 1.0) * missed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """How much better than the naive forecast the issued ones were, for each series, step ahead and level."""

    steps: tuple[int, ...]
    levels: tuple[float, ...]
    value: Array
    """(series, steps, levels): 1 - pinball / naive's pinball; 1 is perfect, 0 no better, NaN before any outcome."""
    maximum: Array
    """The same for the highest value until the step."""
    samples: Array
    """(series,): issued forecasts behind it, older ones counting less."""


class _Fading:
    """A sum in which what was added `half_life` steps ago counts half."""

    def __init__(self, shape: Sequence[int], half_life: float) -> None:
        self.value = np.zeros(shape)
        self.at: int | None = None
        self._half_life = half_life

    def add(self, at: int, amount: Array) -> None:
        if self.at is not None:
            self.value *= 0.5 ** ((at - self.at) / self._half_life)
        self.value += amount
        self.at = at


class Calibration:
    """Fading losses of experts and of what was issued, and the residuals of the last `window` steps."""

    def __init__(
        self,
        *,
        experts: int,
        series: int,
        steps: Sequence[int],
        levels: Sequence[float],
        window: int,
        half_life: float,
    ) -> None:
        self.steps, self.levels = tuple(steps), tuple(levels)
        self._levels = np.array(self.levels)
        self._window = window
        shape = (series, 2, len(self.steps), len(self.levels))
        self._losses = _Fading((experts, *shape), half_life)
        self._issued, self._naive = _Fading(shape, half_life), _Fading(shape, half_life)
        self._samples = _Fading((series,), half_life)
        self._residuals = np.zeros((series, 0, *shape[1:]))
        self._residuals_at = np.zeros(0, dtype=np.int64)
        self._shifts: Array | None = None

    def judge(self, at: int, outcome: Array, experts: Array) -> None:
        """Takes in outcomes (S, 2, A) of one origin `at` and what the experts said (E, S, 2, A, L)."""
        self._losses.add(at, self._loss(outcome, experts))

    def score(self, at: int, outcome: Array, issued: Array, naive: Array) -> None:
        """Takes in outcomes (S, 2, A) of one origin `at`, what was issued and what the naive one said (S, 2, A, L)."""
        self._issued.add(at, self._loss(outcome, issued))
        self._naive.add(at, self._loss(outcome, naive))
        known = np.isfinite(outcome).any(axis=(1, 2))
        self._samples.add(at, np.where(known, 1.0, 0.0))

    def _loss(self, outcome: Array, quantiles: Array) -> Array:
        known = np.isfinite(outcome)
        told = np.where(known, outcome, 0.0)[..., None]
        return pinball(told, quantiles, self._levels) * known[..., None]

    def remember(self, at: NDArray[np.int64], residuals: Array) -> None:
        """Residuals (S, O, 2, A, L) of the combined forecast before its shift, at origins `at`; NaN for unknown."""
        times = np.concatenate([self._residuals_at, at])
        kept = times > times[-1] - self._window
        self._residuals_at = times[kept]
        self._residuals = np.concatenate([self._residuals, residuals], axis=1)[:, kept]
        self._shifts = None

    @property
    def remembered_at(self) -> int:
        """The newest origin whose residuals are kept; far in the past before any."""
        return int(self._residuals_at[-1]) if self._residuals_at.size else -(2**62)

    @property
    def weights(self) -> Array:
        """(E, S, 2, A, L), adding up to 1. Before any outcome only the first expert, the naive one, counts."""
        losses = self._losses.value
        if self._losses.at is None:
            answer = np.zeros_like(losses)
            answer[0] = 1.0
            return answer
        best = losses.min(axis=0)
        # Experts that never missed share alike.
        ratio = np.divide(best, losses, out=np.ones_like(losses), where=losses > 0.0)
        raw = ratio**SHARPNESS
        return np.asarray(raw / raw.sum(axis=0))

    def shifts(self) -> Array:
        """(S, 2, A, L): what is added so that each level covers what it should have covered lately.

        The median is left alone: it is where the experts agree best, and a day's bias is mostly chance.
        """
        if self._shifts is None:
            self._shifts = self._fresh_shifts()
        return self._shifts

    def _fresh_shifts(self) -> Array:
        series, count = self._residuals.shape[:2]
        answer = np.zeros((series, 2, len(self.steps), len(self.levels)))
        if not count:
            return answer
        for kind in range(2):
            for a in range(len(self.steps)):
                for i, level in enumerate(self.levels):
                    if level <= 0.5:
                        continue
                    residuals = self._residuals[:, :, kind, a, i]
                    beyond = (~np.isnan(residuals)).sum(axis=1) * (1.0 - level)
                    drawn = beyond / (beyond + HALF_BELIEVED)
                    answer[:, kind, a, i] = drawn * sample_quantiles(residuals, (level,))[:, 0]
        return answer

    def skill(self) -> Skill:
        """From what was issued, and from what would have been on the held-out part."""
        issued, naive = self._issued.value, self._naive.value
        # Neither missed anything: no better and no worse.
        saved = 1.0 - np.divide(issued, naive, out=np.ones_like(issued), where=naive > 0.0)
        saved[self._samples.value == 0.0] = np.nan
        return Skill(
            steps=self.steps,
            levels=self.levels,
            value=saved[:, 0],
            maximum=saved[:, 1],
            samples=self._samples.value.copy(),
        )

    def state(self) -> dict[str, Any]:
        """As numbers in lists."""
        sums = {name: (part.at, part.value.tolist()) for name, part in self._sums().items()}
        return {
            "sums": sums,
            "residuals": self._residuals.tolist(),
            "residuals_at": self._residuals_at.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Raises ValueError where shapes differ."""
        for name, part in self._sums().items():
            at, value = state["sums"][name]
            taken = np.array(value)
            if taken.shape != part.value.shape:
                raise ValueError(
                    f"state: {name} has shape {taken.shape}, must be {part.value.shape}"
                )
            part.at, part.value = at, taken
        shape = self._residuals.shape
        self._residuals_at = np.array(state["residuals_at"], dtype=np.int64)
        self._residuals = np.array(state["residuals"]).reshape(shape[0], -1, *shape[2:])
        self._shifts = None

    def _sums(self) -> dict[str, _Fading]:
        return {
            "losses": self._losses,
            "issued": self._issued,
            "naive": self._naive,
            "samples": self._samples,
        }
