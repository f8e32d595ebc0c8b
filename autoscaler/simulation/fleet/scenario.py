"""What a fleet's simulation is told: workloads with the shapes that each may have, pools of nodes, the MIG manager."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from autoscaler.core.mig.catalogue import find_gpu
from autoscaler.core.mig.choice import WHOLE_GPU, resource_of, share_price
from autoscaler.core.mig.geometry import Geometry, parse_geometry
from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.types import WorkloadSpec
from autoscaler.simulation.nodes import NodeSettings, Span
from autoscaler.simulation.scenario import Failures, Scenario

GPU_RESOURCE = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One Deployment of a workload: what its pods hold, and how they serve."""

    name: str = WHOLE_GPU
    """A MIG profile, or `gpu`."""
    slowdown_ratios: tuple[float, ...] = ()
    """By batch size, over a whole GPU's time; empty: as long."""
    min_replicas: int = 1
    max_replicas: int | None = None
    first_replicas: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetWorkload:
    """One workload: its demand, SLO and servers as of one that is alone, on one shape or as a variant group."""

    alone: Scenario
    """Its own nodes, outages and failures are not looked at: the fleet's are."""
    shapes: tuple[Shape, ...]

    @property
    def name(self) -> str:
        """Of the workload, or of the group."""
        return self.alone.spec.id.name

    @property
    def is_group(self) -> bool:
        """Whether it is served by several Deployments."""
        return len(self.shapes) > 1

    def spec_of(self, shape: Shape, gpus: float) -> WorkloadSpec:
        """As annotations would say it; `gpus` is the part of a GPU that a replica holds."""
        spec, name = self.alone.spec, self.name
        return replace(
            spec,
            id=replace(spec.id, name=f"{name}-{shape.name}" if self.is_group else name),
            min_replicas=shape.min_replicas,
            max_replicas=shape.max_replicas,
            may_sleep=shape.min_replicas == 0,
            variant_group=name if self.is_group else None,
            gpus_per_replica=gpus,
            steer_victims=True,
            node_needs=NodeNeeds(
                resource=GPU_RESOURCE if shape.name == WHOLE_GPU else resource_of(shape.name),
                count=1,
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPool:
    """Nodes that are alike. `begins` tells a pool that no autoscaler grows, whose nodes may be cut anew."""

    name: str
    settings: NodeSettings
    layouts: Mapping[str, str] = field(default_factory=dict)
    """By name, how each GPU of a node may be cut; of a pool that grows one at most; none: whole GPUs."""
    begins: Mapping[str, int] = field(default_factory=dict)
    """How many nodes there are at first, by layout; empty: an autoscaler brings them."""
    max_headroom: int = 0
    """Units that forescale may ask for beyond what pods hold."""

    @property
    def is_fixed(self) -> bool:
        return bool(self.begins)

    def geometry(self, layout: str) -> Geometry:
        """Of one GPU. Raises IllegalLayout for what is written otherwise."""
        return parse_geometry(self.layouts[layout])

    def slices(self, layout: str) -> dict[str, int]:
        """Of a whole node, by profile."""
        return {name: n * self.settings.gpus for name, n in self.geometry(layout).counts}

    @property
    def shapes(self) -> frozenset[str]:
        """All that its nodes may ever have."""
        if not self.layouts:
            return frozenset({WHOLE_GPU})
        return frozenset(name for one in self.layouts for name, _ in self.geometry(one).counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class MigSettings:
    """The MIG manager of nodes that are cut anew. Raises ValueError where the numbers can't be."""

    median_s: float = 60.0
    """From the label until the new slices are there, lognormal; pods and metrics of the node are away meanwhile."""
    p99_ratio: float = 2.3
    failed_ratio: float = 0.0
    """Share of the changes that fail: the slices from before come back."""
    hung_ratio: float = 0.0
    """Share that never ends."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.median_s < math.inf:
            raise ValueError(f"median_s: {self.median_s}, 0 or more")
        if not 1.0 <= self.p99_ratio < math.inf:
            raise ValueError(f"p99_ratio: {self.p99_ratio}, 1 or more")
        for key in ("failed_ratio", "hung_ratio"):
            if not 0.0 <= getattr(self, key) <= 1.0:
                raise ValueError(f"{key}: {getattr(self, key)}, 0 to 1")
        if self.failed_ratio + self.hung_ratio > 1.0:
            raise ValueError(f"hung_ratio: {self.hung_ratio}, with failed_ratio at most 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetScenario:
    """Workloads and the pools that they share."""

    name: str
    gpu: str
    """The catalogue's name of every GPU here."""
    workloads: tuple[FleetWorkload, ...]
    pools: tuple[FleetPool, ...]
    mig: MigSettings = field(default_factory=MigSettings)
    planner_s: float = 5.0
    """What a packing takes: the plan is there so long after it was asked for."""
    outages: tuple[Span, ...] = ()
    failures: Failures = field(default_factory=Failures)

    @property
    def duration_s(self) -> float:
        """Of the longest demand."""
        return max(one.alone.demand.duration_s for one in self.workloads)

    def compute_of(self, shape: str) -> float:
        """The slice's share of a GPU's compute, as forescale is told of it."""
        gpu = find_gpu(self.gpu)
        return 1.0 if shape == WHOLE_GPU else gpu.profile(shape).compute_slices / gpu.compute_slices

    def gpus_of(self, shape: str) -> float:
        """The part of a GPU that a slice takes, of compute or memory whichever is more."""
        if shape == WHOLE_GPU:
            return 1.0
        gpu = find_gpu(self.gpu)
        return share_price(gpu, shape) / (gpu.compute_slices * gpu.memory_slices)
