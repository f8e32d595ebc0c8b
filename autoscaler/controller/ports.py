"""What the control loop needs of the world: small protocols, so that tests and the real parts look alike to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from autoscaler.core.reasons import Reason
from autoscaler.core.state import EngineState
from autoscaler.core.types import (
    ActionResult,
    HistoryPoint,
    PodGpus,
    PodSample,
    PodStatus,
    ReplicaStatus,
    Scrape,
    ServerProfile,
    SetReplicas,
    Severity,
    Targets,
    TemplateStatus,
    TickInput,
    TickResult,
    WorkloadId,
    WorkloadSpec,
)
from autoscaler.errors import Problem

T = TypeVar("T")


class Engine(Protocol):
    """The part of DecisionEngine that the loop drives."""

    def tick(self, tick_input: TickInput) -> TickResult:
        """Decides; pure."""
        ...

    def acknowledge(self, results: tuple[ActionResult, ...]) -> None:
        """Is told what became of the last plan."""
        ...

    def snapshot(self) -> EngineState:
        """Everything that it remembers."""
        ...

    def restore(self, state: EngineState) -> None:
        """Takes over what another one remembered."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedWorkload:
    """One workload as Kubernetes shows it."""

    spec: WorkloadSpec
    replicas: ReplicaStatus
    pods: tuple[PodStatus, ...] = ()
    pods_known: bool = True
    template: TemplateStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An object that asks to be scaled in words that can't be followed; it is left as it is."""

    workload: WorkloadId
    api_version: str
    problems: tuple[Problem, ...]
    reason: Reason = Reason.INVALID_ANNOTATION


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The cluster at one moment."""

    workloads: tuple[ObservedWorkload, ...] = ()
    refused: tuple[Refused, ...] = ()


class Measured(Protocol):
    """What the metrics source knows at one moment."""

    @property
    def samples(self) -> Mapping[tuple[str, str], PodSample]:
        """By namespace and pod."""
        ...

    @property
    def error(self) -> str | None:
        """Why nothing, or not all, could be read for any workload; None: the source answered."""
        ...

    @property
    def doubled(self) -> frozenset[tuple[str, str]]:
        """(namespace, pod) that are scraped twice; one of the two counts."""
        ...

    @property
    def errors(self) -> Mapping[WorkloadId, str]:
        """The same for single workloads."""
        ...

    @property
    def gateway(self) -> Mapping[WorkloadId, tuple[PodSample, ...]]:
        """What a gateway's instances have counted of each workload's requests."""
        ...

    @property
    def scrapes(self) -> Mapping[tuple[str, str], Scrape]:
        """How the last scrapes ended, in namespaces in which one failed; by namespace and pod."""
        ...

    @property
    def targets(self) -> Targets | None:
        """All that is scraped; None: no scrape failed that matters, or it is not known."""
        ...

    @property
    def gpus(self) -> Mapping[tuple[str, str], PodGpus]:
        """What DCGM shows of the GPUs that pods hold, by namespace and pod."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The plain form of Measured."""

    samples: Mapping[tuple[str, str], PodSample] = field(default_factory=dict)
    error: str | None = None
    errors: Mapping[WorkloadId, str] = field(default_factory=dict)
    doubled: frozenset[tuple[str, str]] = frozenset()
    gateway: Mapping[WorkloadId, tuple[PodSample, ...]] = field(default_factory=dict)
    scrapes: Mapping[tuple[str, str], Scrape] = field(default_factory=dict)
    targets: Targets | None = None
    gpus: Mapping[tuple[str, str], PodGpus] = field(default_factory=dict)


class ClusterSource(Protocol):
    """Kubernetes, watched in the background."""

    @property
    def synced(self) -> bool:
        """Everything has been listed once."""
        ...

    @property
    def error(self) -> str | None:
        """What is not up to date, in words; None: everything is."""
        ...

    def observe(self) -> Observation:
        """The newest state that is known; no I/O."""
        ...


class MetricsSource(Protocol):
    """Prometheus."""

    async def collect(
        self, now_s: float, workloads: tuple[WorkloadSpec, ...], *, ago_s: float = 0.0
    ) -> Measured:
        """Samples as of `ago_s` before `now_s`. May raise SourceError where nothing could be read."""
        ...

    async def backfill(
        self, at_s: float, workloads: tuple[WorkloadSpec, ...]
    ) -> Mapping[WorkloadId, tuple[HistoryPoint, ...]]:
        """Demand of the past, for workloads that are new to this process. May raise SourceError."""
        ...


class ProfileSource(Protocol):
    """Servers' own statistics, read now and then in the background."""

    def take(self) -> Mapping[WorkloadId, tuple[ServerProfile, ...]]:
        """What was read since the last call; each reading is handed out once."""
        ...


class Actuator(Protocol):
    """Carries actions out."""

    async def apply(self, action: SetReplicas) -> ActionResult:
        """One write. May raise ActuationError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that people should read at an object: becomes a Kubernetes Event."""

    workload: WorkloadId
    api_version: str
    reason: str
    message: str
    severity: Severity


class EventSink(Protocol):
    """Writes Events."""

    async def send(self, note: Note, at_s: float) -> None:
        """`at_s`: when it was so. The same note of the same time is one Event. May raise ActuationError;
        ActuationConflict: it is there already."""
        ...


class CheckpointStore(Protocol):
    """Keeps one blob."""

    async def save(self, data: bytes) -> None:
        """Replaces it as a whole or not at all. May raise ActuationError, SourceError or OSError."""
        ...

    async def load(self) -> bytes | None:
        """None: there is none. May raise SourceError or OSError."""
        ...


class Offload(Protocol):
    """Runs something that blocks or computes without stopping the event loop."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """What `work` returns."""
        ...
