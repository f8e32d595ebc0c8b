"""Steps 2 to 4 together: what the demand asks for, in replicas, before any rule of behaviour."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from autoscaler.core import budget, demand, learn, size, skew
from autoscaler.core.alternatives import Alternative, capacity_on
from autoscaler.core.behavior import down_window_s
from autoscaler.core.latency import main_objective
from autoscaler.core.nodes.wait import NodeWait
from autoscaler.core.observe import View
from autoscaler.core.outlook import Outlook, look_ahead
from autoscaler.core.price import Choices, choices
from autoscaler.core.profile import ModelPrior
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import shape_of_resource
from autoscaler.core.state import WorkloadState
from autoscaler.core.survival import Loss
from autoscaler.core.types import DemandForecast, LatencyObjective, WorkloadInput

# A backlog is to be gone within this time. Replicas that are added for it come a start-up later and can only take new
# requests off those that hold it, so haste buys little.
DRAIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a decision is made with beside the workload's own input and state."""

    now_s: float
    config: EngineConfig
    forecast: DemandForecast | None = None
    usual_rps: float | None = None
    """Mean demand of the last day; None: it is not known for an hour."""
    scheduled_floor: int | None = None
    clock_stepped_back: bool = False
    loss: Loss | None = None
    """What of it may go at once, where it is to survive that."""
    loss_unread: str | None = None
    """Why that is not known now; None: it is, or nothing is to be survived."""
    node_wait: NodeWait | None = None
    """None: no configured pool is for its pods."""
    elsewhere: Mapping[str, tuple[ModelPrior, ...]] = field(default_factory=dict)
    """By each other slice that the workload may have, its profiles from there."""
    common_cause: str | None = None
    """Why it need not be the workload itself that keeps its replicas from being heard; None: nothing speaks for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What the demand asks for, in replicas; None for what is not known."""

    level_rps: float | None
    upper_rps: float | None
    """The demand that the wanted replicas carry: what is provided for."""
    fast_rps: float | None
    carried: size.Capacity | None
    wanted: int | None
    suffering: bool
    """More requests missed the objective than it allows, at replicas that are not sick."""
    sick: int = 0
    """How many of `wanted` and `kept` stand in for sick replicas."""
    kept: int | None = None
    """The most replicas that are not given back: more than `wanted`, so that noise moves nothing."""
    outlook: Outlook | None = None
    replica_rps: float | None = None
    """What one replica carries, uneven load allowed for."""
    wanted_ratio: float = 1.0
    """What each of `wanted` carries over that: less, where they are fewer than now."""
    price: float | None = None
    """Of a miss, at which `wanted` is the best number."""
    others: tuple[Alternative, ...] = ()
    """The same demand on the other slices that it may have."""
    backlog_rps: float = 0.0
    """The part of `fast_rps` that works off what waits."""


def objective_of(given: WorkloadInput) -> LatencyObjective:
    """The objective that sizing works for."""
    return main_objective(given.spec.slo)


def assess(
    given: WorkloadInput, state: WorkloadState, view: View, context: Context, lead_s: float
) -> tuple[Need, skew.Skew | None, WorkloadState]:
    config = context.config
    objective = objective_of(given)
    suffering = view.curable is not None and view.curable.estimate > 1.0 - objective.ratio
    needs = given.spec.node_needs
    carried = size.capacity(
        state.templates,
        template_hash=given.replicas.template_hash,
        view=view,
        objective=objective,
        shape="" if needs is None else shape_of_resource(needs.resource),
    )
    if carried is not None and config.replica_rps is not None:
        told = config.replica_rps * carried.work_s_per_inference
        carried = replace(carried, utilization_limit_ratio=told, models=())
    if view.unknown is not None:
        return (
            Need(
                level_rps=None,
                upper_rps=None,
                fast_rps=None,
                carried=carried,
                wanted=None,
                suffering=suffering,
            ),
            None,
            state,
        )
    window_s = config.signals.panic_window_s
    variability = carried.variability if carried else 1.0
    fast_rps = sum(m.fast_rps for m in view.models)
    level = demand.level_rps(
        stable_rps=view.stable_rps,
        fast_rps=fast_rps,
        fast_window_s=window_s,
        variability=variability,
    )
    spread = skew.measure(view, now_s=context.now_s, window_s=config.signals.rate_window_s)
    allowed = skew.allowance(state.skew_ratio, spread, suffering=suffering)
    if allowed != state.skew_ratio:
        state = replace(state, skew_ratio=allowed)
    need = Need(
        level_rps=level,
        upper_rps=level,
        fast_rps=fast_rps,
        carried=carried,
        # Confirmed zero: no capacity is needed to carry nothing.
        wanted=0 if level <= 0.0 else None,
        suffering=suffering,
    )
    if carried is None:
        return need, spread, state
    outlook = look_ahead(
        level_rps=level,
        growth=state.growth,
        forecast=context.forecast,
        now_s=context.now_s,
        lead_s=lead_s + config.tick_s,
    )
    replica_rps = carried.rps / state.skew_ratio
    ratio_of = _ratio_of(carried, view, objective)
    options = choices(outlook, replica_rps=replica_rps, ratio_of=ratio_of)
    rehearsed = budget.rehearse(
        given,
        state,
        view,
        options,
        carried=carried,
        arrived_rps=fast_rps,
        usual_rps=context.usual_rps,
        floor=max(context.scheduled_floor or 0, state.floor.replicas if state.floor else 0),
        objective=objective,
        config=config,
        now_s=context.now_s,
        starts=learn.starts(state, context.node_wait),
        down_s=down_window_s(config.behavior.scale_down, lead_s=lead_s),
    )
    state = replace(state, rehearsal=rehearsed)
    price = rehearsed.price if config.miss_price is None else config.miss_price
    need = _priced(need, view, outlook, options, replica_rps, price, objective, ratio_of)
    others = tuple(
        _elsewhere(shape, priors, given, state, view, need, outlook, price)
        for shape, priors in sorted(context.elsewhere.items())
    )
    return replace(need, others=others), spread, state


def _elsewhere(
    shape: str,
    priors: tuple[ModelPrior, ...],
    given: WorkloadInput,
    state: WorkloadState,
    view: View,
    need: Need,
    outlook: Outlook,
    price: float,
) -> Alternative:
    """The same demand at the same price of a miss, sized with what a replica carries on another slice."""
    objective = objective_of(given)
    carried = capacity_on(shape, given.spec.id, state, view, objective, priors)
    if isinstance(carried, str):
        return Alternative(shape=shape, why=carried)
    ratio_of = _ratio_of(carried, view, objective)
    replica_rps = carried.rps / state.skew_ratio
    options = choices(outlook, replica_rps=replica_rps, ratio_of=ratio_of)
    blank = replace(need, carried=carried, others=())
    sized = _priced(blank, view, outlook, options, replica_rps, price, objective, ratio_of)
    return Alternative(shape=shape, replica_rps=replica_rps, wanted=sized.wanted)


def _ratio_of(
    carried: size.Capacity, view: View, objective: LatencyObjective
) -> Callable[[int], float]:
    """What each of so many replicas carries over what each of the present ones does."""

    def ratio(replicas: int) -> float:
        if replicas >= view.carrying:
            return 1.0
        fewer = size.limit_of_fewer(carried, objective, replicas=replicas)
        return fewer / carried.utilization_limit_ratio

    return ratio


def _priced(
    need: Need,
    view: View,
    outlook: Outlook,
    options: Choices,
    replica_rps: float,
    price: float,
    objective: LatencyObjective,
    ratio_of: Callable[[int], float],
) -> Need:
    """The number that is worth its price, and what works off a backlog; beside it what is worth keeping."""
    backlog = _backlog_rps(view, need.carried, objective, replica_rps)
    wanted = math.ceil(options.at_price(price) + backlog / replica_rps - 1e-9)
    kept = max(wanted, options.kept_at(price))
    sick, ratio = view.judged.left_out, ratio_of(wanted)
    return replace(
        need,
        upper_rps=wanted * replica_rps * ratio,
        wanted_ratio=ratio,
        fast_rps=(need.fast_rps or 0.0) + backlog,
        wanted=wanted + sick,
        kept=kept + sick,
        sick=sick,
        outlook=outlook,
        replica_rps=replica_rps,
        price=price,
        backlog_rps=backlog,
    )


def forecast_ahead(context: Context, lead_s: float, quantile: float) -> demand.Ahead | None:
    """The forecast's word on the highest demand over `lead_s`; None: there is none that counts."""
    forecast = context.forecast
    if forecast is None or context.now_s >= forecast.expires_s:
        return None
    return demand.forecast_at(
        forecast.horizons_s,
        forecast.quantiles,
        forecast.values_rps,
        forecast.skills,
        lead_s=lead_s,
        quantile=quantile,
    )


def _backlog_rps(
    view: View, carried: size.Capacity | None, objective: LatencyObjective, replica_rps: float
) -> float:
    """Extra rate that works off what waits beyond what a batch in formation explains.

    What waits at a replica stays there; others can only take new requests off it, all of them at most. So of 60,000
    requests at one replica one more makes up for it, not a hundred.
    """
    if carried is None or not view.pending:
        return 0.0
    each: float = carried.dominant.max_batch_size * carried.dominant.instances
    # What a replica at its limit holds within the threshold is no backlog.
    each = max(each, carried.rps * objective.threshold_s)
    excess = max(0.0, view.pending - view.carrying * each)
    holding = sum(1 for load in view.well if (load.pending or 0.0) > each)
    return min(excess / DRAIN_S, holding * replica_rps)
