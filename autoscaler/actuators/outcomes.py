"""What is known of a write that an error has ended: one reading of errors for all actuators and for the fence."""

from __future__ import annotations

from autoscaler.core.types import Outcome
from autoscaler.errors import (
    ActuationConflict,
    ActuationRejected,
    AutoscalerError,
    SourceDenied,
    SourceMissing,
)


def outcome_of(error: AutoscalerError) -> Outcome:
    """Unknown, unless it was told that the write was not made."""
    if isinstance(error, ActuationConflict | SourceMissing):
        # It is not, or not there, as it was seen: the next tick looks again.
        return Outcome.CONFLICT
    if isinstance(error, ActuationRejected | SourceDenied):
        return Outcome.REJECTED
    return Outcome.UNKNOWN
