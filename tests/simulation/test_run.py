"""The modelled cluster seen as collectors see one, the peers' documented rules, and one engine in every driver."""

from __future__ import annotations

import numpy as np

from autoscaler import codec
from autoscaler.config.settings import ForecastSettings
from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import DemandForecast, TickInput, TickResult
from autoscaler.engine import DecisionEngine
from autoscaler.forecasts import LEVELS, STEPS, FleetForecaster
from autoscaler.simulation.cluster import ModelledCluster
from autoscaler.simulation.forecasts import FittedForecasts, KeptForecasts
from autoscaler.simulation.peers.forescale import Forescale
from autoscaler.simulation.peers.static import Static
from autoscaler.simulation.run import run, static_peak
from autoscaler.simulation.score import minutes_of, score
from autoscaler.simulation.startup import Startup
from forecasting import DampedHoltForecaster, EnsembleForecaster
from tests.simulation.worlds import MODEL, arrivals, scenario


def test_the_static_peak_is_the_fewest_that_hold_every_minute() -> None:
    due = arrivals(95.0, 600.0)
    fewest = static_peak(MODEL, due, threshold_s=0.3, goal=0.99)
    ratios = []
    for replicas in (fewest - 1, fewest):
        world = ModelledCluster(scenario(threshold_s=0.3), due, replicas=replicas)
        result = run(Static(replicas), world, duration_s=600.0)
        ratios.append(result.worst_minute_ratio)
    assert fewest == 4
    assert ratios[0] < 0.99 <= ratios[1]


def test_a_score_by_hand() -> None:
    # Two minutes of 100 requests; in the second, half of them miss.
    due = np.concatenate([np.linspace(0.0, 59.0, 100), np.linspace(60.0, 119.0, 100)])
    good = np.array([True] * 100 + [True, False] * 50)
    result = score(
        "by hand",
        minutes_of(good, due, 120.0),
        goal=0.99,
        gpu_hours=1.0,
        replicas=((0.0, 1), (60.0, 2)),
    )
    assert result.attainment_ratio == 0.75
    assert (result.worst_minute_ratio, result.worst_minute_s) == (0.5, 60.0)
    assert (result.changes, result.longest_bad_s, result.good_windows_ratio) == (1, 60.0, 0.0)
    assert result.worst_window_ratio == 0.75


class Recording(DecisionEngine):
    """Keeps what it was asked and answered, as the journal does."""

    def __init__(self) -> None:
        super().__init__(EngineConfig())
        self.kept: list[tuple[bytes, bytes]] = []

    def tick(self, tick_input: TickInput) -> TickResult:
        result = super().tick(tick_input)
        self.kept.append((codec.encode(tick_input), codec.encode(result)))
        return result


class Told:
    """A cluster of which only a recorded input is known."""

    def __init__(self, given: TickInput) -> None:
        self._given = given
        self.now_s, self.replicas = given.now_s, given.workloads[0].replicas.desired

    def tick_input(self) -> TickInput:
        return self._given

    def totals(self) -> None:
        return None


def test_the_same_decisions_simulated_and_from_the_journal() -> None:
    due = np.sort(np.concatenate([arrivals(30.0, 1200.0), 300.0 + arrivals(90.0, 400.0, seed=4)]))
    engine = Recording()
    world = ModelledCluster(scenario(startup=Startup(median_s=30.0)), due, replicas=2)
    result = run(Forescale(engine), world, duration_s=1200.0)
    assert result.changes >= 3
    again = Forescale(DecisionEngine(EngineConfig()))
    for asked, answered in engine.kept:
        given = codec.decode(asked, TickInput)
        before = codec.decode(answered, TickResult)
        assert again.replicas(Told(given)) == before.decisions[0].target
        assert again.decisions[-1][1] == before.decisions[0]


def test_forecasts_are_issued_each_minute_and_counted_in_as_far_as_they_have_skill() -> None:
    # Steady demand: a mean of the last minutes tells more than the last one.
    due = arrivals(40.0, 10800.0)

    def model() -> EnsembleForecaster:
        return EnsembleForecaster(experts=(DampedHoltForecaster(),), steps=STEPS, levels=LEVELS)

    forecasts = FittedForecasts(
        FleetForecaster(ForecastSettings(own_models=0, quick_models=0), own=model, fleet=model)
    )
    policy = Forescale(Recording(), forecasts=forecasts)
    world = ModelledCluster(scenario(startup=Startup(median_s=120.0)), due, replicas=2)
    run(policy, world, duration_s=10800.0)
    given = [codec.decode(asked, TickInput) for asked, _ in policy.engine.kept]  # type: ignore[attr-defined]
    issued = [item.now_s for item in given if item.forecasts]
    # Fitted after an hour, and asked from the next minute on: once a minute, twelve seconds after it or more.
    assert len(issued) == 119
    assert all(12.0 <= now_s % 60.0 < 22.0 for now_s in issued)
    told = [step.message for _, decision in policy.decisions for step in decision.steps]
    assert any("forecast" in message and "skill" in message for message in told)


def test_models_are_fitted_once_for_all_runs_under_one_demand() -> None:
    asked: list[float] = []

    class Source:
        def issued(self, engine: DecisionEngine, now_s: float) -> tuple[DemandForecast, ...]:
            asked.append(now_s)
            return ()

    due, kept = arrivals(40.0, 900.0), KeptForecasts(Source())
    for median_s in (4.0, 120.0):
        world = ModelledCluster(scenario(startup=Startup(median_s=median_s)), due, replicas=6)
        policy = Forescale(DecisionEngine(EngineConfig()), forecasts=kept)
        run(policy, world, duration_s=900.0)
    assert len(asked) == len(set(asked)) == 90
