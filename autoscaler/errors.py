"""The one tree of exceptions.

    AutoscalerError
    ├── ConfigError            the configuration or an annotation can't be used; carries every problem at once
    ├── SourceError            a source could not be read; the tick goes on with what is known
    │   ├── SourceUnavailable  no answer, time-out, 429 or 5xx: worth another try
    │   ├── SourceExpired      410: the history that was asked for is gone, read everything anew
    │   ├── SourceDenied       401 or 403: will not heal by itself
    │   └── SourceInvalid      an answer that can't be understood: truncated, not JSON, wrong shape
    │       └── SourceMissing  404: the one object that was asked for does not exist
    ├── ActuationError         an action was not carried out
    │   ├── ActuationConflict  the object is not what the decision was made from: observe again
    │   ├── ActuationRejected  the API server refused it: will not heal by itself
    │   └── ActuationUnknown   no answer: it may have happened, so observe again and never repeat blindly
    ├── GpuError               a GPU, its slices, or what is asked of them can't be used; never guessed around
    │   ├── UnknownGpu         a product that no table and no node label describes
    │   ├── UnknownProfile     a MIG profile that this GPU does not have
    │   ├── IllegalLayout      slices that do not fit beside each other
    │   ├── GpuFrozen          a slice of the GPU is in use, so its geometry stays
    │   └── TableInvalid       a table of measured throughput that contradicts itself or lacks what is asked of it
    ├── PackingError           workloads can't be packed as asked
    │   ├── PackingInvalid     the question contradicts itself; carries every problem at once
    │   └── PackingInfeasible  no layout carries the demand on the GPUs that there are
    └── LeadershipLost         another controller may be writing: stop at once

Adapters translate the errors of their library into these, with `raise … from`.
"""

from __future__ import annotations

from dataclasses import dataclass


class AutoscalerError(Exception):
    """Root of everything that forescale raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where it is, what was given and what is allowed."""

    where: str
    given: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.where}: {self.given}, {self.allowed}"


class ConfigError(AutoscalerError):
    """Configuration that can't be used; `problems` holds all that is wrong, not only the first."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class SourceError(AutoscalerError):
    """A source of observations could not be read."""


class SourceUnavailable(SourceError):
    """No answer, a time-out, 429 or 5xx. `retry_after_s` is what the source asked for, if it did."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class SourceExpired(SourceError):
    """410."""


class SourceDenied(SourceError):
    """401 or 403."""


class SourceInvalid(SourceError):
    """The answer can't be understood."""


class SourceMissing(SourceInvalid):
    """404."""


class ActuationError(AutoscalerError):
    """An action was not carried out."""


class ActuationConflict(ActuationError):
    """The object differs from what the decision was made from."""


class ActuationRejected(ActuationError):
    """The API server refused the action."""


class ActuationUnknown(ActuationError):
    """No answer to a write: it may or may not have happened. `retry_after_s` is as that of SourceUnavailable."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class GpuError(AutoscalerError):
    """A GPU, its slices, or what is asked of them can't be used."""


class UnknownGpu(GpuError):
    """A GPU product that nothing describes."""


class UnknownProfile(GpuError):
    """A MIG profile that the GPU does not have."""


class IllegalLayout(GpuError):
    """Slices that do not fit beside each other on one GPU."""


class GpuFrozen(GpuError):
    """The geometry of a GPU with a slice in use was to change."""


class TableInvalid(GpuError):
    """A table of measured throughput contradicts itself, or lacks what is asked of it."""


class PackingError(AutoscalerError):
    """Workloads can't be packed as asked."""


class PackingInvalid(PackingError):
    """A question that contradicts itself; `problems` holds all that is wrong, not only the first."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class PackingInfeasible(PackingError):
    """No layout carries the demand on the GPUs that there are."""


class LeadershipLost(AutoscalerError):
    """This process may no longer write."""
