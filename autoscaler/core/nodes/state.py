"""What the engine remembers of pools between ticks."""

from __future__ import annotations

from dataclasses import dataclass, field

from autoscaler.core.demand import Growth
from autoscaler.core.lead_time import LeadTimes
from autoscaler.core.nodes.observed import Backend
from autoscaler.core.types import WorkloadId


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Units that the pods of a choice of pools were expected to hold, as of one tick."""

    at_s: float
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceState:
    """Memory of the workloads that may use the same pools, named by those pools in the order of asking."""

    choice: tuple[str, ...]
    growth: Growth = field(default_factory=Growth)
    """How their summed demand rose, in thousandths of a unit."""
    minute_s: float | None = None
    """The minute that is being filled: its ticks, their sum and their highest."""
    ticks: int = 0
    sum_units: float = 0.0
    highest_units: float = 0.0
    wanted: tuple[Wanted, ...] = ()
    """Of the last `patience_s`, oldest first."""
    resting: tuple[tuple[str, int], ...] = ()
    """Units that workloads hold whose group grows by another member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StockState:
    """Whether a pool can be had."""

    seen_s: float = 0.0
    """The newest evidence that was taken in."""
    failures: int = 0
    """In a row, without a node in between."""
    until_s: float | None = None
    """It is left alone until then; None: it can be had, as far as is known."""
    probing: bool = False
    """Its time is over and no node has come yet: it is asked for one unit of headroom beside the next pool."""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenSince:
    """Since when a node was seen to be of no use without a break."""

    node: str
    since_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState:
    """Memory of one pool."""

    pool: str
    registered: LeadTimes = field(default_factory=LeadTimes)
    """Seconds from the request to registration,"""
    ready: LeadTimes = field(default_factory=LeadTimes)
    """to readiness,"""
    allocatable: LeadTimes = field(default_factory=LeadTimes)
    """and to units that can be allocated: the lead time."""
    stock: StockState = field(default_factory=StockState)
    headroom: int | None = None
    """What the last tick answered."""
    foreign_base: int | None = None
    """Units that other tenants held when headroom was last none, or fewer since."""
    backend: Backend | None = None
    unmet_since_s: float | None = None
    """Since when headroom is asked for and neither there nor coming; None: it is."""
    unproven: tuple[Backend, ...] = ()
    """Back-ends that were asked and brought nothing."""
    broken: tuple[BrokenSince, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckSince:
    """Since when replicas of a workload have been asked for that do not come."""

    workload: WorkloadId
    since_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesState:
    """Memory of all pools."""

    pools: tuple[PoolState, ...] = ()
    choices: tuple[ChoiceState, ...] = ()
    stuck: tuple[StuckSince, ...] = ()
