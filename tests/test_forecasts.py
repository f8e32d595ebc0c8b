"""Which model a workload gets, when it is fitted, and what is said of it each minute."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from autoscaler.config.settings import ForecastSettings
from autoscaler.core.types import WorkloadId
from autoscaler.forecasts import (
    LEVELS,
    QUANTILES,
    STEPS,
    FleetForecaster,
    Minutes,
    fleet_model,
    quick_model,
)
from forecasting import DampedHoltForecaster, EnsembleForecaster
from tests.forecasting.demand import noise

START_S = 1_000_000_000.0 - 1_000_000_000.0 % 60.0
BERT = WorkloadId(namespace="team", name="bert")
VIT = WorkloadId(namespace="team", name="vit")


def minutes(values: np.ndarray, first_s: float = START_S) -> Minutes:
    return Minutes(first_s=first_s, values=np.asarray(values, dtype=np.float32))


def at(minute: float) -> float:
    return START_S + 60.0 * minute


def quick() -> EnsembleForecaster:
    """The product's horizons and levels, and a method that learns at once."""
    return EnsembleForecaster(experts=(DampedHoltForecaster(),), steps=STEPS, levels=LEVELS)


def fleet(**settings: object) -> FleetForecaster:
    given = ForecastSettings(**({"own_models": 0, "quick_models": 0} | settings))  # type: ignore[arg-type]
    return FleetForecaster(given, own=quick, quick=quick, fleet=quick)


def watched(forecasts: FleetForecaster, *kinds: str) -> list[str]:
    """Which kinds of models are made from now on, in their order."""
    made: list[str] = []

    def make(kind: str) -> EnsembleForecaster:
        made.append(kind)
        return quick()

    for kind in kinds:
        setattr(forecasts, f"_make_{kind}", functools.partial(make, kind))
    return made


def test_nothing_is_said_before_there_is_an_hour_of_demand() -> None:
    forecasts = fleet()
    assert forecasts.advance({BERT: minutes(noise(50.0, 59))}, frozenset({BERT}), at(59)) == ()
    assert not forecasts.fit_next(at(59))
    forecasts.advance({BERT: minutes(np.array([50.0]), at(59))}, frozenset({BERT}), at(60))
    assert forecasts.fit_next(at(60))
    assert not forecasts.fit_next(at(60))


def test_a_forecast_has_every_horizon_and_quantile_and_ends() -> None:
    forecasts = fleet()
    news = {BERT: minutes(noise(50.0, 300)), VIT: minutes(noise(5.0, 300, seed=8))}
    forecasts.advance(news, frozenset(news), at(300))
    assert forecasts.fit_next(at(300))
    told = forecasts.advance({}, frozenset(news), at(300))
    assert [item.workload for item in told] == [BERT, VIT]
    bert = told[0]
    assert (bert.cutoff_s, bert.expires_s, bert.model) == (at(300), at(305), "fleet")
    assert bert.horizons_s == tuple(60.0 * step for step in STEPS)
    assert np.shape(bert.values_rps) == np.shape(bert.skills) == (len(STEPS), len(QUANTILES))
    assert 40.0 < bert.values_rps[0][0] < 60.0 < bert.values_rps[-1][-1] < 120.0
    assert all(0.0 <= skill <= 1.0 for row in bert.skills for skill in row)


def test_minutes_that_are_missing_are_gaps_and_not_zeros() -> None:
    forecasts = fleet()
    forecasts.advance({BERT: minutes(noise(50.0, 300))}, frozenset({BERT}), at(300))
    forecasts.fit_next(at(300))
    # Ten minutes later nothing more is known.
    told = forecasts.advance({}, frozenset({BERT}), at(310))
    assert told[0].values_rps[0][0] > 40.0


def test_who_is_gone_is_forgotten_and_who_is_new_is_taken_in() -> None:
    forecasts = fleet()
    forecasts.advance({BERT: minutes(noise(50.0, 300))}, frozenset({BERT}), at(300))
    forecasts.fit_next(at(300))
    news = {VIT: minutes(noise(5.0, 30), at(271))}
    told = forecasts.advance(news, frozenset({VIT}), at(301))
    assert told == ()
    # Not at once: new workloads are taken in together.
    assert not forecasts.fit_next(at(301))
    forecasts.advance({VIT: minutes(noise(5.0, 60), at(301))}, frozenset({VIT}), at(361))
    assert forecasts.fit_next(at(361))
    told = forecasts.advance({}, frozenset({VIT}), at(361))
    assert [item.workload for item in told] == [VIT]


def test_a_day_of_history_earns_a_model_of_its_own_the_busiest_first() -> None:
    forecasts = fleet(own_models=1)
    news = {BERT: minutes(noise(5.0, 1440)), VIT: minutes(noise(50.0, 1440, seed=8))}
    forecasts.advance(news, frozenset(news), at(1440))
    assert forecasts.fit_next(at(1440))  # the fleet's
    assert forecasts.fit_next(at(1440))  # VIT's own
    assert not forecasts.fit_next(at(1440))
    told = forecasts.advance({}, frozenset(news), at(1440))
    assert {item.workload: item.model for item in told} == {BERT: "fleet", VIT: "own"}


def test_a_day_of_history_earns_a_quick_model_at_once_and_one_of_all_methods_later() -> None:
    """After a restart a hundred models of a minute each are to be fitted; until its turn each has a quick one."""
    forecasts = fleet(own_models=1, quick_models=2, refit_s=3600.0)
    made = watched(forecasts, "own", "quick", "fleet")
    news = {BERT: minutes(noise(5.0, 1440)), VIT: minutes(noise(50.0, 1440, seed=8))}
    forecasts.advance(news, frozenset(news), at(1440))
    while forecasts.fit_next(at(1440)):
        pass
    assert made == ["quick", "quick", "own"]
    told = forecasts.advance({}, frozenset(news), at(1440))
    assert {item.workload: item.model for item in told} == {BERT: "own", VIT: "own"}
    # Those that are too old learn anew; nobody begins again with a quick one.
    while forecasts.fit_next(at(1501)):
        pass
    assert made == ["quick", "quick", "own"]
    assert [model.fitted_s for model in forecasts._own.values()] == [at(1501), at(1501)]


def test_the_fleet_s_model_costs_nothing_while_all_have_their_own() -> None:
    forecasts = fleet(quick_models=2)
    made = watched(forecasts, "quick", "fleet")
    forecasts.advance({BERT: minutes(noise(5.0, 1440))}, frozenset({BERT}), at(1440))
    while forecasts.fit_next(at(1440)):
        pass
    assert made == ["quick"]
    # One that is an hour old has none.
    news = {BERT: minutes(noise(5.0, 60), at(1440)), VIT: minutes(noise(50.0, 60), at(1440))}
    forecasts.advance(news, frozenset(news), at(1500))
    while forecasts.fit_next(at(1500)):
        pass
    assert made == ["quick", "fleet"]
    told = forecasts.advance({}, frozenset(news), at(1500))
    assert {item.workload: item.model for item in told} == {BERT: "own", VIT: "fleet"}


def test_a_backfill_that_reaches_further_back_replaces_what_was_known() -> None:
    forecasts = fleet()
    forecasts.advance({BERT: minutes(noise(50.0, 10), at(290))}, frozenset({BERT}), at(300))
    forecasts.advance({BERT: minutes(noise(50.0, 300))}, frozenset({BERT}), at(300))
    assert forecasts.fit_next(at(300))


def test_the_quick_methods_know_a_daily_jump_three_minutes_ahead() -> None:
    minute = np.arange(8 * 1440)
    jump = (minute % 1440 >= 600) & (minute % 1440 < 660)
    demand = np.random.default_rng(1).poisson(np.where(jump, 6000.0, 600.0)) / 60.0
    told = quick_model().fit(demand[None, : 7 * 1440 + 598]).predict(STEPS[-1], QUANTILES)
    assert told.maximum[0, 0, 3] < 20.0
    assert told.maximum[0, 2, 3] > 80.0


def test_a_fit_that_fails_is_told_and_the_model_from_before_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forecasts = fleet(fleet_refit_s=60.0)
    forecasts.advance({BERT: minutes(noise(50.0, 300))}, frozenset({BERT}), at(300))
    forecasts.fit_next(at(300))

    def fail(*_: object) -> None:
        raise ValueError("no rows")

    monkeypatch.setattr("forecasting.holt.DampedHoltForecaster._learn", fail)
    forecasts.advance({BERT: minutes(np.array([50.0]), at(300))}, frozenset({BERT}), at(301))
    assert forecasts.fit_next(at(301))
    assert forecasts.failures == ["team/bert: ValueError: no rows"]
    assert not forecasts.fit_next(at(302))  # not again at once
    assert forecasts.advance({}, frozenset({BERT}), at(302))[0].values_rps[0][0] > 40.0


def test_the_fleet_s_own_model_learns_from_all_workloads_together() -> None:
    model = fleet_model().set_params(holdout=100)
    demand = np.stack([noise(50.0, 400), noise(5.0, 400, seed=8)])
    forecast = model.fit(demand).predict(STEPS[-1], QUANTILES)
    assert forecast.maximum.shape == (2, STEPS[-1], len(QUANTILES))
    assert forecast.maximum[0, -1, 3] > 3.0 * forecast.maximum[1, -1, 3]
