"""What would have come of following forescale: the journal's demand once more, on a modelled cluster.

The same model is also given the replicas that really ran. How far it is from what was observed of them is how far its
answer for forescale may be off; that is the estimate's range. It is no confidence interval: a model may be right about
what was and wrong about what was not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import Mode, Pause
from autoscaler.engine import DecisionEngine
from autoscaler.errors import ConfigError
from autoscaler.simulation.backtest import Watched, scenario_from
from autoscaler.simulation.peers.forescale import Forescale
from autoscaler.simulation.peers.policy import Seen
from autoscaler.simulation.recommended.observed import Observed
from autoscaler.simulation.recorded import Run, record
from autoscaler.simulation.recorder import steps_of
from autoscaler.simulation.scenario import Scenario
from autoscaler.simulation.scraped import Reads

SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """forescale's run under the model, and how good the model is."""

    run: Run
    good_ratio: float
    low_ratio: float
    high_ratio: float
    """Between these, if the model errs for forescale as it does for what was there."""
    gpu_hours: float
    there_good_ratio: float
    """What the model says of the replicas that really ran."""
    there_gpu_hours: float
    offset_s: float
    """Seconds from the journal's first tick to the run's start, where demand was first known."""


class AsItWas:
    """The replicas that were there, at the times at which they were asked for."""

    period_s = 10.0
    reads: Reads | None = None
    name = "what was there"

    def __init__(self, replicas: tuple[tuple[float, int], ...]) -> None:
        self._replicas = replicas

    def replicas(self, seen: Seen) -> int:
        """What was asked for last."""
        past = [number for at_s, number in self._replicas if at_s <= seen.now_s]
        return past[-1] if past else self._replicas[0][1]


def estimate(
    observed: Observed,
    watched: Watched,
    config: EngineConfig,
    *,
    told: Callable[[float], None] = lambda _share: None,
) -> Estimate | str:
    """The estimate, or why there can't be one. `told` hears the share that is done."""
    spec = observed.spec
    if any(one.signal != "latency" for one in spec.slo.objectives):
        return "the objective is on tokens, and the model serves whole requests"
    try:
        scenario = scenario_from("journal", str(spec.id), watched, config.startup_time_s)
    except ConfigError as error:
        return str(error.problems[0])
    offset_s = watched.demand[0][0] - observed.start_s
    duration_s = scenario.demand.duration_s
    free = replace(spec, mode=Mode.AUTO, pause=Pause.NONE)
    ours = _run(
        replace(scenario, spec=free),
        Forescale(DecisionEngine(config)),
        lambda now_s: told(0.7 * now_s / duration_s),
    )
    there = _run(
        scenario,
        AsItWas(tuple((at_s - offset_s, number) for at_s, number in observed.replicas)),
        lambda now_s: told(0.7 + 0.3 * now_s / duration_s),
    )
    good, modelled = ours.budget.good_ratio, there.budget.good_ratio
    seen = observed.compliance.compliance
    off = max(abs(modelled - seen.low), abs(modelled - seen.high))
    return Estimate(
        run=ours,
        good_ratio=good,
        low_ratio=max(0.0, good - off),
        high_ratio=min(1.0, good + off),
        gpu_hours=ours.score.gpu_hours * spec.gpus_per_replica,
        there_good_ratio=modelled,
        there_gpu_hours=there.score.gpu_hours * spec.gpus_per_replica,
        offset_s=offset_s,
    )


def _run(scenario: Scenario, policy: Forescale | AsItWas, told: Callable[[float], None]) -> Run:
    arrivals_s = scenario.demand.arrivals(SEED)
    return record(scenario, policy, arrivals_s, steps_of(scenario.demand.duration_s), told=told)
