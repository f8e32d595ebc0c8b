"""What is said and remembered of replicas that are ill."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Ailment(StrEnum):
    """What is wrong with a replica."""

    HARDWARE_ERROR = "HardwareError"
    """Its GPU reported one while it ran there."""
    SLOW = "Slow"
    """Its batches take a multiple of its siblings'."""
    STALLED = "Stalled"
    """Requests wait at it and none is answered, while its siblings answer theirs."""
    FAILING = "Failing"
    """It fails requests as its siblings answer them: quickly, so that a balancer may send it more than its share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SickReplica:
    """A ready replica that is not what its siblings are."""

    pod: str
    node: str | None
    ailment: Ailment
    since_s: float
    """When the first sign of it was seen."""
    xid: int | None = None
    """The error code, of a hardware error."""
    slow_ratio: float | None = None
    """How many times its siblings' time its batches take, of a slow one."""
    well_since_s: float | None = None
    """Since when it has shown no sign of it; it counts again when that has lasted."""
    left_out: bool = False
    """It counts for nothing in what the workload carries. Of too many, not all are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodHealth:
    """What is remembered of one pod."""

    pod: str
    restarts: int = 0
    xids: tuple[int, ...] | None = None
    """As DCGM showed them last; None: it never has."""
    xid: int | None = None
    """The hardware error that came while the pod was there."""
    xid_since_s: float = 0.0
    slow_since_s: float | None = None
    """Since when it has been slow, stalled or failing, as often as that could be told; None: it is not."""
    straggler: Ailment | None = None
    """It has been for long enough."""
    slow_ratio: float | None = None
    """As last told; None: stalled or failing."""
    well_since_s: float | None = None
    """Since when a sick one has shown no sign of it."""

    @property
    def is_sick(self) -> bool:
        return self.xid is not None or self.straggler is not None
