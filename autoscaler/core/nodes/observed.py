"""What a tick sees of node pools, and what it answers for them. `None` is "not observed", never zero.

Capacity is counted in units of the pool's resource: whole GPUs (`nvidia.com/gpu`) or slices (`nvidia.com/mig-1g.10gb`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from autoscaler.core.nodes.placement import Placement, Taint
from autoscaler.core.reasons import Reason

HEADROOM_LABEL = "forescale.io/headroom"
"""On everything that stands for headroom, with the pool's name: objects, and the pods that they make."""
DIGEST_ANNOTATION = "headroom.forescale.io/digest"
"""Of the placeholders' form, so that a changed policy is noticed. Not below `forescale.io/`: an annotation there asks
for its object to be scaled."""
BUFFER_API = "autoscaling.x-k8s.io/v1beta1"


class Backend(StrEnum):
    """Through which interface a node autoscaler is told of headroom."""

    CAPACITY_BUFFER = "capacity-buffer"
    PLACEHOLDER = "placeholder"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeNeeds:
    """What one replica asks of a node: `count` of `resource`, on nodes that carry all labels of `selector`."""

    resource: str
    count: int
    selector: tuple[tuple[str, str], ...] = ()
    placement: Placement = field(default_factory=Placement)
    """What keeps it from nodes that carry them."""

    @property
    def asked_labels(self) -> frozenset[str]:
        """Keys of the labels that tell whether it may go to a node."""
        affinity = {one.key for term in self.placement.terms or () for one in term}
        return frozenset(affinity | {key for key, _ in self.selector})


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """One node, from the request for it on. Times are the API server's; None: that has not happened."""

    name: str
    """Of the request (a NodeClaim) where there is one, else of the node: it stays the same through the stages."""
    requested_s: float | None = None
    """None: nothing shows when it was asked for."""
    registered_s: float | None = None
    ready_s: float | None = None
    allocatable_s: float | None = None
    """When its units could first be allocated: a GPU node is ready before its device plugin is."""
    units: int | None = None
    """Allocatable now."""
    used_units: int = 0
    """Held by pods that are bound to it, placeholders left out."""
    leaving: bool = False
    """Being deleted or cordoned: its units are not for new pods."""
    broken: bool = False
    """It was of use, or should be by now, and is not: nobody should wait for it."""
    node: str | None = None
    """Its name, where `name` is that of a request."""
    zone: str | None = None
    """Its label `topology.kubernetes.io/zone`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StockOut:
    """Evidence that a pool can't be had now: when it was seen, where, and in whose words."""

    at_s: float
    source: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolInput:
    """All that one tick knows of one pool."""

    pool: str
    nodes: tuple[NodeStatus, ...] = ()
    stock_out: StockOut | None = None
    """The newest evidence."""
    foreign_units: int | None = None
    """Held or asked for on the pool's nodes by pods that are neither managed nor placeholders."""
    other_units: int | None = None
    """Of the same resource on nodes of no configured pool, where pods that name no pool may go as well."""
    taints: tuple[Taint, ...] = ()
    """On each of its nodes, as far as there are any."""
    most_nodes: int | None = None
    """Its limit, as the node autoscaler tells it; None: it tells none."""
    headroom: tuple[tuple[Backend, int], ...] = ()
    """Units that each back-end's object asks for now; a back-end that is missing here is not served by this cluster."""
    trouble: tuple[tuple[Backend, str], ...] = ()
    """By back-end, why its object asks for nothing, as its status says."""
    stale: str | None = None
    """Why this is not to be trusted, as a sentence; None: it is up to date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetHeadroom:
    """Absolute and idempotent: make the pool's object of this back-end ask for `units`."""

    pool: str
    backend: Backend
    observed: int
    units: int
    reason: Reason
    message: str
    beside: tuple[str, ...] = ()
    """Pools that the same workloads may use: what is let go here may be asked for there in its stead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFacts:
    """The measured quantities behind a pool's headroom, in units where nothing else is said. None: unknown."""

    lead_time_s: float | None = None
    """From the request for a node to allocatable units, P90."""
    stages_s: tuple[tuple[str, float], ...] = ()
    """P90 of each stage: (requested -> registered), (-> ready), (-> allocatable)."""
    demand: int | None = None
    """The upper quantile of the summed demand over the lead time."""
    level: float | None = None
    """The summed demand now."""
    held: int | None = None
    """Scheduled and pending pods of the pool's workloads."""
    free: int | None = None
    """Allocatable on ready nodes and not held by a pod that is to stay."""
    coming: int | None = None
    """Nodes that were asked for and can't be used yet."""
    foreign: int | None = None
    supply: int | None = None
    """The most that its workloads can have together; None: not known, or as much as they ask for."""
    price_per_hour: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolDecision:
    """The answer for one pool, with what led to it."""

    pool: str
    headroom: int | None
    """Units asked for; None: nothing is known that could be held on to."""
    reason: Reason
    message: str
    available: bool = True
    backend: Backend | None = None
    """None: the cluster serves none that the policy allows."""
    findings: tuple[tuple[Reason, str], ...] = ()
    facts: PoolFacts = field(default_factory=PoolFacts)
