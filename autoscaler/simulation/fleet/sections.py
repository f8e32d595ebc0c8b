"""The sections of a file of several workloads, as they are written."""

from __future__ import annotations

from dataclasses import dataclass, field

import pydantic

from autoscaler.core.mig.choice import WHOLE_GPU
from autoscaler.simulation.fleet.scenario import MigSettings
from autoscaler.simulation.nodes import Span
from autoscaler.simulation.scenario import Failures
from autoscaler.simulation.scenario_sections import (
    BalancingSection,
    DemandSection,
    ServerSection,
    StartupSection,
    WorkloadSection,
)
from autoscaler.simulation.scenario_text import STRICT


@pydantic.with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class ShapeSection:
    """One Deployment of a variant group."""

    profile: str
    """`gpu` is a whole one."""
    slowdown_ratio: float | None = None
    batch_service_s: tuple[float, ...] | None = None
    min_replicas: int = 1
    max_replicas: int | None = None
    first_replicas: int = 1


@pydantic.with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class FleetWorkloadSection:
    """The sections of one workload, as in a file of its own."""

    workload: WorkloadSection
    demand: DemandSection
    server: ServerSection
    startup: StartupSection
    balancing: BalancingSection = field(default_factory=BalancingSection)
    shapes: tuple[ShapeSection, ...] = (ShapeSection(profile=WHOLE_GPU),)


@pydantic.with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class PoolSection:
    """Nodes that are alike. With `layouts` a fixed pool, else one that an autoscaler grows."""

    name: str
    gpus: int = 8
    layouts: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, int] = field(default_factory=dict)
    layout: str | None = None
    boot_s: float | None = None
    unneeded_s: float | None = None
    most: int | None = None
    stock_outs: tuple[Span, ...] = ()
    max_headroom: int | None = None


@pydantic.with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class FleetDocument:
    """A whole file."""

    gpu: str
    pools: tuple[PoolSection, ...]
    workloads: tuple[FleetWorkloadSection, ...]
    name: str | None = None
    mig: MigSettings = field(default_factory=MigSettings)
    planner_s: float = 5.0
    outages: tuple[Span, ...] = ()
    failures: Failures = field(default_factory=Failures)


pydantic.with_config(STRICT)(MigSettings)
