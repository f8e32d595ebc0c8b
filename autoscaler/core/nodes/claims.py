"""What the workloads that may use the same pools will ask of them: each one's demand in units, and the sum's quantile.

The horizon of a workload is the node's lead time and the pod's, each once. At the end of a node's lead time of 300 s
the replicas that are asked for then look 20 s further ahead, as sizing always does; headroom for 300 s alone would
leave the pods of those 20 s waiting for a node. Sizing reads a forecast between two of its horizons, so that of a rise
in the third minute it begins to see something from the end of the first on: headroom looks to the end of the later one.

Demand that a forecast tells is turned into replicas by sizing's own rule, as it will be when it is there: at 150 rps
and 25 a replica, six carry it and sizing, at its price of a miss, may ask for eight. Those two have to find nodes too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from autoscaler.core import demand
from autoscaler.core.demand import Growth
from autoscaler.core.latency import main_objective
from autoscaler.core.outlook import FULL_TRUST_SKILL, look_ahead
from autoscaler.core.price import choices
from autoscaler.core.settings import EngineConfig
from autoscaler.core.survival import added
from autoscaler.core.types import (
    Decision,
    DemandForecast,
    LatencyObjective,
    SloForm,
    WorkloadId,
    WorkloadInput,
)

MEDIAN = 0.5
CORRELATION = 0.5
"""Between the errors of two workloads' forecasts: neither independent (one day is busier than another for all) nor one.
Ten equal workloads of spread d then have 7.4 d together; independent ones 3.2 d, a sum of quantiles 10 d."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One workload and what this tick knows of it."""

    given: WorkloadInput
    decision: Decision
    forecast: DemandForecast | None
    growth: Growth
    """How its demand rose over such a time as a replica takes."""
    skew_ratio: float
    floor_ahead: int | None
    """The highest scheduled floor until the end of the horizon; None: no schedule names one."""
    free_slices: int = 0
    """That its pods find on nodes which no autoscaler grows."""
    rests: bool = False
    """What its group grows by goes to another member, so nothing is asked for beyond its own target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One workload's demand in units. `level` is None where it is not known; what it holds then stands for all."""

    workload: WorkloadId
    held: int
    level: float | None
    level_whole: int
    """Of whole replicas."""
    median: int
    upper: int
    trust: float
    """How far the forecast is believed, 0 to 1."""
    floor: int
    limit: int


def claim(candidate: Candidate, *, node_lead_s: float, config: EngineConfig, now_s: float) -> Claim:
    """What the workload asks for until a node that is requested now could carry its pods."""
    given, decision = candidate.given, candidate.decision
    needs = given.spec.node_needs
    count = needs.count if needs is not None else 0
    pods = sum(1 for pod in given.pods if pod.deleted_s is None)
    # Sick ones hold units and carry nothing; others are there for the loss of a node.
    beside = sum(1 for item in decision.sick if item.left_out) + added(decision)
    limit = config.most_replicas(given.spec.max_replicas)
    floor = min(limit, max(decision.target, candidate.floor_ahead or 0))
    facts = decision.facts
    carried_rps = _rps_per_replica(candidate)
    if facts.offered_rps is None or carried_rps is None:
        # Missing is not zero: it is taken to go on as it is.
        kept = max(floor, pods) * count
        return Claim(
            workload=given.spec.id,
            held=pods * count,
            level=None,
            level_whole=kept,
            median=kept,
            upper=kept,
            trust=0.0,
            floor=floor * count,
            limit=max(limit, pods) * count,
        )
    level = facts.offered_rps / carried_rps
    pod_lead_s = pod_time_s(decision, config) + config.tick_s
    median, upper, trust = _forecast(
        candidate, level, carried_rps, node_lead_s, pod_lead_s, config, now_s
    )
    margin = _margin(candidate, upper * carried_rps, carried_rps, pod_lead_s, now_s) if trust else 0
    return Claim(
        workload=given.spec.id,
        held=pods * count,
        level=level * count,
        level_whole=(_whole(level) + beside) * count,
        median=min(limit, _whole(median) + margin + beside) * count,
        upper=min(limit, _whole(upper) + margin + beside) * count,
        trust=trust,
        floor=floor * count,
        limit=limit * count,
    )


def held_by(candidate: Candidate) -> int:
    """Units of its pods."""
    needs = candidate.given.spec.node_needs
    pods = sum(1 for pod in candidate.given.pods if pod.deleted_s is None)
    return pods * (needs.count if needs is not None else 0)


def short_of_target(candidate: Candidate) -> int:
    """Units that one which rests has no pods for yet."""
    needs = candidate.given.spec.node_needs
    pods = sum(1 for pod in candidate.given.pods if pod.deleted_s is None)
    asked = max(candidate.decision.target, candidate.floor_ahead or 0)
    return max(0, asked - pods) * (needs.count if needs is not None else 0)


def on_free_slices(members: Sequence[Candidate], lacking: int, taken: Counter[str]) -> int:
    """Of the units that workloads of one choice lack, those for which a slice is free on nodes that nobody grows.

    Pods that wait for a place take theirs first, and `taken` by resource are another choice's.
    """
    needs = members[0].given.spec.node_needs
    if needs is None:
        return 0
    waiting = sum(
        1
        for one in members
        for pod in one.given.pods
        if pod.deleted_s is None and pod.node is None and pod.ready_s is None
    )
    free = min(one.free_slices for one in members) - waiting - taken[needs.resource]
    found = max(0, min(lacking, free))
    taken[needs.resource] += found
    return found


def pod_time_s(decision: Decision, config: EngineConfig) -> float:
    """What a pod takes once it has its node: the node's own time is the pool's to look ahead over."""
    facts = decision.facts
    return facts.start_time_s or facts.lead_time_s or config.startup_time_s


def quantile_of(objective: LatencyObjective, config: EngineConfig) -> float:
    """The quantile that sizing provisions for, of this objective."""
    if objective.form is SloForm.MINUTES:
        return provision_quantile(config.scaling_budget_minutes_ratio * 0.01)
    return provision_quantile(config.scaling_budget_ratio * (1.0 - objective.ratio))


def provision_quantile(miss_share: float) -> float:
    """The quantile of the highest demand over a node's lead time that is provided for.

    `miss_share` is the share of all requests that scaling may let miss. Demand above the quantile misses for a part of
    the lead time only, taken as a fifth: 1 % of requests (`95% < T`) gives the 0.95 quantile. Held between 0.80 and
    0.98, since a day of minutes tells no more about the tail.
    """
    return 1.0 - min(max(5.0 * miss_share, 0.02), 0.20)


def sum_quantile(claims: Sequence[Claim]) -> float:
    """The upper quantile of the sum, from each one's median and upper quantile: the variance of a correlated sum.

    Spread d of the sum: d^2 = (1 - r) sum(d_i^2) + r (sum d_i)^2.
    """
    spreads = [max(0, one.upper - one.median) for one in claims]
    squares, together = sum(d * d for d in spreads), sum(spreads)
    spread = math.sqrt((1.0 - CORRELATION) * squares + CORRELATION * together**2)
    return sum(one.median for one in claims) + spread


def summed_demand(claims: Sequence[Claim], *, rise_units: float) -> int:
    """The upper quantile of what all of them hold together, in units.

    The naive one - their sum now, and what such a sum rose by over such a time - moved towards the forecasts' as far
    as these are believed. Never less than what is asked for now or by a schedule, never more than their limits.
    """
    level = sum(one.level or 0.0 for one in claims)
    naive = sum(one.level_whole for one in claims) + rise_units
    weight = level or 1.0
    trust = sum(one.trust * (one.level or 0.0) for one in claims) / weight
    if level <= 0.0 and claims:
        trust = sum(one.trust for one in claims) / len(claims)
    ahead = naive + trust * (sum_quantile(claims) - naive)
    lowest = sum(max(one.floor, one.level_whole) for one in claims)
    highest = sum(max(one.limit, one.held) for one in claims)
    # 1e-9: 0.1 x 3 units are 0.30000000000000004.
    return max(min(math.ceil(ahead - 1e-9), highest), min(lowest, highest))


def _rps_per_replica(candidate: Candidate) -> float | None:
    """Inferences a second that a replica carries, uneven load allowed for; None: not known."""
    capacity_rps = candidate.decision.facts.capacity_rps
    if capacity_rps is None or capacity_rps <= 0.0:
        return None
    return capacity_rps / max(1.0, candidate.skew_ratio)


def _forecast(
    candidate: Candidate,
    level: float,
    rps_per_replica: float,
    node_lead_s: float,
    pod_lead_s: float,
    config: EngineConfig,
    now_s: float,
) -> tuple[float, float, float]:
    """(median, upper quantile, trust) of the replicas over the horizon; the level itself without a forecast."""
    forecast = candidate.forecast
    if forecast is None or now_s >= forecast.expires_s:
        return level, level, 0.0
    age_s = max(0.0, now_s - forecast.cutoff_s)
    # As far as sizing reads it.
    reach_s = next((h for h in forecast.horizons_s if h >= age_s + pod_lead_s), pod_lead_s)
    horizon_s = age_s + node_lead_s + reach_s
    objective = main_objective(candidate.given.spec.slo)
    told = []
    for quantile in (MEDIAN, quantile_of(objective, config)):
        told.append(
            demand.forecast_at(
                forecast.horizons_s,
                forecast.quantiles,
                forecast.values_rps,
                forecast.skills,
                lead_s=horizon_s,
                quantile=quantile,
            )
        )
    median, upper = told
    if upper is None:
        return level, level, 0.0
    trust = min(1.0, upper.skill / FULL_TRUST_SKILL)
    high = max(level, upper.rps / rps_per_replica)
    # Without skill at the median its spread is not known: all of the quantile counts as certain, which is more.
    middle = high if median is None else max(level, median.rps / rps_per_replica)
    return min(middle, high), high, trust


def _margin(
    candidate: Candidate, rps: float, replica_rps: float, pod_lead_s: float, now_s: float
) -> int:
    """Replicas that sizing will ask for beyond those that carry a demand, once it is there."""
    price = candidate.decision.facts.price
    if price is None:
        return 0
    outlook = look_ahead(
        level_rps=rps,
        growth=candidate.growth,
        # What it tells is in `rps` already.
        forecast=None,
        now_s=now_s,
        lead_s=pod_lead_s,
    )
    asked = choices(outlook, replica_rps=replica_rps).at_price(price)
    return asked - _whole(rps / replica_rps)


def _whole(replicas: float) -> int:
    return max(0, math.ceil(replicas - 1e-9))
