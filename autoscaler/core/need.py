"""Steps 2 to 4 together: what the demand asks for, in replicas, before any rule of behaviour."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autoscaler.core import demand, size, skew
from autoscaler.core.observe import View
from autoscaler.core.settings import EngineConfig
from autoscaler.core.state import WorkloadState
from autoscaler.core.types import DemandForecast, LatencyObjective, SloForm, WorkloadInput

# A backlog is to be gone within this time. Replicas that are added for it come a start-up later and can only take new
# requests off those that hold it, so haste buys little.
DRAIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a decision is made with beside the workload's own input and state."""

    now_s: float
    config: EngineConfig
    forecast: DemandForecast | None = None
    scheduled_floor: int | None = None
    clock_stepped_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What the demand asks for, in replicas; None for what is not known."""

    level_rps: float | None
    upper_rps: float | None
    fast_rps: float | None
    carried: size.Capacity | None
    wanted: int | None
    suffering: bool
    """More requests missed the objective than it allows."""
    ahead: demand.Ahead | None = None
    """The forecast's word, where there was one that counts."""


def objective_of(given: WorkloadInput) -> LatencyObjective:
    """The objective that sizing works for: the first on whole-request latency, else the first."""
    objectives = given.spec.slo.objectives
    return next((o for o in objectives if o.signal == "latency"), objectives[0])


def assess(
    given: WorkloadInput, state: WorkloadState, view: View, context: Context, lead_s: float
) -> tuple[Need, skew.Skew | None, WorkloadState]:
    config = context.config
    objective = objective_of(given)
    suffering = view.misses is not None and view.misses.estimate > 1.0 - objective.ratio
    carried = size.capacity(
        state.templates, template_hash=given.replicas.template_hash, view=view, objective=objective
    )
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
    state = replace(state, skew_ratio=skew.allowance(state.skew_ratio, spread, suffering=suffering))
    upper, ahead = _upper(level, state, context, objective, lead_s)
    backlog = _backlog_rps(view, carried, objective)
    wanted = None
    if carried is not None:
        wanted = size.replicas_for(upper + backlog, carried, skew_ratio=state.skew_ratio)
    elif level <= 0.0:
        wanted = 0  # confirmed zero, and no capacity is needed to carry nothing
    need = Need(
        level_rps=level,
        upper_rps=upper + backlog,
        fast_rps=fast_rps + backlog,
        carried=carried,
        wanted=wanted,
        suffering=suffering,
        ahead=ahead,
    )
    return need, spread, state


def _upper(
    level: float, state: WorkloadState, context: Context, objective: LatencyObjective, lead_s: float
) -> tuple[float, demand.Ahead | None]:
    """The demand to be ready for, and the forecast that counted in it.

    The naive forecast's quantile over the lead time, moved towards a better forecast's as far as that has shown skill.
    """
    config = context.config
    minutes = objective.form is SloForm.MINUTES
    budget = config.scaling_budget_minutes_ratio if minutes else config.scaling_budget_ratio
    # `p95 < T` asks that 99 % of requests fall into good minutes; `99% < T` gives its own share.
    allowed = 0.01 if minutes else 1.0 - objective.ratio
    quantile = demand.provision_quantile(budget * allowed)
    upper = level * demand.growth_ratio(
        state.growth, quantile=quantile, lead_s=lead_s + config.tick_s
    )
    ahead = forecast_ahead(context, lead_s + config.tick_s, quantile)
    # What is there now is never forecast away.
    return (upper if ahead is None else max(level, demand.believed_rps(upper, ahead))), ahead


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


def _backlog_rps(view: View, carried: size.Capacity | None, objective: LatencyObjective) -> float:
    """Extra rate that works off what waits beyond what a batch in formation explains."""
    if carried is None or not view.pending:
        return 0.0
    usual: float = view.ready * carried.dominant.max_batch_size * carried.dominant.instances
    # What a replica at its limit holds within the threshold is no backlog.
    usual = max(usual, view.ready * carried.rps * objective.threshold_s)
    return max(0.0, view.pending - usual) / DRAIN_S
