"""forescale itself: the engine, driven as the controller drives it; every action is carried out at once."""

from __future__ import annotations

from dataclasses import replace

from autoscaler.core.types import ActionResult, Decision, Outcome
from autoscaler.engine import DecisionEngine
from autoscaler.simulation.forecasts import Forecasts
from autoscaler.simulation.peers.policy import Seen
from autoscaler.simulation.scraped import Reads


class Forescale:
    """One engine for one run. `keeps`: with every decision, which a run over days has no room for.

    `forecasts` None: it decides by the last value and its errors alone.
    """

    reads: Reads | None = Reads.SAMPLES

    def __init__(
        self,
        engine: DecisionEngine,
        *,
        forecasts: Forecasts | None = None,
        keeps: bool = True,
    ) -> None:
        self.name = "forescale-no-forecast" if forecasts is None else "forescale"
        self.engine = engine
        self.period_s = engine.config.tick_s
        self.decisions: list[tuple[float, Decision]] = []
        self._keeps = keeps
        self._forecasts = forecasts

    def replicas(self, seen: Seen) -> int:
        """The engine's target."""
        given = seen.tick_input()
        if self._forecasts is not None:
            issued = self._forecasts.issued(self.engine, given.now_s)
            given = replace(given, forecasts=issued)
        result = self.engine.tick(given)
        self.engine.acknowledge(
            tuple(ActionResult(action=a, outcome=Outcome.APPLIED) for a in result.plan.actions)
        )
        decision = result.decisions[0]
        if self._keeps:
            self.decisions.append((given.now_s, decision))
        return decision.target
