"""Edits of spec.replicas that someone else made.

Upward is taken for intent and kept as a floor that expires. Downward most often is a Helm upgrade or a GitOps tool that
healed itself: it is reported, accepted as far as the SLO allows, and undone below that.
"""

from __future__ import annotations

from autoscaler.core.computed import computed
from autoscaler.core.reasons import Reason
from autoscaler.core.state import ExternalFloor, Written
from autoscaler.core.types import Finding, ReplicaStatus, Severity


@computed
class Edit:
    """What an edit from outside changes."""

    floor: ExternalFloor | None
    lowered: bool = False
    lagging: bool = False
    """What was read is from before our own last write."""
    finding: Finding | None = None


# A watch may show the number from before a write for a moment.
LAG_S = 20.0
FORESCALE = "forescale:"
"""What a forescale's own writes are kept as begins so; the namespace and the name of its Lease follow."""


def detect(
    written: Written | None,
    floor: ExternalFloor | None,
    *,
    replicas: ReplicaStatus,
    now_s: float,
    floor_s: float,
) -> Edit:
    """Compares what is there with what forescale last wrote or saw. `written` None: nothing to compare with."""
    observed = replicas.desired
    if floor is not None and now_s >= floor.until_s:
        floor = None
    if written is None or observed == written.replicas:
        return Edit(floor=floor)
    # After a clock that was ahead nothing tells how long ago it was written.
    if observed == written.before and 0.0 <= now_s - written.at_s <= LAG_S:
        return Edit(floor=floor, lagging=True)
    if replicas.set_by_itself:
        # A write that the API server carried out after it was given up, or another process of this forescale.
        return Edit(floor=floor)
    last = written.replicas
    if (replicas.set_by or "").startswith(FORESCALE):
        return _by_another_forescale(replicas, last, floor)
    by = "from outside" if replicas.set_by is None else f"by {replicas.set_by}"
    if observed > last:
        return Edit(
            floor=ExternalFloor(replicas=observed, until_s=now_s + floor_s),
            finding=Finding(
                reason=Reason.EXTERNAL_EDIT,
                message=(
                    f"replicas were raised from {last} to {observed} {by}; kept as a floor for "
                    f"{floor_s / 60:.0f} minutes (set forescale.io/min-replicas to keep it for good)"
                ),
                severity=Severity.NORMAL,
            ),
        )
    return Edit(
        floor=None,
        lowered=True,
        finding=Finding(
            reason=Reason.EXTERNAL_EDIT,
            message=(
                f"replicas were lowered from {last} to {observed} {by}; forescale goes back to what "
                "the SLO needs. To lower them yourself use forescale.io/pause or forescale.io/max-replicas; "
                "if a Helm chart or GitOps tool did it, leave spec.replicas out of its manifest"
            ),
        ),
    )


def _by_another_forescale(replicas: ReplicaStatus, last: int, floor: ExternalFloor | None) -> Edit:
    """Its number is no person's wish: a floor of it would be one that either keeps up for the other."""
    lease = (replicas.set_by or "").removeprefix(FORESCALE)
    return Edit(
        floor=floor,
        finding=Finding(
            reason=Reason.EXTERNAL_EDIT,
            message=(
                f"replicas were changed from {last} to {replicas.desired} by another forescale, that of the Lease "
                f"{lease}: only one is to scale a workload, take one away or give it max_mode: recommend"
            ),
        ),
    )
