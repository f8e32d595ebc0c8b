"""What forescale does when metrics go at the worst moment, and when load rises fourfold at once."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from autoscaler.simulation.forecasts import ForecastRecord
from autoscaler.simulation.nodes import Span
from autoscaler.simulation.peers.catalog import FORESCALE, REACTIVE
from autoscaler.simulation.scenario import Demand, Scenario
from autoscaler.simulation.shapes import steps
from autoscaler.simulation.startup import Startup
from autoscaler.simulation.trial import Trial

OUTAGE_S = 600.0
STEP_AT_S, STEP_END_S = 3600.0, 7200.0
# In replicas, all batches full: 50 and 200 a second where each serves 10.
STEP_FROM, STEP_TO = 5.0, 20.0


def outage(trial: Trial) -> dict[str, Any]:
    """A run without metrics for ten minutes from where demand rises the most: its score, and how often it lowered."""
    start_s = steepest_rise_s(trial.scenario)
    span = Span(start_s=start_s, end_s=start_s + OUTAGE_S)
    told = replace(trial.scenario, outages=(span,))
    record = None if trial.record is None else _without(trial.record, span)
    score = Trial(told, trial.seed, arrivals_s=trial.arrivals_s, record=record).score(FORESCALE)
    before = [n for at_s, n in score.replicas if at_s < span.start_s][-1]
    inside = [before, *(n for at_s, n in score.replicas if span.holds(at_s))]
    lowered = sum(after < earlier for earlier, after in zip(inside, inside[1:], strict=False))
    return {**asdict(score), "replicas": (), "lowered": lowered}


def _without(record: ForecastRecord, span: Span) -> ForecastRecord:
    """Nothing is forecast from what nobody saw."""
    minutes = 60.0 * np.arange(len(record.maximum_rps))
    blind = (minutes > span.start_s) & (minutes <= span.end_s)
    return replace(
        record, maximum_rps=np.where(blind[:, None, None], np.float32(np.nan), record.maximum_rps)
    )


def steepest_rise_s(scenario: Scenario) -> float:
    """When the mean of the next ten minutes exceeds that of the last ten the most."""
    width = int(OUTAGE_S)
    sums = np.concatenate(([0.0], np.cumsum(scenario.open_demand.rates_rps)))
    middles = np.arange(width, sums.size - width)
    rises = sums[middles + width] - 2.0 * sums[middles] + sums[middles - width]
    return float(middles[int(np.argmax(rises))])


def step(scenario: Scenario, startup_s: float, seed: int) -> dict[str, Any]:
    """Load rises fourfold at once, and a start-up always takes the same.

    `asked_s` is how long after the step as many replicas were asked for as work on it; None: never.
    """
    each_rps = scenario.server.capacity_rps
    levels = (0.0, STEP_FROM * each_rps), (STEP_AT_S, STEP_TO * each_rps)
    rates = steps(*levels).sample(STEP_END_S)
    told = replace(
        scenario,
        demand=Demand(name="step", rates_rps=rates),
        startup=Startup(median_s=startup_s, p99_ratio=1.0),
        first_replicas=8,
    )
    score = Trial(told, seed).score(REACTIVE)
    needed = int(STEP_TO)
    asked = [at_s for at_s, n in score.replicas if at_s >= STEP_AT_S and n >= needed]
    enough = max(n for at_s, n in score.replicas if at_s < STEP_AT_S) >= needed
    asked_s = 0.0 if enough else (asked[0] - STEP_AT_S if asked else None)
    return {**asdict(score), "replicas": (), "asked_s": asked_s}
