"""Nothing is lowered on a capacity that was not measured here: not on a profile, on another pod template's times, or on
times that have just changed."""

from __future__ import annotations

from autoscaler.core.reasons import Reason
from autoscaler.core.types import Decision


def held(decision: Decision) -> Decision:
    """The decision, held at the present number where it would lower on such a capacity.

    No demand at all is carried by any capacity and may be answered.
    """
    why = decision.facts.capacity_unproven
    if why is None or decision.target >= decision.current or not decision.facts.offered_rps:
        return decision
    return decision.then("hold", decision.current, Reason.CAPACITY_UNPROVEN, f"held: {why}")
