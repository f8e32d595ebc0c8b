"""Several forecasters as one: weights follow recent pinball loss, levels are shifted to what they covered.

Combining quantiles (not densities) keeps them sharp; Lichtendahl, Grushka-Cockayne and Winkler, Management Science 59,
2013. The shift is split-conformal on the last days' own residuals, as in conformalised quantile regression (Romano,
Patterson and Candes, NeurIPS 2019), recomputed as outcomes come in.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecasting.base import BaseForecaster, log_offset
from forecasting.boosted import LEVELS, STEPS, BoostedForecaster, require_horizon
from forecasting.calibration import Calibration, Skill
from forecasting.checks import checked_steps
from forecasting.empirical import at_levels, at_steps
from forecasting.history import Event, History
from forecasting.holt import DampedHoltForecaster
from forecasting.naive import NaiveForecaster
from forecasting.seasonal import SeasonalNaiveForecaster
from forecasting.spikes import SpikeForecaster
from forecasting.types import Array, Forecast, Grid

# Every origin is judged, and fewer for large fleets, so that series x origins stays below this. What the clock starts
# lies in few of them: a jump at the full hour is ahead of a single origin one step before, which every fifth origin of
# a fit at the full hour leaves out on every day.
MOST_JUDGED = 200_000
# Residuals are remembered of every fifth at most, since neighbours tell nearly the same.
REMEMBERED_EVERY = 5
MIN_STEPS = 240


@dataclass(frozen=True, slots=True)
class _Issued:
    """A forecast that waits for its outcome: logarithms (E, S, 2, A, L) and (S, 2, A, L)."""

    at: int
    experts: Array
    combined: Array
    final: Array


class EnsembleForecaster(BaseForecaster):
    """The forecast that the autoscaler provisions by.

    `fit` learns everything anew: experts without the last `holdout` steps are judged on them, then fitted on all. With
    `warm_start` a later `fit` on the grown history fits the experts only and keeps what the issued forecasts taught.
    A usual period is supposed from two held-out parts on, for then it is judged; the first fit of so many learns anew.
    `update` appends, and judges what was issued once its outcomes are known. `experts` are unfitted forecasters; the
    naive one is added in front, as the yardstick and the last resort.
    """

    def __init__(
        self,
        *,
        experts: tuple[BaseForecaster, ...] | None = None,
        steps: tuple[int, ...] = STEPS,
        levels: tuple[float, ...] = LEVELS,
        holdout: int = 1440,
        window: int = 1440,
        half_life: float = 1440.0,
        warm_start: bool = False,
        random_state: int = 0,
        step: float = 60.0,
    ) -> None:
        self.experts = experts
        self.steps = steps
        self.levels = levels
        self.holdout = holdout
        self.window = window
        self.half_life = half_life
        self.warm_start = warm_start
        self.random_state = random_state
        self.step = step

    def skill(self) -> Skill:
        """Of the forecasts that were issued, and of the held-out part's. Raises NotFittedError."""
        self._fitted()
        return self.calibration_.skill()

    def predict(self, horizon: int, quantiles: Sequence[float]) -> Forecast:
        """As in BaseForecaster; the forecast counts as issued and is judged when its outcomes come."""
        history = self._fitted()
        at = history.first_index + history.steps - 1
        if not self._pending_ or self._pending_[-1].at != at:
            experts = self._logs(history, np.array([history.steps - 1]))[:, :, 0]
            combined = self._combined(experts[:, :, None])[:, 0]
            final = _ordered(combined + self.calibration_.shifts())
            self._pending_.append(_Issued(at=at, experts=experts, combined=combined, final=final))
        return super().predict(horizon, quantiles)

    def _learn(self, history: History) -> None:
        steps = checked_steps(self.steps)
        with_usual = history.steps >= 2 * self.holdout
        fresh = not (self.warm_start and getattr(self, "with_usual_", None) == with_usual)
        if fresh:
            self.with_usual_ = with_usual
            self.offset_ = log_offset(history)
            self._pending_: list[_Issued] = []
            self.calibration_ = Calibration(
                experts=len(self._unfitted()),
                series=history.series,
                steps=steps,
                levels=self.levels,
                window=self.window,
                half_life=self.half_life,
            )
            # Of less than three held-out parts a whole one is left to learn from, for of a cycle.
            longest = max(history.steps // 3, history.steps - self.holdout)
            holdout = min(self.holdout, longest)
            if history.steps >= MIN_STEPS:
                self.experts_ = self._fit_experts(history.until(history.steps - holdout))
                self._judge_holdout(history, holdout)
        self.experts_ = self._fit_experts(history)

    def _unfitted(self) -> list[BaseForecaster]:
        given = self.experts
        if given is None:
            boosted = {
                "steps": self.steps,
                "levels": self.levels,
                "random_state": self.random_state,
                "step": self.step,
            }
            given = (
                SeasonalNaiveForecaster(step=self.step),
                SpikeForecaster(step=self.step),
                DampedHoltForecaster(step=self.step),
                BoostedForecaster(**boosted),  # type: ignore[arg-type]
                BoostedForecaster(linear_first=True, **boosted),  # type: ignore[arg-type]
            )
        experts = [NaiveForecaster(step=self.step), *(copy.copy(expert) for expert in given)]
        for expert in experts:
            if isinstance(expert, SeasonalNaiveForecaster) and not self.with_usual_:
                expert.usual = 0
        return experts

    def _fit_experts(self, history: History) -> list[BaseForecaster]:
        experts = self._unfitted()
        for expert in experts:
            expert._learn(history)
        return experts

    def _judge_holdout(self, history: History, holdout: int) -> None:
        """The held-out part, seen by experts that were fitted before it."""
        last = history.steps - 1
        every = _judged_every(history, holdout)
        origins = np.arange(last - holdout + 1, last - self.steps[-1] + 1, every)
        if not origins.size:
            return
        logs = self._logs(history, origins)
        outcome = self._outcomes(history, origins)
        experts = self._demand(logs, axis=1)
        at = history.first_index + origins
        for i, origin in enumerate(at):
            self.calibration_.judge(int(origin), outcome[:, i], experts[:, :, i])
        # Only now there are weights to combine by.
        combined = self._combined(logs)
        kept = slice(None, None, -(-REMEMBERED_EVERY // every))
        residuals = self._log(outcome[:, kept])[..., None] - combined[:, kept]
        self.calibration_.remember(at[kept], residuals)
        issued = self._demand(combined)
        for i, origin in enumerate(at):
            self.calibration_.score(int(origin), outcome[:, i], issued[:, i], experts[0][:, i])

    def _observe(self, history: History) -> None:
        for expert in self.experts_:
            expert._observe(history)
        last = history.first_index + history.steps - 1
        while self._pending_ and self._pending_[0].at + self.steps[-1] <= last:
            issued = self._pending_.pop(0)
            origin = np.array([issued.at - history.first_index])
            if origin[0] < 0:
                continue
            self._judge(history, issued, self._outcomes(history, origin)[:, 0])

    def _judge(self, history: History, issued: _Issued, outcome: Array) -> None:
        experts = self._demand(issued.experts, axis=1)
        self.calibration_.judge(issued.at, outcome, experts)
        self.calibration_.score(issued.at, outcome, self._demand(issued.final), experts[0])
        residuals = self._log(outcome)[..., None] - issued.combined
        every = max(REMEMBERED_EVERY, _judged_every(history, self.window))
        if issued.at >= self.calibration_.remembered_at + every:
            self.calibration_.remember(np.array([issued.at]), residuals[:, None])

    def _quantiles(
        self,
        history: History,
        origins: NDArray[np.int64],
        steps: Sequence[int],
        levels: Sequence[float],
    ) -> Grid:
        require_horizon(steps, self.steps)
        at = history.first_index + int(origins[-1])
        if origins.size == 1 and self._pending_ and self._pending_[-1].at == at:
            final = self._pending_[-1].final[:, None]
        else:
            combined = self._combined(self._logs(history, origins))
            final = _ordered(combined + self.calibration_.shifts()[:, None])
        told = at_steps(at_levels(final, self.levels, levels), self.steps, steps)
        demand = self._demand(told)
        return Grid(values=demand[:, :, 0], maximum=demand[:, :, 1])

    def _logs(self, history: History, origins: NDArray[np.int64]) -> Array:
        """(E, S, O, 2, A, L): logarithms of what each expert says."""
        grids = [e._quantiles(history, origins, self.steps, self.levels) for e in self.experts_]
        stack = np.stack([np.stack([g.values, g.maximum], axis=2) for g in grids])
        return self._log(np.maximum(stack, 0.0), axis=1)

    def _combined(self, experts: Array) -> Array:
        weights = self.calibration_.weights[:, :, None]
        return _ordered((weights * experts).sum(axis=0))

    def _outcomes(self, history: History, origins: NDArray[np.int64]) -> Array:
        """(S, O, 2, A)."""
        pairs = [history.outcomes(origins, ahead) for ahead in self.steps]
        return np.stack([np.stack(pair, axis=2) for pair in pairs], axis=3)

    def _log(self, demand: Array, axis: int = 0) -> Array:
        """log(demand + offset); `axis` is that of the series."""
        return np.asarray(np.log(demand + self._offset(demand.ndim, axis)))

    def _demand(self, logs: Array, axis: int = 0) -> Array:
        """Back from logarithms."""
        return np.asarray(np.maximum(np.exp(logs) - self._offset(logs.ndim, axis), 0.0))

    def _offset(self, dimensions: int, axis: int) -> Array:
        return self.offset_.reshape([-1 if i == axis else 1 for i in range(dimensions)])

    def state(self) -> dict[str, Any]:
        """As in BaseForecaster, with what the issued forecasts taught."""
        state = super().state()
        state["params"].pop("experts")
        return {**state, "calibration": self.calibration_.state()}

    def restore(self, state: dict[str, Any], y: ArrayLike, *, events: Sequence[Event] = ()) -> Self:
        """As in BaseForecaster."""
        super().restore(state, y, events=events)
        self.calibration_.restore(state["calibration"])
        return self


def _judged_every(history: History, span: int) -> int:
    return max(1, history.series * span // MOST_JUDGED)


def _ordered(logs: Array) -> Array:
    """Quantiles in the order of their levels."""
    return np.asarray(np.maximum.accumulate(logs, axis=-1))
