"""What an SRE may set for the engine. Every default is meant to be left alone.

Plain frozen values, so that a journal can carry them; `autoscaler.config` reads them from a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from autoscaler.core.nodes.settings import NodeSettings
from autoscaler.core.profile import WorkloadPrior
from autoscaler.core.slices.settings import SliceSettings


class PolicyType(StrEnum):
    """HPA's two kinds of rate policy."""

    PODS = "Pods"
    PERCENT = "Percent"


class SelectPolicy(StrEnum):
    """Which of several rate policies counts: the one that allows the most, the least, or none at all."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePolicy:
    """At most `value` (pods, or percent of the replicas at the period's start) within any `period_s`."""

    type: PolicyType
    value: float
    period_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingRules:
    """One direction of HPA's `behavior`, with its meanings."""

    stabilization_window_s: float | None = None
    """Seconds of past recommendations that are looked at: down takes their highest, up their lowest. None: for up 0,
    for down a third of the time to ready, 60 to 120."""
    policies: tuple[RatePolicy, ...] = ()
    select_policy: SelectPolicy = SelectPolicy.MAX
    tolerance_ratio: float = 0.0
    """Down: what fewer replicas must be able to carry beyond the present demand. Up: relative rise that is too small to
    act on (HPA: 0.1 in both directions)."""


def _default_scale_up() -> ScalingRules:
    # Fivefold, or eight pods, in 15 s: HPA's doubling takes half a minute to answer a spike that is foreseen fourfold,
    # which is more than many a start-up. What runs away is stopped by the fleet's brakes. Panic ignores it.
    return ScalingRules(
        policies=(
            RatePolicy(type=PolicyType.PERCENT, value=400.0, period_s=15.0),
            RatePolicy(type=PolicyType.PODS, value=8.0, period_s=15.0),
        )
    )


def _default_scale_down() -> ScalingRules:
    # Half the replicas a minute at most: a wrong descent is noticed before it is complete.
    return ScalingRules(
        policies=(
            RatePolicy(type=PolicyType.PERCENT, value=50.0, period_s=60.0),
            RatePolicy(type=PolicyType.PODS, value=1.0, period_s=60.0),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingBehavior:
    """HPA's `behavior`: rules for each direction."""

    scale_up: ScalingRules = field(default_factory=_default_scale_up)
    scale_down: ScalingRules = field(default_factory=_default_scale_down)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSettings:
    """When what Prometheus says is believed."""

    stale_after_s: float = 30.0
    """A sample older than this is no sample (six scrapes of 5 s)."""
    min_coverage_ratio: float = 0.8
    """Share of the ready pods that must have a fresh sample before anything is lowered."""
    rate_window_s: float = 30.0
    """Window of the stable arrival rate."""
    panic_window_s: float = 10.0
    """Window of the fast arrival rate: two scrapes."""
    warmup_s: float = 30.0
    """Samples of a pod that has been ready for less are not learned from: caches fill, kernels compile."""
    straggler_ratio: float = 2.0
    """A pod whose batches take so many times as long as its siblings' is a straggler, and sick. 0: none is looked
    for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetBrakes:
    """How much of the whole fleet may move in ten minutes, however good the reasons are."""

    window_s: float = 600.0
    max_down_ratio: float = 0.3
    max_up_ratio: float = 2.0
    min_allowance_gpus: float = 16.0
    """A small fleet may always give back this many GPUs: 30 % of four replicas would be one."""
    min_up_allowance_gpus: float = 64.0
    """And may always ask for this many: a brake on growth is there for runaways, not for flash crowds."""
    correlated_workloads: int = 5
    """From this many workloads on, a common drop is taken for a fault of the measurement."""
    correlated_share_ratio: float = 0.5
    correlated_drop_ratio: float = 0.5
    correlated_window_s: float = 120.0
    """Half of the workloads losing half of their demand within two minutes: hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """Everything that the engine's decisions depend on beside its input."""

    tick_s: float = 10.0
    startup_time_s: float = 120.0
    """Seed for time-to-ready where a workload has shown none."""
    max_replicas: int = 100
    """Ceiling for workloads that name none."""
    scaling_budget_ratio: float = 0.2
    """Scaling's share of the error budget of `99% < T` objectives; the rest is for incidents."""
    scaling_budget_minutes_ratio: float = 0.5
    """The same for `p99 < T` objectives."""
    miss_price: float | None = None
    """A fixed price of a miss, for experiments; None: the one that keeps to the error budget is found."""
    replica_rps: float | None = None
    """What one replica carries, for experiments; None: it is learned."""
    panic_threshold_ratio: float = 2.0
    """Demand over what the ready replicas carry, from which on it is a burst (KPA: 200 %)."""
    panic_window_s: float = 60.0
    """A panic lasts until this long after its last cause, and until the replicas asked for are ready."""
    external_floor_s: float = 3600.0
    """How long a person's upward edit is kept as a floor."""
    history_days: float = 7.0
    behavior: ScalingBehavior = field(default_factory=ScalingBehavior)
    signals: SignalSettings = field(default_factory=SignalSettings)
    brakes: FleetBrakes = field(default_factory=FleetBrakes)
    priors: tuple[WorkloadPrior, ...] = ()
    """Profiles of workloads that have not been measured yet, as read from the files that the policy names in
    `profiles`; here and not there, so that a journal carries them."""
    nodes: NodeSettings = field(default_factory=NodeSettings)
    slices: SliceSettings = field(default_factory=SliceSettings)

    @property
    def has_pools(self) -> bool:
        """Whether nodes are told of, to be cut or to be brought: else there is nothing to pack onto."""
        return bool(self.slices.pools or self.nodes.pools)

    def most_replicas(self, own: int | None) -> int:
        """A workload's `max-replicas`, or the ceiling for those that name none."""
        return self.max_replicas if own is None else own

    def seed_s(self, own: float | None) -> float:
        """A workload's `startup-time`, or what is assumed of those that name none: until starts are seen."""
        return self.startup_time_s if own is None else own
