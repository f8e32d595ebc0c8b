"""Steps 2 to 4 together: what the demand asks for, in replicas, before any rule of behaviour."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field, replace

from autoscaler.core import budget, demand, learn, size, skew, surge, unstarted
from autoscaler.core.alternatives import Alternative, capacity_on
from autoscaler.core.behavior import down_window_s
from autoscaler.core.computed import computed
from autoscaler.core.latency import main_objective
from autoscaler.core.nodes.wait import NodeWait
from autoscaler.core.observe import View
from autoscaler.core.outlook import Outlook, look_ahead
from autoscaler.core.price import Choices, choices
from autoscaler.core.profile import ModelPrior
from autoscaler.core.rates import rate_text
from autoscaler.core.rehearsal import Rehearsal
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import shape_of_resource
from autoscaler.core.state import WorkloadState
from autoscaler.core.survival import Loss
from autoscaler.core.types import DemandForecast, LatencyObjective, WorkloadInput

# A backlog is to be gone within this time. Replicas that are added for it come a start-up later and can only take new
# requests off those that hold it, so haste buys little.
DRAIN_S = 60.0
# Of a replica, in which a member of a group says what it needs: its whole numbers are the group's to find.
PARTS = 16


@computed
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


@computed
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
    parts: float | None = None
    """`wanted` before it was rounded up to whole replicas; None: not asked, for only a group's sum needs it,"""
    parts_kept: float | None = None
    """and `kept` before that."""

    def rate(self, rps: float) -> str:
        """In words, in the unit that its demand is counted in."""
        return rate_text(rps, tokens=self.carried is not None and self.carried.tokens is not None)


def objective_of(given: WorkloadInput) -> LatencyObjective:
    """The objective that sizing works for."""
    return main_objective(given.spec.slo)


@computed
class Offer:
    """What each number of replicas of one capacity is worth against the demand ahead."""

    carried: size.Capacity
    view: View
    objective: LatencyObjective
    outlook: Outlook
    replica_rps: float
    """What one carries, uneven load allowed for."""

    @property
    def choices(self) -> Choices:
        """The numbers that are worth something, by the price of a miss."""
        return choices(self.outlook, replica_rps=self.replica_rps, ratio_of=self.ratio_of)

    def ratio_of(self, replicas: int) -> float:
        """What each of so many replicas carries over what each of the present ones does."""
        if replicas >= self.view.carrying:
            return 1.0
        fewer = size.limit_of_fewer(self.carried, self.objective, replicas=replicas)
        return fewer / self.carried.utilization_limit_ratio

    def in_parts(self, price: float, need: Need) -> Need:
        """`need` with the same numbers in parts of a replica."""
        fine = choices(
            self.outlook,
            replica_rps=self.replica_rps / PARTS,
            ratio_of=lambda parts: self.ratio_of(math.ceil(parts / PARTS)),
        )
        parts = fine.at_price(price) / PARTS + need.backlog_rps / self.replica_rps
        kept = max(parts, fine.kept_at(price) / PARTS)
        return replace(need, parts=parts + need.sick, parts_kept=kept + need.sick)

    def at_price(self, price: float, options: Choices, need: Need) -> Need:
        """`need` with the number worth its price, and what works off a backlog; beside it what is worth keeping."""
        backlog = self._backlog_rps()
        # A little that waits asks for one more too: it is the first sign of a rise, and more waits before one is there.
        wanted = math.ceil(options.at_price(price) + backlog / self.replica_rps - 1e-9)
        kept = max(wanted, options.kept_at(price))
        sick, ratio = self.view.judged.left_out, self.ratio_of(wanted)
        return replace(
            need,
            carried=self.carried,
            upper_rps=wanted * self.replica_rps * ratio,
            wanted_ratio=ratio,
            fast_rps=(need.fast_rps or 0.0) + backlog,
            wanted=wanted + sick,
            kept=kept + sick,
            sick=sick,
            outlook=self.outlook,
            replica_rps=self.replica_rps,
            price=price,
            backlog_rps=backlog,
        )

    def _backlog_rps(self) -> float:
        """Extra rate that works off what waits beyond what a batch in formation explains.

        What waits at a replica stays there; others can only take new requests off it, all of them at most. So of 60,000
        requests at one replica one more makes up for it, not a hundred.
        """
        view, dominant = self.view, self.carried.dominant
        if not view.pending:
            return 0.0
        # What a replica at its limit holds within the threshold is no backlog.
        each = max(
            float(dominant.max_batch_size * dominant.instances),
            self.carried.rps * self.objective.threshold_s,
        )
        excess = max(0.0, view.pending - view.carrying * each)
        if not excess:
            return 0.0
        holding = sum(1 for load in view.well if (load.pending or 0.0) > each)
        return min(excess / DRAIN_S, holding * self.replica_rps)


def assess(
    given: WorkloadInput, state: WorkloadState, view: View, context: Context, lead_s: float
) -> tuple[Need, skew.Skew | None, WorkloadState]:
    """What is needed, how unevenly the load is spread, and what is remembered of both."""
    carried = _carried(given, state, view, context)
    present = _present(given, view, carried, context.config)
    if present.level_rps is None:
        return present, None, state
    window_s = context.config.signals.rate_window_s
    scatter = carried.tokens.variability(window_s) if carried and carried.tokens else 1.0
    spread = skew.measure(view, now_s=context.now_s, window_s=window_s, scatter=scatter)
    allowed = skew.allowance(state.skew_ratio, spread, suffering=present.suffering)
    if allowed != state.skew_ratio:
        state = replace(state, skew_ratio=allowed)
    if carried is None:
        return present, spread, state
    outlook = _outlook(present.level_rps, carried, state, context, lead_s)
    offer = Offer(
        carried=carried,
        view=view,
        objective=objective_of(given),
        outlook=outlook,
        replica_rps=carried.rps / state.skew_ratio,
    )
    options = offer.choices
    rehearsed = _rehearsed(given, state, present, offer, options, context, lead_s)
    state = replace(state, rehearsal=rehearsed)
    told = context.config.miss_price
    price = rehearsed.price if told is None else told
    need = offer.at_price(price, options, present)
    others = tuple(
        _elsewhere(shape, priors, given, state, offer, present, price)
        for shape, priors in sorted(context.elsewhere.items())
    )
    if given.spec.variant_group is not None:
        need = offer.in_parts(price, need)
    return replace(need, others=others) if others else need, spread, state


def _outlook(
    level_rps: float,
    carried: size.Capacity,
    state: WorkloadState,
    context: Context,
    lead_s: float,
) -> Outlook:
    """What may come until a replica that is asked for in the next tick is there."""
    window_s, minutes = context.config.signals.rate_window_s, state.growth.minutes
    scatter, ahead_s = carried.scatter(window_s), lead_s + context.config.tick_s
    steadied_rps = demand.steadied_rps(
        level_rps, minutes, now_s=context.now_s, window_s=window_s, variability=scatter
    )
    surge_rps = surge.leads_to_rps(
        steadied_rps,
        minutes,
        now_s=context.now_s,
        lead_s=ahead_s,
        window_s=window_s,
        variability=scatter,
    )
    return look_ahead(
        level_rps=steadied_rps,
        growth=state.growth,
        forecast=context.forecast,
        now_s=context.now_s,
        lead_s=ahead_s,
        surge_rps=surge_rps if surge_rps > steadied_rps else None,
    )


def _carried(
    given: WorkloadInput, state: WorkloadState, view: View, context: Context
) -> size.Capacity | None:
    """What a replica carries: learned, imported, or told; None: nothing is known of it.

    Of the newest pod template, which replicas that are asked for now are made from; where a rollout to it waits for
    room that fewer of the old ones make, of the one that these have.
    """
    config, needs = context.config, given.spec.node_needs
    template_hash = given.replicas.template_hash
    if view.ready_pods and unstarted.wait_for_room(given, now_s=context.now_s):
        template_hash = view.ready_pods[-1].template_hash
    carried = size.capacity(
        state.templates,
        template_hash=template_hash,
        view=view,
        objective=objective_of(given),
        shape="" if needs is None else shape_of_resource(needs.resource),
    )
    if carried is None or config.replica_rps is None:
        return carried
    told = config.replica_rps * carried.work_s_per_inference
    return replace(carried, utilization_limit_ratio=told, models=(), tokens=None)


def _present(
    given: WorkloadInput, view: View, carried: size.Capacity | None, config: EngineConfig
) -> Need:
    """What arrives now, before anything is made of it."""
    curable = view.curable
    suffering = curable is not None and curable.estimate > 1.0 - objective_of(given).ratio
    if view.unknown is not None:
        return Need(
            level_rps=None,
            upper_rps=None,
            fast_rps=None,
            carried=carried,
            wanted=None,
            suffering=suffering,
        )
    fast_rps = sum(m.fast_rps for m in view.models)
    level_rps = demand.level_rps(
        stable_rps=view.stable_rps,
        fast_rps=fast_rps,
        fast_window_s=config.signals.panic_window_s,
        variability=carried.variability if carried else 1.0,
    )
    return Need(
        level_rps=level_rps,
        upper_rps=level_rps,
        fast_rps=fast_rps,
        carried=carried,
        # Confirmed zero: no capacity is needed to carry nothing.
        wanted=0 if level_rps <= 0.0 else None,
        suffering=suffering,
    )


def _rehearsed(
    given: WorkloadInput,
    state: WorkloadState,
    present: Need,
    offer: Offer,
    options: Choices,
    context: Context,
    lead_s: float,
) -> Rehearsal:
    """One more tick of the imagined fleets that find the price of a miss."""
    config = context.config
    return budget.rehearse(
        given,
        state,
        offer.view,
        options,
        carried=offer.carried,
        arrived_rps=present.fast_rps or 0.0,
        usual_rps=context.usual_rps,
        floor=max(context.scheduled_floor or 0, state.floor.replicas if state.floor else 0),
        objective=offer.objective,
        config=config,
        now_s=context.now_s,
        starts=learn.starts(state, context.node_wait),
        down_s=down_window_s(config.behavior.scale_down, lead_s=lead_s),
    )


def _elsewhere(
    shape: str,
    priors: tuple[ModelPrior, ...],
    given: WorkloadInput,
    state: WorkloadState,
    here: Offer,
    present: Need,
    price: float,
) -> Alternative:
    """The same demand at the same price of a miss, sized with what a replica carries on another slice."""
    carried = capacity_on(shape, given.spec.id, state, here.view, here.objective, priors)
    if isinstance(carried, str):
        return Alternative(shape=shape, why=carried)
    there = replace(here, carried=carried, replica_rps=carried.rps / state.skew_ratio)
    sized = there.at_price(price, there.choices, present)
    return Alternative(shape=shape, replica_rps=there.replica_rps, wanted=sized.wanted)


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
