"""An error that a border caught, in words: what it was and where in forescale it came up."""

from __future__ import annotations

from autoscaler.core.reasons import Reason
from autoscaler.core.types import Finding

PACKAGE = "autoscaler/"


def told(error: Exception) -> str:
    """`ZeroDivisionError: division by zero (autoscaler/core/size.py:88, replicas_for)`."""
    text = f"{type(error).__name__}: {error}"
    place = _place(error)
    return text if place is None else f"{text} ({place})"


def finding(what: str, error: Exception) -> Finding:
    """Of the fleet: what was left undone because of an error."""
    return Finding(reason=Reason.INTERNAL_ERROR, message=f"{what}: {told(error)}")


def _place(error: Exception) -> str | None:
    """The innermost line of this package; None: it was never raised in it."""
    found, step = None, error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        _, package, path = code.co_filename.replace("\\", "/").rpartition(PACKAGE)
        if package:
            found = f"{package}{path}:{step.tb_lineno}, {code.co_name}"
        step = step.tb_next
    return found
