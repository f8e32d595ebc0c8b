"""What a tick sees of slices, and what it answers for them. `None` is "not observed", never zero."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from autoscaler.core.mig.choice import WHOLE_GPU
from autoscaler.core.mig.geometry import RESOURCE_PREFIX, Geometry
from autoscaler.core.nodes.placement import Taint
from autoscaler.core.reasons import Reason
from autoscaler.core.slices.template import SetShape, ShapeDecision

CONFIG_LABEL = "nvidia.com/mig.config"
STATE_LABEL = "nvidia.com/mig.config.state"
PRODUCT_LABEL = "nvidia.com/gpu.product"
SHARED = ".shared"
"""The device plugin's suffix of a resource of which several pods share one device in time, or by MPS."""
CHANGE_ANNOTATION = "mig.forescale.io/change"
"""On a node that forescale has cordoned: what it is about to do. Whoever leads next finds it here."""


class MigState(StrEnum):
    """What the MIG manager says of a node; UNTOLD where it has said nothing."""

    UNTOLD = ""
    PENDING = "pending"
    REBOOTING = "rebooting"
    SUCCESS = "success"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A change that was begun: from which config to which."""

    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A pod on a node that holds GPUs or slices of one kind."""

    pod: str
    """`namespace/name`."""
    shape: str
    """A MIG profile, or `gpu`; else what it asks for, such as `nvidia.com/gpu.shared`."""
    count: int = 1
    sure: bool = True
    """Else it may be no GPU at all: the node is in use for all that is known, and nothing of its slices is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceNode:
    """One node of a slice pool."""

    name: str
    pool: str
    config: str = ""
    """Its label `nvidia.com/mig.config`."""
    state: MigState = MigState.UNTOLD
    slices: Geometry = field(default_factory=lambda: Geometry(()))
    """Allocatable now."""
    ready: bool = True
    cordoned: bool = False
    leaving: bool = False
    taints: tuple[Taint, ...] = ()
    """Those that say whom it is for."""
    labels: tuple[tuple[str, str], ...] | None = None
    """Of those that some workload's pods ask for, the ones that it has; None: not observed."""
    zone: str | None = None
    """Its label `topology.kubernetes.io/zone`."""
    mark: Mark | None = None
    holders: tuple[Holder, ...] | None = None
    """Pods bound to it that hold a GPU or a slice, as the API server shows; None: not known."""
    devices: int | None = None
    """Devices that a pod holds, as the node's own GPU exporter shows; None: it shows nothing."""

    @property
    def sure_holders(self) -> tuple[Holder, ...]:
        """Those that are known to hold what they ask for."""
        return tuple(holder for holder in self.holders or () if holder.sure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """A Service and the workloads (`namespace/name`) whose pods it gives equal shares to."""

    service: str
    workloads: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicesInput:
    """All that one tick knows of slices."""

    nodes: tuple[SliceNode, ...] = ()
    stale: str | None = None
    """Why nodes or pods are not to be trusted; None: they are up to date."""
    fronts: tuple[Front, ...] | None = None
    """Services over more than one workload of a variant group; None: services can't be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePlan:
    """Answer of the packing outside the tick to an earlier tick's question."""

    made_at_s: float
    replicas: tuple[tuple[str, int], ...] = ()
    """By workload (`namespace/name`), for members of variant groups."""
    first: tuple[tuple[str, int], ...] | None = None
    """Of them, how many find a slice before any other replica has gone; None: not told, by a version before."""
    spare: tuple[tuple[str, int], ...] = ()
    """Slices that are free for each even then; those of one shape are told to each that may take them."""
    nodes: tuple[tuple[str, str], ...] = ()
    """(node, config) of the nodes that are to be cut otherwise."""
    emptied: tuple[str, ...] = ()
    """Nodes that would be empty if their replicas went first."""
    message: str = ""
    left_out: str = ""
    """Which spread or survival it leaves out, and why."""
    unkept: tuple[str, ...] = ()
    """Workloads whose survival that is."""
    infeasible: str | None = None
    """Why there is no plan."""


class MigStep(StrEnum):
    """One write to a node."""

    CORDON = "cordon"
    APPLY = "apply"
    UNCORDON = "uncordon"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigAction:
    """One write, with what must still hold: the label is `expected`, and for APPLY the node is ours and empty."""

    pool: str
    node: str
    step: MigStep
    expected: str
    """The label's value now."""
    config: str
    """CORDON: what is to come; APPLY: the label's new value."""
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMember:
    """One Deployment of a group."""

    workload: str
    shape: str
    replica_mrps: int
    """What one replica carries, in thousandths of an inference a second."""
    price: int
    replicas: int
    """What the mix gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDecision:
    """What the Deployments of one variant group are to carry together, and how they share it."""

    group: str
    """`namespace/name`."""
    needed_mrps: int | None
    """None: not known, so nothing is moved."""
    members: tuple[GroupMember, ...]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePoolDecision:
    """The answer for one slice pool."""

    pool: str
    reason: Reason
    message: str
    node: str | None = None
    """The node that is being cut anew."""
    configs: tuple[tuple[str, int], ...] = ()
    """How many nodes have which config."""
    findings: tuple[tuple[Reason, str, str], ...] = ()
    """(reason, node, message)."""
    left_alone: tuple[str, ...] = ()
    """Nodes that keep their config for a while, since the last change of it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDemand:
    """More than is wanted now, for which the packing is to keep room: it was wanted a short while ago."""

    name: str
    """A workload (`namespace/name`), or `group namespace/name`."""
    amount: int
    """Replicas of a workload; of a group, thousandths of an inference a second."""
    at_s: float
    """When it was wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicesDecision:
    """The answer for slices."""

    groups: tuple[GroupDecision, ...] = ()
    kept: tuple[KeptDemand, ...] = ()
    pools: tuple[SlicePoolDecision, ...] = ()
    actions: tuple[MigAction, ...] = ()
    shapes: tuple[ShapeDecision, ...] = ()
    """Of workloads whose own template may ask for several."""
    shape_actions: tuple[SetShape, ...] = ()


def profile_of(resource: str) -> str | None:
    """The MIG profile of an extended resource, as `1g.10gb+me`; None: it is none."""
    if not resource.startswith(RESOURCE_PREFIX):
        return None
    name = resource.removeprefix(RESOURCE_PREFIX)
    base, _, suffix = name.partition("gb.")
    return f"{base}gb+{suffix}" if suffix else name


def shape_of_resource(resource: str) -> str:
    """A MIG profile's name, or `gpu`."""
    return profile_of(resource) or WHOLE_GPU
