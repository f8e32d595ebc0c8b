"""Nothing is lowered on a capacity that was not measured here: not on a profile, on another pod template's times, or on
times that have just changed."""

from __future__ import annotations

from dataclasses import replace

from autoscaler.core.reasons import Reason
from autoscaler.core.types import Decision, DecisionStep


def held(decision: Decision) -> Decision:
    """The decision, held at the present number where it would lower on such a capacity.

    No demand at all is carried by any capacity and may be answered.
    """
    why = decision.facts.capacity_unproven
    if why is None or decision.target >= decision.current or not decision.facts.offered_rps:
        return decision
    step = DecisionStep(
        stage="hold",
        before=decision.target,
        after=decision.current,
        reason=Reason.CAPACITY_UNPROVEN,
        message=f"held: {why}",
    )
    return replace(
        decision,
        target=decision.current,
        reason=step.reason,
        message=step.message,
        steps=(*decision.steps, step),
    )
