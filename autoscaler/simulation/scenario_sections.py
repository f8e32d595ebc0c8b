"""The sections of a scenario file, as they are written."""

from __future__ import annotations

from dataclasses import dataclass, field

import pydantic

from autoscaler.simulation.clients import Clients
from autoscaler.simulation.continuous_model import Lengths
from autoscaler.simulation.nodes import NodeSettings, Span
from autoscaler.simulation.scenario import Failures
from autoscaler.simulation.scenario_text import STRICT
from autoscaler.simulation.serving import Routing


@pydantic.with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class DemandSection:
    """`shape`, `trace` or `users`."""

    shape: str | None = None
    trace: str | None = None
    users: str | None = None
    think_s: float | None = None
    column: str | None = None
    hours: float | None = None
    last_days: float | None = None
    peak_rps: float | None = None
    dispersion: float = 1.0
    burst_s: int = 1


@pydantic.with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class WorkloadSection:
    """What its annotations would say, and what it begins with."""

    slo: str
    name: str = "model"
    min_replicas: int = 1
    max_replicas: int | None = None
    first_replicas: int = 1
    goal_ratio: float | None = None


@pydantic.with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class ContinuousSection:
    """An engine that generates tokens, and how long the requests are."""

    base_step_s: float
    sequence_s: float
    prompt_token_s: float
    lengths: Lengths
    context_token_s: float = 0.0
    max_sequences: int = 256
    step_tokens: int = 2048
    cache_tokens: int = 200_000
    block_tokens: int = 16
    max_model_tokens: int | None = None


@pydantic.with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class ServerSection:
    """One replica: `batch_service_s` or `continuous`."""

    batch_service_s: tuple[float, ...] | None = None
    continuous: ContinuousSection | None = None
    instances: int = 1
    max_queue_delay_s: float = 0.0
    service_cv: float = 0.0
    max_queue_size: int | None = None


@pydantic.with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class BalancingSection:
    """How requests are given to replicas."""

    routing: Routing = Routing.LEAST_OUTSTANDING
    connections: int = 64
    connection_life_s: float | None = None
    gateway: bool = False


@pydantic.with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class StartupSection:
    """Time to ready."""

    median_s: float
    p99_ratio: float = 2.3


@pydantic.with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Document:
    """A whole file."""

    workload: WorkloadSection
    demand: DemandSection
    server: ServerSection
    startup: StartupSection
    name: str | None = None
    balancing: BalancingSection = field(default_factory=BalancingSection)
    nodes: NodeSettings = field(default_factory=NodeSettings)
    outages: tuple[Span, ...] = ()
    failures: Failures = field(default_factory=Failures)
    clients: Clients = field(default_factory=Clients)


for _type in (NodeSettings, Span, Failures, Lengths, Clients):
    pydantic.with_config(STRICT)(_type)
