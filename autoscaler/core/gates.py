"""The last word: what people and other controllers forbid, whatever the demand."""

from __future__ import annotations

from autoscaler.core.reasons import Reason
from autoscaler.core.trace import Trace
from autoscaler.core.types import Mode, Pause, WorkloadInput


def apply(trace: Trace, given: WorkloadInput, *, current: int) -> None:
    """Moves the number back to `current` where it may not be changed."""
    spec, replicas = given.spec, given.replicas
    if replicas.desired == 0:
        trace.move(
            "gates",
            0,
            Reason.SCALED_TO_ZERO,
            "replicas is 0: switched off by a person, as with HPA; set it to 1 or more to hand it back",
        )
    elif spec.mode is Mode.OFF:
        trace.move("gates", current, Reason.MODE_OFF, "forescale.io/mode is off")
    elif replicas.held_by is not None and spec.mode is Mode.AUTO:
        trace.move(
            "gates",
            current,
            Reason.HELD_BY_OTHER,
            f"{replicas.held_by} scales this object; {replicas.hand_over} to hand over, or set "
            "forescale.io/mode: recommend to compare first",
            # Also where both want the same: whoever looks must see who is in charge.
            decides=True,
        )
    _pause(trace, spec.pause, current)


def _pause(trace: Trace, pause: Pause, current: int) -> None:
    text = f"forescale.io/pause is {pause}"
    if pause in (Pause.UP, Pause.ALL):
        trace.lower_to("gates", current, Reason.PAUSED, text)
    if pause in (Pause.DOWN, Pause.ALL):
        trace.raise_to("gates", current, Reason.PAUSED, text)
