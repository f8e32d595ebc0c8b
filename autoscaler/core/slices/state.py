"""What the engine remembers of slices between ticks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from autoscaler.core.slices.observed import SlicePlan


class Phase(StrEnum):
    """Where a node is on its way to another geometry."""

    EMPTYING = "emptying"
    """Cordoned, or about to be, and watched until both sources say that it is empty."""
    APPLYING = "applying"
    RESTORING = "restoring"
    """It failed or took too long: the geometry from before is asked for again."""
    RETURNING = "returning"
    """To be uncordoned."""
    STUCK = "stuck"
    """Not even the geometry from before came back: a person has to look. It stays cordoned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChange:
    """One node that is being cut anew."""

    node: str
    before: str
    after: str
    phase: Phase
    since_s: float
    """When the phase began."""
    cordon_seen: bool = False
    empty_since_s: float | None = None
    pending_seen: bool = False
    """The MIG manager has begun: from then on what it says is about this change, and not about one before."""
    failed: str | None = None
    """Why it comes back without its new geometry."""
    relabelled: bool = False
    """Somebody else wrote its label meanwhile, and the MIG manager may be about to do what it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """A node that is left alone."""

    node: str
    until_s: float
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedConfig:
    """A node that a plan wants cut otherwise, and since when without a break."""

    node: str
    config: str
    since_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """A node that does not offer what the policy says of its config, why, and since when without a break."""

    node: str
    why: str
    since_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolMoves:
    """Memory of one slice pool: one node at a time."""

    pool: str
    change: NodeChange | None = None
    backoffs: tuple[Backoff, ...] = ()
    wanted: tuple[WantedConfig, ...] = ()
    unfit: tuple[Unfit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What a group was found to need, as of one tick."""

    at_s: float
    mrps: int
    parts: tuple[tuple[str, float], ...] = ()
    """In replicas of each member (`namespace/name`): what one is found to carry wavers, and they do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupState:
    """Memory of one variant group."""

    group: str
    needed: tuple[Needed, ...] = ()
    """Of the last down-window, oldest first."""
    moving: bool = False
    """Replicas are on their way from one shape to another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One replica of a group's member that never ran, so that what it carries is learned."""

    workload: str
    """`namespace/name`."""
    began_s: float
    ended_s: float | None = None
    """When it failed; None: it is under way."""
    failures: int = 0
    """In a row, this one included once it has ended."""
    why: str = ""
    """It failed, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class High:
    """What one tick wanted of the packing, for as long as nothing as high has been wanted since."""

    at_s: float
    amount: int
    """Replicas of a workload; of a group, thousandths of an inference a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandState:
    """What was wanted of the packing of late, under one of its names."""

    name: str
    """A workload (`namespace/name`), or `group namespace/name`."""
    shape: str
    """Of a replica: so many of another shape are another demand. Empty for a group."""
    highs: tuple[High, ...] = ()
    """Oldest and highest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeState:
    """Memory of one workload whose template may ask for several shapes."""

    workload: str
    """`namespace/name`."""
    shape: str = ""
    """The cheaper one; empty: there is none."""
    since_s: float = 0.0
    """Since when without a break,"""
    seen_s: float = 0.0
    """and when that was found last: a tick that knows nothing is no break."""
    changed_s: float | None = None
    """When its template was last written, in case the mark on it is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicesState:
    """Memory of all of it."""

    plan: SlicePlan | None = None
    groups: tuple[GroupState, ...] = ()
    pools: tuple[PoolMoves, ...] = ()
    demands: tuple[DemandState, ...] = ()
    shapes: tuple[ShapeState, ...] = ()
    trials: tuple[Trial, ...] = ()
