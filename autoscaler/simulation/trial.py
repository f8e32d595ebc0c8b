"""One scenario with one seed: its requests, and what each policy comes to under them."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from autoscaler.config.settings import ForecastSettings
from autoscaler.core.settings import EngineConfig
from autoscaler.engine import DecisionEngine
from autoscaler.errors import ConfigError, Problem
from autoscaler.simulation.bounds import (
    MOST_FACTOR,
    TICK_S,
    Clairvoyant,
    gpu_hours_with_startups,
    least_factor,
)
from autoscaler.simulation.cluster import EPOCH_S, ModelledCluster
from autoscaler.simulation.continuous_model import ContinuousModel
from autoscaler.simulation.fluid import FluidModel
from autoscaler.simulation.forecasts import (
    ForecastRecord,
    Forecasts,
    RecordedForecasts,
    forecasts_of,
)
from autoscaler.simulation.load_test import carried_rps
from autoscaler.simulation.peers.catalog import FORESCALE, OWN, RULES
from autoscaler.simulation.peers.forescale import Forescale
from autoscaler.simulation.peers.policy import Policy
from autoscaler.simulation.peers.rule import Known, RulePolicy, known_of
from autoscaler.simulation.run import run
from autoscaler.simulation.scenario import Scenario
from autoscaler.simulation.score import Score

# The fluid model is a little kinder than the request-level one, or stricter where servers batch: in such steps the
# factor is raised until the goal holds request by request, or lowered as long as it does.
NUDGE = 1.01
MOST_NUDGES = 6
# Halvings of what lies between the factor of the fluid model and the largest: to 0.02, each a whole run.
STORM_STEPS = 7
STATIC_UNKNOWN = "static=REPLICAS: how many hold is not searched for"

Progress = Callable[[float], None]


def parse_policy(text: str) -> tuple[str, float | None]:
    """(name, headroom) of `keda` or `keda=0.6`. Raises ConfigError."""
    found = _policy(text)
    if isinstance(found, Problem):
        raise ConfigError((found,))
    return found


def parse_policies(text: str) -> tuple[tuple[str, float | None], ...]:
    """Those of a list with commas, each once. Raises ConfigError with everything that is wrong."""
    found = [_policy(part) for part in text.split(",")]
    problems = [item for item in found if isinstance(item, Problem)]
    policies = [item for item in found if not isinstance(item, Problem)]
    told = [(name, _headroom(name, headroom)) for name, headroom in policies]
    twice = sorted({name for name, headroom in told if told.count((name, headroom)) > 1})
    problems += [Problem("--policies", f"{name} is given twice", "each once") for name in twice]
    if problems:
        raise ConfigError(tuple(problems))
    return tuple(policies)


def _headroom(name: str, given: float | None) -> float | None:
    """With its default written out; how many `static` needs is not known yet."""
    return RULES[name].default if given is None and name in RULES and name != "static" else given


def _policy(text: str) -> tuple[str, float | None] | Problem:
    name, given, value = text.strip().partition("=")
    known = (*OWN, *RULES)
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        nearest = f"did you mean {near[0]}? " if near else ""
        return Problem("--policies", repr(text), f"{nearest}one of {', '.join(known)}")
    if name in OWN and given:
        return Problem("--policies", repr(text), f"{name} has no headroom to set")
    if not given:
        return name, None
    try:
        headroom = float(value)
    except ValueError:
        headroom = float("nan")
    if not 0.0 < headroom < float("inf"):
        return Problem("--policies", repr(text), "a headroom is more than 0")
    if name == "static" and not headroom.is_integer():
        return Problem("--policies", repr(text), "a whole number of replicas")
    return name, headroom


def without_bounds(scenario: Scenario) -> str:
    """What of it neither a clairvoyant nor the fluid model is made for; empty: nothing."""
    if isinstance(scenario.server, ContinuousModel):
        return "servers that generate tokens"
    return "" if scenario.users is None else "users in a closed loop"


def require_static(scenario: Scenario) -> None:
    """Raises ConfigError where `static` must be told its replicas."""
    if why := without_bounds(scenario):
        told = f"{STATIC_UNKNOWN} {why}"
        raise ConfigError((Problem("--policies", "static", told),))


class Trial:
    """Arrivals and start-ups are drawn from `seed`, alike for every policy.

    `arrivals_s`: those, if they were drawn before. `config`: forescale's. Its forecasts are those of `record`, if they
    were made before, else what `forecasts` says, else models of the default settings are fitted.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        *,
        arrivals_s: NDArray[np.float64] | None = None,
        config: EngineConfig | None = None,
        record: ForecastRecord | None = None,
        forecasts: Forecasts | None = None,
    ) -> None:
        self.record = record
        self._told = forecasts
        self._config = config or EngineConfig()
        self._factor: float | None = None
        self.scenario = replace(scenario, startup=replace(scenario.startup, seed=seed))
        self.seed = seed
        self.arrivals_s = scenario.demand.arrivals(seed) if arrivals_s is None else arrivals_s
        objective = scenario.spec.slo.objectives[0]
        self._has_bounds = not without_bounds(scenario)
        if isinstance(scenario.server, ContinuousModel):
            # By the lengths and step times that are configured: no load test of a single engine is modelled.
            capacity = scenario.server.capacity_rps
        else:
            capacity = carried_rps(scenario.batching, objective.threshold_s, scenario.goal_ratio)
        self.known: Known = known_of(scenario, capacity)

    @cached_property
    def fluid(self) -> FluidModel:
        """Of these requests. Raises ValueError for servers that generate tokens; of users it knows none."""
        return FluidModel(self.scenario, self.arrivals_s, self.known)

    def score(
        self, name: str, headroom: float | None = None, *, progress: Progress = lambda _: None
    ) -> Score:
        """Of one policy, request by request."""
        if name == "static":
            if headroom is None:
                require_static(self.scenario)
            headroom = float(self.static_peak()) if headroom is None else headroom
            return self._run(self._peer(name, headroom), int(headroom), progress)
        return self._run(self._peer(name, headroom), None, progress)

    def static_peak(self) -> int:
        """The fewest replicas that attain the goal in every minute, by the fluid model."""
        low, high = 0, self.known.max_replicas
        while high - low > 1:
            middle = (low + high) // 2
            held = self.fluid.run(RULES["static"], float(middle)).worst_minute_ratio
            low, high = (low, middle) if held >= self.scenario.goal_ratio else (middle, high)
        return high

    def clairvoyant(self, *, progress: Progress = lambda _: None) -> Score | None:
        """The denominator; None: it can't attain the goal either, or what comes does not come whatever is done.

        With clients who ask again it foresees what they want, not that they will ask again.
        """
        if not self._has_bounds:
            return None
        factor = self._least_factor()
        if factor is None:
            return None
        found = self._nudged(factor, progress)
        if found is None and self.scenario.clients.retries > 0:
            return self._without_storm(factor, progress)
        return found

    def _nudged(self, factor: float, progress: Progress) -> Score | None:
        """What attains the goal request by request, with about the factor that does in the fluid model."""
        best: Score | None = None
        nudge = NUDGE
        for tried in range(MOST_NUDGES):
            found = self._run_clairvoyant(factor, progress)
            if found.attainment_ratio >= self.scenario.goal_ratio:
                best = found
                if nudge > 1.0 and tried > 0:
                    break  # the step below it did not hold
                nudge = 1.0 / NUDGE
            elif nudge < 1.0:
                break
            factor *= nudge
        return best

    def _without_storm(self, low: float, progress: Progress) -> Score | None:
        """The same where the misses that the fluid model allows itself are asked again, and more are missed for it."""
        best, high = self._run_clairvoyant(MOST_FACTOR, progress), MOST_FACTOR
        if best.attainment_ratio < self.scenario.goal_ratio:
            return None
        for _ in range(STORM_STEPS):
            middle = 0.5 * (low + high)
            found = self._run_clairvoyant(middle, progress)
            if found.attainment_ratio >= self.scenario.goal_ratio:
                best, high = found, middle
            else:
                low = middle
        return best

    def least_gpu_hours(self, startup_s: float | None = None) -> float | None:
        """With the true arrivals and a constant start-up, by default the median, by the fluid model; see `bounds`.

        Of clients it knows nothing: they wait to the end there.
        """
        if not self._has_bounds:
            return None
        factor = self._least_factor()
        if factor is None:
            return None
        _, ready_at = self.fluid.clairvoyant(factor)
        paid_s = self.scenario.startup.median_s if startup_s is None else startup_s
        return gpu_hours_with_startups(ready_at, tick_s=TICK_S, startup_s=paid_s)

    def _least_factor(self) -> float | None:
        """Of the clairvoyant in the fluid model; None: none attains the goal."""
        if self._factor is None:
            try:
                self._factor = least_factor(
                    lambda factor: self.fluid.clairvoyant(factor)[0].attainment_ratio,
                    self.scenario.goal_ratio,
                )
            except ValueError:
                return None
        return self._factor

    def _run_clairvoyant(self, factor: float, progress: Progress) -> Score:
        server, known = self.scenario.batching, self.known
        # It waits for nothing, nodes included, and needs no metrics to know what is queued.
        world = replace(
            self.scenario,
            startup=replace(self.scenario.startup, median_s=0.0),
            nodes=replace(self.scenario.nodes, boot_s=0.0),
            outages=(),
        )
        policy = Clairvoyant(
            self.arrivals_s,
            factor=factor,
            replica_rps=server.capacity_rps,
            at_once=server.instances * server.max_batch_size,
            least=known.min_replicas,
            most=known.max_replicas,
            end_s=self.scenario.demand.duration_s,
        )
        # It has seen the first half minute as well: nothing is queued, and it begins with what that needs.
        return self._run(policy, policy.needed(0.0, 0.0), progress, world)

    def _peer(self, name: str, headroom: float | None) -> Policy:
        if name in OWN:
            forecasts = self._forecasts() if name == FORESCALE else None
            return Forescale(DecisionEngine(self._config), forecasts=forecasts, keeps=False)
        return RulePolicy(RULES[name], self.known, headroom=headroom)

    def _forecasts(self) -> Forecasts:
        if self.record is not None:
            return RecordedForecasts(self.record, self.scenario.spec.id, EPOCH_S)
        return self._told or forecasts_of(ForecastSettings())

    def _run(
        self,
        policy: Policy,
        replicas: int | None,
        progress: Progress,
        scenario: Scenario | None = None,
    ) -> Score:
        told = scenario or self.scenario
        cluster = ModelledCluster(told, self.arrivals_s, replicas=replicas, seed=self.seed)
        return run(
            policy,
            cluster,
            duration_s=told.demand.duration_s,
            progress=progress,
        )
