"""The error budget as a price: what scaling may let miss, and the rehearsal that finds the price which keeps to it."""

from __future__ import annotations

from autoscaler.core import rehearsal
from autoscaler.core.latency import LatencySource
from autoscaler.core.lead_time import LeadTimes, starts_s
from autoscaler.core.observe import View
from autoscaler.core.price import Choices
from autoscaler.core.rehearsal import Moment, Rehearsal
from autoscaler.core.settings import EngineConfig
from autoscaler.core.size import Capacity
from autoscaler.core.state import WorkloadState
from autoscaler.core.types import LatencyObjective, SloForm, WorkloadInput

# Of a latency that is not at least so much queue, more replicas would not have saved a miss.
QUEUE_SHARE = 0.3


def allowed_ratio(
    objective: LatencyObjective, compliance_ratio: float, config: EngineConfig
) -> float:
    """The share of all requests that scaling may let miss.

    `99% < T` gives scaling a fifth of its 1 %: 0.2 %. `p95 < T` asks that 99 % of requests fall into good minutes, and
    gives half of the other 1 %.
    """
    if objective.form is SloForm.MINUTES:
        return config.scaling_budget_minutes_ratio * (1.0 - compliance_ratio)
    return config.scaling_budget_ratio * (1.0 - objective.ratio)


def rehearse(
    given: WorkloadInput,
    state: WorkloadState,
    view: View,
    options: Choices,
    *,
    carried: Capacity,
    arrived_rps: float,
    usual_rps: float | None,
    floor: int,
    objective: LatencyObjective,
    config: EngineConfig,
    now_s: float,
    starts: LeadTimes,
    down_s: float,
) -> Rehearsal:
    """The rehearsal one tick further. An objective that no number of replicas meets teaches no price.

    `floor` holds for the imagined fleets as it does for the real one: what a schedule provides for needs no price.
    """
    known = state.rehearsal or rehearsal.begin(max(view.ready, 1), now_s)
    if not carried.attainable:
        return known
    most = max(config.most_replicas(given.spec.max_replicas), given.spec.min_replicas)
    full_rps = rehearsal.SATURATION_RATIO / carried.work_s_per_inference
    moment = Moment(
        now_s=now_s,
        arrived_rps=arrived_rps,
        usual_rps=usual_rps or 0.0,
        replica_rps=carried.rps / state.skew_ratio,
        full_rps=full_rps / state.skew_ratio,
        spare_s=max(0.0, objective.threshold_s - carried.service_s),
        starts_s=starts_s(starts, seed_s=config.seed_s(given.spec.startup_time_s)),
        down_s=down_s,
        least=min(max(given.spec.min_replicas, floor), most),
        most=most,
        missed_ratio=_missed_ratio(view),
        minute_ratio=1.0 - objective.ratio if objective.form is SloForm.MINUTES else None,
    )
    return rehearsal.advance(
        known,
        moment,
        options,
        allowed_ratio=allowed_ratio(objective, given.spec.slo.compliance_ratio, config),
    )


def _missed_ratio(view: View) -> float | None:
    """What is charged to scaling: exact measurements only, and only misses that a queue has caused."""
    misses = view.curable
    if misses is None or view.curable_from is LatencySource.SUMMARY or misses.high > misses.low:
        return None
    queued = view.queue_ratio
    return misses.estimate if queued is None or queued >= QUEUE_SHARE else 0.0
