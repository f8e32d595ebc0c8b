"""What was learned of workloads that are gone: one that comes back within a day does not begin anew.

A slip in an annotation takes a workload out of the fleet until it is mended, and a Deployment is deleted and applied
again. What a replica carries, how long one takes to start and how demand rises hold for both; pods, floors and what
was written last do not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from autoscaler.core.state import Departed, WorkloadState
from autoscaler.core.types import WorkloadId

KEPT_S = 86400.0
# Namespaces that come and go by the hundred a day are not to fill the checkpoint.
MOST_KEPT = 500


def still_gone(
    known: Iterable[Departed],
    gone: Iterable[WorkloadState],
    *,
    present: Collection[WorkloadId],
    now_s: float,
) -> tuple[Departed, ...]:
    """Those of `known` that are neither back nor gone for a day, and those that are gone since the last tick."""
    kept = [
        item for item in known if item.learned.id not in present and now_s - item.since_s < KEPT_S
    ]
    left = [Departed(learned=_learned(state), since_s=now_s) for state in gone]
    return tuple([*kept, *left][-MOST_KEPT:])


def begun(known: Iterable[Departed], workload: WorkloadId, *, now_s: float) -> WorkloadState:
    """The memory of a workload that is seen for the first time, or again."""
    new = WorkloadState(id=workload, first_seen_s=now_s)
    kept = next((item.learned for item in known if item.learned.id == workload), new)
    return replace(kept, first_seen_s=now_s)


def _learned(state: WorkloadState) -> WorkloadState:
    return WorkloadState(
        id=state.id,
        first_seen_s=state.first_seen_s,
        lead_times=state.lead_times,
        start_times=state.start_times,
        templates=state.templates,
        growth=state.growth,
        rehearsal=state.rehearsal,
        skew_ratio=state.skew_ratio,
    )
