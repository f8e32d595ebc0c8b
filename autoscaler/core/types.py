"""The values that pass between the rooms: what a tick sees and what it answers.

These types are the border between the pure engine and every adapter - live collectors, the simulator, a journal. They
hold plain values only and go through JSON unchanged. `None` always means "not observed", never zero. Times ending in
`_s` are seconds; points in time are seconds since the Unix epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from autoscaler.core.nodes.observed import NodeNeeds, PoolDecision, PoolInput, SetHeadroom
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
    "Targets",
    "TemplateStatus",
    "TickInput",
    "TickRecord",
    "TickResult",
    "WorkloadId",
    "WorkloadInput",
    "WorkloadSpec",
]

# ---------------------------------------------------------------- what is to be scaled


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class WorkloadId:
    """Names one scalable object. `str()` gives what people type: `namespace/name`."""

    namespace: str
    name: str
    kind: str = "Deployment"

    def __str__(self) -> str:
        if self.kind == "Deployment":
            return f"{self.namespace}/{self.name}"
        return f"{self.namespace}/{self.kind.lower()}/{self.name}"


class Mode(StrEnum):
    """How far forescale may go with a workload."""

    AUTO = "auto"
    RECOMMEND = "recommend"
    OFF = "off"


class Pause(StrEnum):
    """Which direction a person has stopped."""

    NONE = "none"
    UP = "up"
    DOWN = "down"
    ALL = "all"


class Survive(StrEnum):
    """The loss of what leaves a workload as many replicas as its demand asks for."""

    NONE = "none"
    NODE = "node"
    ZONE = "zone"


class SloForm(StrEnum):
    """`p95 < 200ms` is judged minute by minute, `99% < 200ms` over the window as a whole."""

    MINUTES = "minutes"
    REQUESTS = "requests"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyObjective:
    """`ratio` of the requests are to finish within `threshold_s`; 0 < ratio < 1."""

    form: SloForm
    ratio: float
    threshold_s: float
    signal: str = "latency"
    """`latency`, `ttft` (time to first token) or `tpot` (time per output token)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """One or more objectives and the window over which they are judged."""

    objectives: tuple[LatencyObjective, ...]
    compliance_ratio: float = 0.99
    """Share of requests that must fall into good minutes; used by the form MINUTES only."""
    window_s: float = 28 * 86400.0
    text: str = ""
    """As the user wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledFloor:
    """A cron floor: at least `min_replicas` for `duration_s` from each time that `cron` names, in `timezone`."""

    cron: str
    duration_s: float
    min_replicas: int
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSpec:
    """What a team (annotations) and an SRE (policy) ask for, parsed and complete."""

    id: WorkloadId
    api_version: str = "apps/v1"
    slo: Slo
    mode: Mode = Mode.AUTO
    pause: Pause = Pause.NONE
    min_replicas: int = 1
    max_replicas: int | None = None
    engine: str = "triton"
    engine_from: str = "assumed"
    """What it is known by: `annotation`, the part of the pod template or the metric that told, or `assumed`."""
    model: str | None = None
    """Judge only this model of a multi-model server; None: all."""
    startup_time_s: float | None = None
    """Seed for time-to-ready; None: the policy's."""
    priority: int = 0
    schedule: tuple[ScheduledFloor, ...] = ()
    pods_of: str | None = None
    """Name of the Deployment that the pods are named after, where it is not the workload itself."""
    gpus_per_replica: float = 1.0
    """Whole GPUs that one replica holds; a MIG slice counts as its share of compute slices."""
    variant_group: str | None = None
    """Deployments of one namespace with the same name here serve one model together, each on a shape of its own."""
    survive: Survive = Survive.NONE
    """The loss of what it is to survive."""
    slice_shapes: tuple[str, ...] = ()
    """MIG profiles that its own template may ask for; empty: it stays as it is."""
    may_sleep: bool = False
    """`min-replicas` is 0: while the others of its variant group carry the demand, it may have none."""
    steer_victims: bool = False
    """Its pods may be marked with which of them go first."""
    node_needs: NodeNeeds | None = None
    """What a replica asks of a node. None: no node pool is configured, or it asks for no GPU."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPlan:
    """The actions of one tick."""

    actions: tuple[SetReplicas, ...] = ()
    headroom: tuple[SetHeadroom, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.actions and not self.headroom


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
