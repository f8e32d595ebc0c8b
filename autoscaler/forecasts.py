"""Forecasts for a fleet: which model each workload gets, when it is fitted, and what it says each minute.

Two kinds of model. A workload with a day of history gets an ensemble of its own, the busiest first, as many as the
settings allow: at once one of the methods that learn in half a second, later one of all methods, which takes a minute.
Others, and new ones, are forecast by one model over the whole fleet. All are judged by what they really issued.
`advance` takes milliseconds a workload and `fit_next` seconds to a minute, so that whoever drives this can keep fits
out of the way. It reads no clock: live it runs in a worker process, in a simulation beside the engine.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from autoscaler.config.settings import ForecastSettings
from autoscaler.core.types import DemandForecast, WorkloadId
from forecasting import (
    DampedHoltForecaster,
    EnsembleForecaster,
    PooledForecaster,
    SeasonalNaiveForecaster,
    Skill,
    SpikeForecaster,
)

MINUTE_S = 60.0
# After a minute's end, so that the tick that finishes it has run.
AFTER_MINUTE_S = 12.0
STEPS = (1, 3, 5, 10, 15, 30)
LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)
# What is asked for: the levels that sizing may provision for, between 0.80 and 0.98, and the median.
QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
REACH_MINUTES = 14 * 1440
OWN_MIN_MINUTES = 1440
FLEET_MIN_MINUTES = 60
# New workloads are taken into the fleet's model together, not each with a fit of its own.
FLEET_SPACING_S = 600.0
RETRY_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Minutes:
    """Demand of consecutive minutes, the first beginning at `first_s`; NaN where nothing is known."""

    first_s: float
    values: NDArray[np.float32]


class HistorySource(Protocol):
    """The part of DecisionEngine that forecasts are made from."""

    @property
    def workloads(self) -> tuple[WorkloadId, ...]:
        """All that the last tick had."""
        ...

    def history(self, workload: WorkloadId) -> tuple[float, array[float]]:
        """(start of the first minute, values a minute)."""
        ...


class Told:
    """Which minutes of each workload a FleetForecaster knows, so that it is told each but once."""

    def __init__(self) -> None:
        self._spans: dict[WorkloadId, tuple[float, float]] = {}
        """(first minute, end)."""

    def news(self, source: HistorySource, now_s: float) -> dict[WorkloadId, Minutes]:
        """Complete minutes that were not told yet; everything where more of the past has come to light."""
        news = {}
        for key in source.workloads:
            first_s, series = source.history(key)
            values = np.asarray(series, dtype=np.float32)
            known = np.flatnonzero(~np.isnan(values))
            if not known.size:
                continue
            begin = int(known[0])
            end = min(values.size, math.floor((now_s - first_s) / MINUTE_S))
            told_first_s, told_end_s = self._spans.get(key, (math.inf, -math.inf))
            if first_s + MINUTE_S * begin >= told_first_s:
                begin = max(begin, round((told_end_s - first_s) / MINUTE_S))
            if begin < end:
                news[key] = Minutes(first_s=first_s + MINUTE_S * begin, values=values[begin:end])
        return news

    def take(self, news: Mapping[WorkloadId, Minutes], present: frozenset[WorkloadId]) -> None:
        """Remembers that `news` were told."""
        for key, minutes in news.items():
            first_s, _ = self._spans.get(key, (minutes.first_s, 0.0))
            end_s = minutes.first_s + MINUTE_S * minutes.values.size
            self._spans[key] = (min(first_s, minutes.first_s), end_s)
        self._spans = {key: span for key, span in self._spans.items() if key in present}

    def forget(self) -> None:
        """The forecaster is a new one."""
        self._spans = {}


@dataclass(slots=True)
class _Past:
    """All that is known of one workload's demand: minutes since the epoch, from `first` on."""

    first: int
    values: NDArray[np.float32]

    @property
    def end(self) -> int:
        return self.first + self.values.size

    def between(self, first: int, end: int) -> NDArray[np.float64]:
        answer = np.full(max(0, end - first), np.nan)
        low, high = max(first, self.first), min(end, self.end)
        if low < high:
            answer[low - first : high - first] = self.values[low - self.first : high - self.first]
        return answer


@dataclass(slots=True)
class _Model:
    """A fitted model, the workloads it speaks for in its order, and until which minute it was told."""

    forecaster: EnsembleForecaster
    members: tuple[WorkloadId, ...]
    told: int
    fitted_s: float
    quick: bool = False
    """Of the methods that learn at once; one of all methods takes its place."""


class FleetForecaster:
    """Holds the past and the models of every workload."""

    def __init__(
        self,
        settings: ForecastSettings,
        *,
        own: Callable[[], EnsembleForecaster] | None = None,
        quick: Callable[[], EnsembleForecaster] | None = None,
        fleet: Callable[[], EnsembleForecaster] | None = None,
    ) -> None:
        """`own`, `quick` and `fleet` make the unfitted models; None: the product's."""
        self._settings = settings
        self._make_own, self._make_quick = own or own_model, quick or quick_model
        self._make_fleet = fleet or fleet_model
        self._pasts: dict[WorkloadId, _Past] = {}
        self._own: dict[WorkloadId, _Model] = {}
        self._fleet: _Model | None = None
        self._failed_s: dict[WorkloadId | None, float] = {}
        """When a fit last failed; None stands for the fleet's."""
        self.failures: list[str] = []
        """Why fits failed since this was last emptied; the models from before go on."""

    def advance(
        self,
        news: Mapping[WorkloadId, Minutes],
        present: frozenset[WorkloadId],
        now_s: float,
    ) -> tuple[DemandForecast, ...]:
        """Takes in new minutes, forgets workloads that are gone, and forecasts from the last complete minute."""
        for key in self._pasts.keys() - present:
            del self._pasts[key]
            self._own.pop(key, None)
        for key, minutes in news.items():
            self._take(key, minutes)
        end = int(now_s // MINUTE_S)
        answers: dict[WorkloadId, DemandForecast] = {}
        if self._fleet is not None and self._need_fleet():
            answers |= self._forecasts(self._fleet, end)
        for model in self._own.values():
            answers |= self._forecasts(model, end)
        return tuple(answers[key] for key in sorted(answers) if key in present)

    def fit_next(self, now_s: float) -> bool:
        """Fits the model that is most overdue; False if none is. A fit that fails leaves the model from before."""
        key = self._missing(now_s, self._settings.quick_models, self._own.keys())
        if key is not None:
            return self._fit_own(key, now_s, quick=True)
        if self._fleet_due(now_s):
            members = tuple(sorted(self._pasts))
            self._fleet = self._fit(self._fleet, members, now_s, make=self._make_fleet, failed=None)
            return True
        due = self._own_due(now_s)
        return due is not None and self._fit_own(due[0], now_s, quick=due[1])

    def _fit_own(self, key: WorkloadId, now_s: float, *, quick: bool) -> bool:
        before = self._own.get(key)
        if before is not None and before.quick != quick:
            before = None
        make = self._make_quick if quick else self._make_own
        fitted = self._fit(before, (key,), now_s, make=make, failed=key)
        if fitted is not None:
            self._own[key] = replace(fitted, quick=quick)
        return True

    def _take(self, key: WorkloadId, minutes: Minutes) -> None:
        first = round(minutes.first_s / MINUTE_S)
        past = self._pasts.get(key)
        if past is None or first < past.first:
            # A backfill reaches further back than what was known: everything is told anew.
            self._pasts[key] = _Past(first=first, values=minutes.values[-REACH_MINUTES:])
            self._own.pop(key, None)
            return
        gap = np.full(max(0, first - past.end), np.nan, dtype=np.float32)
        kept = past.values[: max(0, first - past.first)]
        values = np.concatenate([kept, gap, minutes.values])[-REACH_MINUTES:]
        end = max(past.end, first + minutes.values.size)
        self._pasts[key] = _Past(first=end - values.size, values=values)

    def _fleet_due(self, now_s: float) -> bool:
        longest = max((past.values.size for past in self._pasts.values()), default=0)
        if longest < FLEET_MIN_MINUTES or not self._need_fleet():
            return False
        fleet = self._fleet
        age_s = now_s - (fleet.fitted_s if fleet else float("-inf"))
        new = self._pasts.keys() - frozenset(fleet.members if fleet else ())
        wait_s = FLEET_SPACING_S if new else self._settings.fleet_refit_s
        return age_s >= wait_s and now_s - self._failed_s.get(None, float("-inf")) >= RETRY_S

    def _need_fleet(self) -> bool:
        """Whether any workload has no model of its own: the fleet's is neither fitted nor asked for those that have."""
        return not self._pasts.keys() <= self._own.keys()

    def _own_due(self, now_s: float) -> tuple[WorkloadId, bool] | None:
        """The busiest among those without a model of all methods, else the one whose model is oldest, if too old; and
        whether the quick methods are meant."""
        full = {key for key, model in self._own.items() if not model.quick}
        missing = self._missing(now_s, self._settings.own_models, full)
        if missing is not None:
            return missing, False
        overdue = [
            (model.fitted_s, key, model.quick)
            for key, model in self._own.items()
            if now_s - model.fitted_s >= self._settings.refit_s
        ]
        return min(overdue)[1:] if overdue else None

    def _missing(self, now_s: float, most: int, having: Set[WorkloadId]) -> WorkloadId | None:
        """The busiest that is not among those `having` a model, while these are fewer than `most`."""
        if len(having) >= most:
            return None
        missing = [
            (_mean(past), key)
            for key, past in self._pasts.items()
            if key not in having
            and past.values.size >= OWN_MIN_MINUTES
            and now_s - self._failed_s.get(key, float("-inf")) >= RETRY_S
        ]
        return max(missing)[1] if missing else None

    def _fit(
        self,
        before: _Model | None,
        members: tuple[WorkloadId, ...],
        now_s: float,
        *,
        make: Callable[[], EnsembleForecaster],
        failed: WorkloadId | None,
    ) -> _Model | None:
        """The one from before where it fails, which is remembered of `failed`."""
        end = int(now_s // MINUTE_S)
        pasts = [self._pasts[key] for key in members]
        first = max(end - REACH_MINUTES, min(past.first for past in pasts))
        y = np.stack([past.between(first, end) for past in pasts])
        if before is not None and before.members == members:
            # About the same workloads: what the issued forecasts taught goes on.
            forecaster = before.forecaster.set_params(warm_start=True)
        else:
            forecaster = make()
        try:
            forecaster.fit(y, cutoff=MINUTE_S * (end - 1))
        except Exception as error:  # noqa: BLE001 - the border of a fit: whatever it does, the others go on
            self.failures.append(f"{members[0]}: {type(error).__name__}: {error}")
            self._failed_s[failed] = now_s
            return before and replace(before, fitted_s=now_s)
        return _Model(forecaster=forecaster, members=members, told=end, fitted_s=now_s)

    def _forecasts(self, model: _Model, end: int) -> dict[WorkloadId, DemandForecast]:
        if end > model.told:
            y = np.stack(
                [
                    self._pasts[key].between(model.told, end)
                    if key in self._pasts
                    else np.full(end - model.told, np.nan)
                    for key in model.members
                ]
            )
            model.forecaster.update(y)
            model.told = end
        forecast = model.forecaster.predict(STEPS[-1], QUANTILES)
        skill = model.forecaster.skill()
        rows = [step - 1 for step in STEPS]
        return {
            key: DemandForecast(
                workload=key,
                cutoff_s=MINUTE_S * end,
                expires_s=MINUTE_S * end + self._settings.lasts_s,
                horizons_s=tuple(MINUTE_S * step for step in STEPS),
                quantiles=QUANTILES,
                values_rps=_plain(forecast.maximum[i][rows]),
                skills=skills_of(skill, i),
                model="own" if len(model.members) == 1 else "fleet",
            )
            for i, key in enumerate(model.members)
        }


def own_model() -> EnsembleForecaster:
    """For one workload: every method."""
    return EnsembleForecaster(steps=STEPS, levels=LEVELS)


def quick_model() -> EnsembleForecaster:
    """For one workload: the methods that learn in half a second."""
    experts = (SeasonalNaiveForecaster(), SpikeForecaster(), DampedHoltForecaster())
    return EnsembleForecaster(experts=experts, steps=STEPS, levels=LEVELS)


def fleet_model() -> EnsembleForecaster:
    """For many workloads together: what is reckoned for all of them at once."""
    experts = (DampedHoltForecaster(), PooledForecaster(steps=STEPS, levels=LEVELS))
    return EnsembleForecaster(experts=experts, steps=STEPS, levels=LEVELS)


def _mean(past: _Past) -> float:
    known = past.values[~np.isnan(past.values)]
    return float(known.mean()) if known.size else 0.0


def skills_of(skill: Skill, series: int) -> tuple[tuple[float, ...], ...]:
    """By horizon and quantile, 0 where none is shown; a quantile between levels has the next higher one's."""
    columns = [next(j for j, level in enumerate(LEVELS) if level >= q) for q in QUANTILES]
    shown = np.nan_to_num(skill.maximum[series][:, columns], nan=0.0)
    return _plain(np.clip(shown, 0.0, 1.0))


def _plain(table: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in table)
