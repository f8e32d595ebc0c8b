"""What a team (annotations) and an SRE (policy) ask for: which workload, which objective, within which bounds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.switched import Switched


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


class Mode(Switched):
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
    slo_from: str = "annotation"
    """Whose it is: `annotation`, or `policy` where that says `default`."""
    mode: Mode = Mode.AUTO
    pause: Pause = Pause.NONE
    min_replicas: int = 1
    max_replicas: int | None = None
    engine: str = "triton"
    engine_from: str = "assumed"
    """What it is known by: `annotation`, the part of the pod template or the metric that told, or `assumed`."""
    max_sequences: int | None = None
    """How many a replica of a token engine runs at most, as its arguments tell; None: they do not."""
    silent: str | None = None
    """Why its pods export nothing that is read here, with the remedy, as the pod template tells; None: it does not."""
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
