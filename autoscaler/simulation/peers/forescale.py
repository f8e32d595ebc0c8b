"""forescale itself: the engine, driven as the controller drives it; every action is carried out at once."""

from __future__ import annotations

from dataclasses import replace

from autoscaler.core.types import ActionResult, Decision, DemandForecast, Outcome
from autoscaler.engine import DecisionEngine
from autoscaler.forecasts import AFTER_MINUTE_S, MINUTE_S, FleetForecaster, Told
from autoscaler.simulation.cluster import Reads
from autoscaler.simulation.peers.policy import Seen


class Forescale:
    """One engine for one run. `keeps`: with every decision, which a run over days has no room for.

    `forecasts` None: it decides by the last value and its errors alone. Else forecasts are there a few seconds after
    each minute, as live, but for fits, which take no time here.
    """

    reads: Reads | None = Reads.SAMPLES

    def __init__(
        self,
        engine: DecisionEngine,
        *,
        forecasts: FleetForecaster | None = None,
        keeps: bool = True,
    ) -> None:
        self.name = "forescale" if forecasts is None else "forescale-forecast"
        self.engine = engine
        self.period_s = engine.config.tick_s
        self.decisions: list[tuple[float, Decision]] = []
        self._keeps = keeps
        self._forecasts = forecasts
        self._told = Told()
        self._minute: float | None = None

    def replicas(self, seen: Seen) -> int:
        """The engine's target."""
        given = seen.tick_input()
        if self._forecasts is not None:
            given = replace(given, forecasts=self._issued(self._forecasts, given.now_s))
        result = self.engine.tick(given)
        self.engine.acknowledge(
            tuple(ActionResult(action=a, outcome=Outcome.APPLIED) for a in result.plan.actions)
        )
        decision = result.decisions[0]
        if self._keeps:
            self.decisions.append((given.now_s, decision))
        return decision.target

    def _issued(self, forecasts: FleetForecaster, now_s: float) -> tuple[DemandForecast, ...]:
        """Once a minute; none in between."""
        minute = (now_s - AFTER_MINUTE_S) // MINUTE_S
        if minute == self._minute:
            return ()
        self._minute = minute
        present = frozenset(self.engine.workloads)
        news = self._told.news(self.engine, now_s)
        issued = forecasts.advance(news, present, now_s)
        self._told.take(news, present)
        while forecasts.fit_next(now_s):
            pass
        return issued
