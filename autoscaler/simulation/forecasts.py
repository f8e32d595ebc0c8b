"""Where a simulated forescale gets its forecasts from: models that are fitted beside the run, or a record of such.

What was forecast of a series does not depend on the start-up, nor on what was decided: one record serves many runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from autoscaler.config.settings import ForecastSettings
from autoscaler.core.types import DemandForecast, WorkloadId
from autoscaler.engine import DecisionEngine
from autoscaler.forecasts import (
    AFTER_MINUTE_S,
    MINUTE_S,
    QUANTILES,
    REACH_MINUTES,
    STEPS,
    FleetForecaster,
    Told,
    own_model,
    skills_of,
)


class Forecasts(Protocol):
    """What the controller's worker does live."""

    def issued(self, engine: DecisionEngine, now_s: float) -> tuple[DemandForecast, ...]:
        """Those that are new at `now_s`: once a minute, some seconds after its end; none in between."""
        ...


class FittedForecasts:
    """A forecaster that is told what the engine saw; fits take no time here."""

    def __init__(self, forecaster: FleetForecaster) -> None:
        self._forecaster = forecaster
        self._told = Told()
        self._minute: float | None = None

    def issued(self, engine: DecisionEngine, now_s: float) -> tuple[DemandForecast, ...]:
        """As in Forecasts."""
        minute = (now_s - AFTER_MINUTE_S) // MINUTE_S
        if minute == self._minute:
            return ()
        self._minute = minute
        present = frozenset(engine.workloads)
        news = self._told.news(engine, now_s)
        issued = self._forecaster.advance(news, present, now_s)
        self._told.take(news, present)
        while self._forecaster.fit_next(now_s):
            pass
        return issued


class NoForecasts:
    """Where the settings have them off."""

    def issued(self, engine: DecisionEngine, now_s: float) -> tuple[DemandForecast, ...]:
        """As in Forecasts."""
        return ()


class KeptForecasts:
    """What `source` said in the first run, said again in further ones that tick at the same moments.

    Models are fitted once for all start-ups: demand is the same, and nothing of it depends on what was decided.
    """

    def __init__(self, source: Forecasts) -> None:
        self._source = source
        self._kept: dict[float, tuple[DemandForecast, ...]] = {}

    def issued(self, engine: DecisionEngine, now_s: float) -> tuple[DemandForecast, ...]:
        """As in Forecasts."""
        if now_s not in self._kept:
            self._kept[now_s] = self._source.issued(engine, now_s)
        return self._kept[now_s]


def forecasts_of(settings: ForecastSettings) -> Forecasts:
    """As live with these settings, for all runs under one demand."""
    if not settings.enabled:
        return NoForecasts()
    return KeptForecasts(FittedForecasts(FleetForecaster(settings)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRecord:
    """What was forecast at each minute of a run, from the first on."""

    maximum_rps: NDArray[np.float32]
    """Shape (minutes, horizons, quantiles): of the highest demand from that minute on. NaN: none was made."""
    skills: NDArray[np.float32]
    """Of the same shape."""
    lasts_s: float


def record_of(
    past_rps: NDArray[np.float64],
    run_rps: NDArray[np.float64],
    settings: ForecastSettings,
    *,
    progress: Callable[[float], None] = lambda _: None,
) -> ForecastRecord:
    """Leads a workload's own model through a run. Both are demand by minute, the past up to the run.

    Fitted at the start on all that lies before, and anew as often as live. Takes minutes, so that it is worth keeping.
    """
    past_rps = past_rps[-REACH_MINUTES:]
    demand = np.concatenate([past_rps, run_rps])
    refit = round(settings.refit_s / MINUTE_S)
    shape = (run_rps.size, len(STEPS), len(QUANTILES))
    maximum, skills = np.empty(shape, np.float32), np.empty(shape, np.float32)
    model = own_model()
    rows = [step - 1 for step in STEPS]
    for minute in range(run_rps.size):
        end = past_rps.size + minute
        if minute:
            model.update(demand[None, end - 1 : end])
        if minute % refit == 0:
            model.set_params(warm_start=minute > 0)
            known = demand[None, max(0, end - REACH_MINUTES) : end]
            model.fit(known, cutoff=MINUTE_S * (end - 1))
        maximum[minute] = model.predict(STEPS[-1], QUANTILES).maximum[0][rows]
        skills[minute] = skills_of(model.skill(), 0)
        progress((minute + 1) / run_rps.size)
    return ForecastRecord(maximum_rps=maximum, skills=skills, lasts_s=settings.lasts_s)


class RecordedForecasts:
    """Says of one workload what was recorded, the run beginning at `epoch_s`."""

    def __init__(self, record: ForecastRecord, workload: WorkloadId, epoch_s: float) -> None:
        self._record = record
        self._workload = workload
        self._epoch_s = epoch_s
        self._minute = -1

    def issued(self, engine: DecisionEngine, now_s: float) -> tuple[DemandForecast, ...]:
        """As in Forecasts."""
        minute = int((now_s - self._epoch_s - AFTER_MINUTE_S) // MINUTE_S)
        record = self._record
        if minute == self._minute or not 0 <= minute < len(record.maximum_rps):
            return ()
        self._minute = minute
        if np.isnan(record.maximum_rps[minute]).any():
            return ()
        cutoff_s = self._epoch_s + MINUTE_S * minute
        return (
            DemandForecast(
                workload=self._workload,
                cutoff_s=cutoff_s,
                expires_s=cutoff_s + record.lasts_s,
                horizons_s=tuple(MINUTE_S * step for step in STEPS),
                quantiles=QUANTILES,
                values_rps=tuple(map(tuple, record.maximum_rps[minute].tolist())),
                skills=tuple(map(tuple, record.skills[minute].tolist())),
                model="record",
            ),
        )
