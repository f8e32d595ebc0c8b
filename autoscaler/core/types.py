"""The values that pass between the rooms: what a tick sees and what it answers.

These types are the border between the pure engine and every adapter - live collectors, the simulator, a journal. They
hold plain values only and go through JSON unchanged. `None` always means "not observed", never zero. Times ending in
`_s` are seconds; points in time are seconds since the Unix epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from autoscaler.core.nodes.observed import PoolDecision, PoolInput, SetHeadroom
from autoscaler.core.observed import (
    BatchTime,
    ModelCounters,
    ModelProfile,
    PodGpus,
    PodSample,
    PodStatus,
    ReplicaStatus,
    Scrape,
    ServerProfile,
    Targets,
)
from autoscaler.core.reasons import Reason
from autoscaler.core.sickness import SickReplica
from autoscaler.core.slices.observed import MigAction, SlicePlan, SlicesDecision, SlicesInput
from autoscaler.core.slices.template import SetShape, TemplateStatus
from autoscaler.core.spec import (
    LatencyObjective,
    Mode,
    Pause,
    ScheduledFloor,
    Slo,
    SloForm,
    Survive,
    WorkloadId,
    WorkloadSpec,
)

__all__ = [
    "ActionResult",
    "BatchTime",
    "Decision",
    "DecisionStep",
    "DemandForecast",
    "Facts",
    "Finding",
    "HeadroomResult",
    "HistoryPoint",
    "LatencyObjective",
    "MigResult",
    "Mode",
    "ModelCounters",
    "ModelProfile",
    "Outcome",
    "Pause",
    "PodGpus",
    "PodSample",
    "PodStatus",
    "ReplicaStatus",
    "ScalingPlan",
    "ScheduledFloor",
    "Scrape",
    "ServerProfile",
    "SetReplicas",
    "SetShape",
    "Severity",
    "ShapeResult",
    "SickReplica",
    "Slo",
    "SloForm",
    "Survive",
    "Targets",
    "TemplateStatus",
    "TickInput",
    "TickRecord",
    "TickResult",
    "WorkloadId",
    "WorkloadInput",
    "WorkloadSpec",
]

# ---------------------------------------------------------------- what comes from outside the tick


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandForecast:
    """Demand (inferences a second) ahead of `cutoff_s`, made outside the tick; holds until `expires_s`.

    `values_rps[i][j]` is quantile `quantiles[j]` of the **maximum** over the next `horizons_s[i]` seconds.
    """

    workload: WorkloadId
    cutoff_s: float
    expires_s: float
    horizons_s: tuple[float, ...]
    quantiles: tuple[float, ...]
    values_rps: tuple[tuple[float, ...], ...]
    skills: tuple[tuple[float, ...], ...] = ()
    """For each of `values_rps`, the share of the naive forecast's pinball loss that the issued forecasts saved lately:
    0 (none) to 1. Decides how far the forecast is believed. Empty: not known, which is none."""
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPoint:
    """Demand of one past minute, from a range query at start."""

    minute_s: float
    offered_rps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadInput:
    """All that one tick knows of one workload."""

    spec: WorkloadSpec
    replicas: ReplicaStatus
    pods: tuple[PodStatus, ...] = ()
    pods_known: bool = True
    """False: the list of pods is not to be trusted (watch broken, relist under way)."""
    samples: tuple[PodSample, ...] = ()
    earlier: tuple[PodSample, ...] = ()
    """From before `samples`, in the order of their time: of a tick that has none before it to compare with."""
    samples_error: str | None = None
    """Why there are no samples or not all, as a sentence; None: the source answered."""
    scrapes: tuple[Scrape, ...] = ()
    """Of pods without a sample, where there is word of them."""
    doubled_pods: tuple[str, ...] = ()
    """Pods of which the source had two scrapes; the collector kept one."""
    gpus: tuple[PodGpus, ...] = ()
    """Of pods whose GPUs DCGM shows."""
    gateway: tuple[PodSample, ...] = ()
    """What each instance of a gateway or mesh has counted of this workload's requests, as a client sees them."""
    profiles: tuple[ServerProfile, ...] = ()
    template: TemplateStatus | None = None
    """Of a Deployment with `slice_shapes`."""
    backfill: tuple[HistoryPoint, ...] = ()
    """History from before this process, given once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TickInput:
    """What the engine sees. Nothing else reaches it."""

    now_s: float
    workloads: tuple[WorkloadInput, ...]
    forecasts: tuple[DemandForecast, ...] = ()
    """Those that are new since the last tick; the engine keeps each until it expires."""
    frozen: str | None = None
    """Why all scaling is stopped by a person; None: it is not."""
    targets: Targets | None = None
    """Looked at only while a pod answers no scrape; None: not looked at, or not known."""
    pools: tuple[PoolInput, ...] = ()
    """The configured node pools."""
    slices: SlicesInput | None = None
    """None: `engine.slices.mode` is off."""
    slice_plan: SlicePlan | None = None
    """The packing's answer, where there is a new one."""


# ---------------------------------------------------------------- what a tick answers


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionStep:
    """One stage that looked at the number of replicas; `before == after` says why it stayed."""

    stage: str
    before: int
    after: int
    reason: Reason
    message: str


class Severity(StrEnum):
    """Kubernetes' own two kinds of Event."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a person should know of a workload, beside the number of replicas."""

    reason: Reason
    message: str
    severity: Severity = Severity.WARNING
    about: str = ""
    """Which pod it is about, where several may be told of with the same reason; empty: the workload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The measured quantities behind a decision. None: unknown."""

    offered_rps: float | None = None
    """Inferences a second that arrived lately."""
    upper_rps: float | None = None
    """Demand that is provided for: what the wanted replicas carry."""
    exceeded_ratio: float | None = None
    """Chance that demand exceeds it within the lead time."""
    price: float | None = None
    """Of a miss, in what it costs to serve a request: found so that the error budget is kept to."""
    work_ratio: float | None = None
    """Offered work in busy replicas: rate x measured service time at full batches."""
    utilization_limit_ratio: float | None = None
    """How busy a replica may be so that the objective holds."""
    capacity_rps: float | None = None
    """Inferences a second that one replica carries within the objective."""
    tokens: bool = False
    """Of an engine that generates tokens: an inference is a token."""
    capacity_limit: str | None = None
    """What ends the batch of such an engine, as `50 ms a token`; None: not known, or another engine."""
    capacity_unproven: str | None = None
    """Why that is not measured here yet, so that nothing is lowered on it; None: it is, or no capacity is known."""
    latency_s: float | None = None
    """Latency at the objective's quantile, over all pods."""
    queue_ratio: float | None = None
    """The queue's share of the mean latency."""
    violated_ratio: float | None = None
    violated_low_ratio: float | None = None
    violated_high_ratio: float | None = None
    """Share of recent requests that missed the objective: estimate and bounds."""
    violated_of: str | None = None
    """Of several objectives the one that is closest to its limit; the share is in proportion to what the one that is
    sized for allows."""
    violated_from: str | None = None
    """Where that was read: `gateway`, `histogram`, or `summary`, which is an estimate."""
    skew_ratio: float | None = None
    """The busiest pod's load over the mean."""
    lead_time_s: float | None = None
    """How far it looks ahead: until a replica that is asked for now is ready."""
    start_time_s: float | None = None
    """Of that, what a pod takes once it has a node; None: no configured pool is for it."""
    ready: int | None = None
    starting: int | None = None
    coverage_ratio: float | None = None
    """Share of the ready pods with a fresh sample."""
    sample_age_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetReplicas:
    """Absolute and idempotent: make spec.replicas `replicas`, provided that it still is `observed`."""

    workload: WorkloadId
    api_version: str
    observed: int
    replicas: int
    reason: Reason
    message: str
    victims: tuple[str, ...] = ()
    """Pods that should go, where fewer are left and it may be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer for one workload, with everything that led to it."""

    workload: WorkloadId
    current: int
    target: int
    reason: Reason
    """Why the target is what it is: that of the last step that moved it, else of the one that held it."""
    message: str
    mode: Mode = Mode.AUTO
    steps: tuple[DecisionStep, ...] = ()
    findings: tuple[Finding, ...] = ()
    facts: Facts = field(default_factory=Facts)
    sick: tuple[SickReplica, ...] = ()
    """Ready replicas that are ill."""
    counterfactual: str = ""
    """What one replica fewer would have meant."""

    def then(self, stage: str, target: int, reason: Reason, message: str) -> Decision:
        """With one more step, which is why the target is what it is, also where it stays."""
        step = DecisionStep(
            stage=stage, before=self.target, after=target, reason=reason, message=message
        )
        return replace(
            self, target=target, reason=reason, message=message, steps=(*self.steps, step)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPlan:
    """The actions of one tick."""

    actions: tuple[SetReplicas, ...] = ()
    headroom: tuple[SetHeadroom, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TickResult:
    """What the engine answers: one decision for each workload and the actions that follow from them."""

    now_s: float
    decisions: tuple[Decision, ...]
    plan: ScalingPlan
    fleet: tuple[Finding, ...] = ()
    """What concerns the fleet as a whole: brakes, a freeze."""
    pools: tuple[PoolDecision, ...] = ()
    slices: SlicesDecision = field(default_factory=SlicesDecision)


class Outcome(StrEnum):
    """What became of an action."""

    APPLIED = "Applied"
    UNCHANGED = "Unchanged"
    CONFLICT = "Conflict"
    REJECTED = "Rejected"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionResult:
    """What the API server said to an action."""

    action: SetReplicas
    outcome: Outcome
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadroomResult:
    """What the API server said to a change of headroom."""

    action: SetHeadroom
    outcome: Outcome
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigResult:
    """What the API server said to a write to a node."""

    action: MigAction
    outcome: Outcome
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeResult:
    """What the API server said to a write to a Deployment's template."""

    action: SetShape
    outcome: Outcome
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TickRecord:
    """One line of the journal: input, answer, and what became of it."""

    input: TickInput
    result: TickResult
    actions: tuple[ActionResult, ...] = ()
    headroom: tuple[HeadroomResult, ...] = ()
    mig: tuple[MigResult, ...] = ()
    shapes: tuple[ShapeResult, ...] = ()
