"""A Deployment's own template that may ask for several slices: what is seen of it, and what is written to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from autoscaler.core.reasons import Reason

SHAPE_ANNOTATION = "mig.forescale.io/shape"
"""On a Deployment whose template forescale has changed: what it did, and how that ended. Whoever leads next finds it
here, and it stays: a day must pass before the next change, and a slice that failed an image is not tried again."""


class ShapePhase(StrEnum):
    """Where a change of a template is."""

    ROLLING = "rolling"
    RESTORING = "restoring"
    """It failed or took too long: the slice from before is asked for again."""
    DONE = "done"
    FAILED = "failed"
    """It is as it was, or somebody else has decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeMark:
    """A change of a template, as it is written on the Deployment."""

    before: str
    after: str
    """The MIG profiles."""
    container: str
    image: str
    """Of that container, which the slice is tried with."""
    replicas_before: int
    replicas: int
    """What spec.replicas was set to with it."""
    phase: ShapePhase
    at_s: float
    """When that phase began."""
    why: str = ""
    """Why it is not what it was to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateStatus:
    """The part of a Deployment that a change of its slice is about."""

    container: str
    """The one that asks for the slice,"""
    image: str
    """and its image."""
    shape: str
    """The MIG profile that it asks for."""
    owner: str | None = None
    """Who else decides what the template asks for, in words; None: forescale may."""
    unrollable: str | None = None
    """Why no change of it can be rolled out so that new pods come first; None: it can."""
    max_unavailable: str = "25%"
    """Of its rolling update, as it is written: a number or a share,"""
    max_surge: str = "25%"
    stalled: str | None = None
    """Kubernetes' words for a rollout that does not get on (ProgressDeadlineExceeded); None: it does."""
    mark: ShapeMark | None = None


class ShapeStep(StrEnum):
    """One write to a Deployment."""

    CHANGE = "change"
    RESTORE = "restore"
    SETTLE = "settle"
    """Only the mark: how it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetShape:
    """One write, with what must still hold: the container asks for one `expected`, and the mark is `known`."""

    namespace: str
    name: str
    step: ShapeStep
    expected: str
    """The MIG profile now."""
    observed: int
    """spec.replicas now."""
    known: ShapeMark | None
    mark: ShapeMark
    """What is to be written on it; its phase says what the template is to ask for."""
    reason: Reason
    message: str

    @property
    def workload(self) -> str:
        """As people type it."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeDecision:
    """What was found for one workload whose template may ask for several shapes."""

    workload: str
    shape: str
    wanted: str | None
    """The cheaper one; None: there is none, or it is not known."""
    reason: Reason
    message: str


def unavailable(status: TemplateStatus, replicas: int) -> int | None:
    """How many of so many replicas a rollout may leave out, as Kubernetes counts; None: it can't be read."""
    surge = _resolved(status.max_surge, replicas, up=True)
    missing = _resolved(status.max_unavailable, replicas, up=False)
    if surge is None or missing is None:
        return None
    # Where neither more nor fewer were allowed nothing could move, and Kubernetes lets one go.
    return 1 if surge == 0 and missing == 0 else missing


def _resolved(text: str, replicas: int, *, up: bool) -> int | None:
    number = text.removesuffix("%")
    if not number.isdigit():
        return None
    if number == text:
        return int(text)
    return -(-int(number) * replicas // 100) if up else int(number) * replicas // 100
