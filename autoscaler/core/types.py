"""The values that pass between the rooms: what a tick sees and what it answers.

These types are the border between the pure engine and every adapter - live collectors, the simulator, a journal. They
hold plain values only and go through JSON unchanged. `None` always means "not observed", never zero. Times ending in
`_s` are seconds; points in time are seconds since the Unix epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from autoscaler.core.nodes.observed import NodeNeeds, PoolDecision, PoolInput, SetHeadroom
from autoscaler.core.reasons import Reason
from autoscaler.core.slices.observed import MigAction, SlicePlan, SlicesDecision, SlicesInput

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
    may_sleep: bool = False
    """`min-replicas` is 0: while the others of its variant group carry the demand, it may have none."""
    steer_victims: bool = False
    """Its pods may be marked with which of them go first."""
    node_needs: NodeNeeds | None = None
    """What a replica asks of a node. None: no node pool is configured, or it asks for no GPU."""


# ---------------------------------------------------------------- what Kubernetes shows


@dataclass(frozen=True, slots=True, kw_only=True)
class PodStatus:
    """One pod of a workload. Times are the API server's."""

    name: str
    template_hash: str = ""
    created_s: float
    ready_s: float | None = None
    """Since when it is ready, without a break; None: it is not."""
    first_ready_s: float | None = None
    """When it first became ready, where known: time-to-ready is first_ready_s - created_s."""
    deleted_s: float | None = None
    """Deletion timestamp; None: not terminating."""
    restarts: int = 0
    unschedulable: bool = False
    gated: bool = False
    """Held back from scheduling, as Kueue does."""
    node: str | None = None
    """Where it runs; None: it is not on a node yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStatus:
    """The scale as Kubernetes shows it at one moment."""

    desired: int
    """spec.replicas as read from the scale."""
    rollout: bool = False
    """A new pod template is being rolled out, or the controller has not yet seen the last change."""
    template_hash: str = ""
    """Hash of the newest pod template, by which capacity is remembered."""
    held_by: str | None = None
    """Another autoscaler that owns the scale, as `HorizontalPodAutoscaler ns/name`."""
    hand_over: str = "delete it"
    """What a person does to hand the scale over from who holds it."""
    blocked: str | None = None
    """Why pods can't be made (quota, FailedCreate), in Kubernetes' words."""


# ---------------------------------------------------------------- what the servers say


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTime:
    """Executions of one batch size since the server started, and the time that they took together."""

    batch_size: int
    count: int
    total_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCounters:
    """Counters of one model on one pod since the server started (Triton's `nv_inference_*`); None: not exported.

    `queue_s`, `compute_s` and `request_s` add up over requests: every request of a batch adds the whole batch's time.
    """

    model: str
    success: float | None = None
    """Requests answered well."""
    failure: float | None = None
    """Requests that failed, were rejected or cancelled."""
    inferences: float | None = None
    """Items: a request with a client-side batch of 4 counts 4."""
    executions: float | None = None
    """Batches executed."""
    pending: float | None = None
    """Gauge: requests waiting for an instance now."""
    request_s: float | None = None
    queue_s: float | None = None
    compute_s: float | None = None
    latency_quantiles: tuple[tuple[float, float], ...] = ()
    """(quantile, seconds) of recent requests, ascending; summaries of this pod alone."""
    latency_buckets: tuple[tuple[float, float], ...] = ()
    """(upper bound in seconds, cumulative count) of a histogram, ascending, +Inf as a bound of 1e308."""
    ttft_buckets: tuple[tuple[float, float], ...] = ()
    """The same for the time to the first token, and"""
    tpot_buckets: tuple[tuple[float, float], ...] = ()
    """for each request's mean time per output token."""
    token_s: float | None = None
    """Engines that generate tokens, whose `inferences` are tokens: time between tokens, added up over all tokens."""
    running: float | None = None
    """Gauge: sequences in the batch now."""
    cache_ratio: float | None = None
    """Gauge: share of the key-value cache in use, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSample:
    """What one pod's server exported at one scrape."""

    pod: str
    sampled_at_s: float
    models: tuple[ModelCounters, ...] = ()
    gpu_busy_ratio: float | None = None
    """Secondary signal only: DCGM's, 0 to 1."""
    engine: str = ""
    """Whose metrics these are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    """What Triton itself tells of one model on one pod template: configuration and measured time per batch size."""

    model: str
    version: str = ""
    """The versions that are loaded, as `2` or `1,2`; empty: not told."""
    max_batch_size: int = 1
    instances: int = 1
    max_queue_delay_s: float = 0.0
    batch_times: tuple[BatchTime, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProfile:
    """Statistics of one pod's models, read from Triton's own API now and then."""

    pod: str
    template_hash: str
    sampled_at_s: float
    models: tuple[ModelProfile, ...]


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
    doubled_pods: tuple[str, ...] = ()
    """Pods of which the source had two scrapes; the collector kept one."""
    gateway: tuple[PodSample, ...] = ()
    """What each instance of a gateway or mesh has counted of this workload's requests, as a client sees them."""
    profiles: tuple[ServerProfile, ...] = ()
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
class TickRecord:
    """One line of the journal: input, answer, and what became of it."""

    input: TickInput
    result: TickResult
    actions: tuple[ActionResult, ...] = ()
    headroom: tuple[HeadroomResult, ...] = ()
    mig: tuple[MigResult, ...] = ()
