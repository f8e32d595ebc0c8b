"""What an SRE says of node pools. Without a pool nothing is asked of any node autoscaler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class HeadroomMode(StrEnum):
    """Whether headroom is written or only shown."""

    AUTO = "auto"
    RECOMMEND = "recommend"


class BackendChoice(StrEnum):
    """Which interface a pool's headroom goes through; `auto` takes what proves to bring nodes."""

    AUTO = "auto"
    CAPACITY_BUFFER = "capacity-buffer"
    PLACEHOLDER = "placeholder"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """One pool: nodes that are alike and that one node autoscaler grows."""

    labels: Mapping[str, str]
    """By which its nodes are known and placeholders are bound to it, such as `karpenter.sh/nodepool: h100`."""
    max_headroom: int
    """Units that may be asked for beyond what pods hold: the ceiling on what a wrong forecast can cost."""
    resource: str = "nvidia.com/gpu"
    units_per_node: int = 8
    """Of the resource on one node: GPUs, or slices of one profile."""
    unit: int = 1
    """Of the resource in one placeholder. The largest replica's, else free units lie where it does not fit."""
    order: int = 0
    """Pools with a lower number are asked first; equal ones by price."""
    price_per_hour: float | None = None
    """Of one node; None: after those that name one."""
    lead_time_s: float = 300.0
    """Seed for the time from the request for a node until its units can be allocated."""
    node_group: str | None = None
    """The cluster-autoscaler's name for it, as its status shows; its end is enough (`gpu-h100`)."""
    node_groups: tuple[str, ...] = ()
    """In place of `node_group`, where the pool has several, such as an autoscaling group for each zone."""
    backend: BackendChoice = BackendChoice.AUTO
    fixed: bool = False
    """No node autoscaler grows it: what its nodes have is all there is, and no headroom is asked for."""
    max_nodes: int | None = None
    """The node autoscaler's own limit for the pool; None: as a NodePool's `limits` on nodes or on the resource, or the
    cluster-autoscaler's status, tell it. Where nothing tells, the pool counts as scarce in a stock-out only."""
    taints: tuple[str, ...] = ("nvidia.com/gpu",)
    """Keys of taints that placeholders tolerate."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The cluster-autoscaler's names for all that it is made of; none: no status tells of it."""
        return self.node_groups if self.node_group is None else (self.node_group,)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """Headroom on nodes."""

    mode: HeadroomMode = HeadroomMode.AUTO
    pools: Mapping[str, PoolSettings] = field(default_factory=dict)
    patience_s: float | None = None
    """For how long the highest demand that was expected is kept; None: the longest lead time, 300 s to 1800 s."""
    stock_out_backoff_s: float = 300.0
    """A pool that could not be had is asked again after this, twice as long each time it fails anew, up to"""
    stock_out_max_backoff_s: float = 1800.0
    stuck_patience_s: float | None = None
    """Replicas that can't be scheduled for so long are not chased; None: twice the lead time, 300 s at least."""
    foreign_allowance: int | None = None
    """Units of headroom that other tenants may take and that are asked for anew; None: one node's."""
