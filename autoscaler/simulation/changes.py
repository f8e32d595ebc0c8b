"""Every change of one workload's replicas that a journal tells of, and who made it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autoscaler.core.reasons import Reason
from autoscaler.core.types import Outcome, TickRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From one number to another."""

    at_s: float
    before: int
    after: int
    reason: Reason | None
    """forescale's; null: it did not make the change."""
    message: str
    """Why, or who made it where that is known."""


def changes_of(records: Iterable[TickRecord], workload: str) -> Iterator[Change]:
    """Of `namespace/name`, oldest first. What somebody else changed is told at the tick that saw it."""
    last: int | None = None
    for record in records:
        now_s = record.input.now_s
        for decision in record.result.decisions:
            if str(decision.workload) != workload:
                continue
            # Not what was read: that may be from before the last write.
            if last is not None and decision.current != last:
                who = next(w for w in record.input.workloads if w.spec.id == decision.workload)
                yield Change(
                    at_s=now_s,
                    before=last,
                    after=decision.current,
                    reason=None,
                    message=f"by {who.replicas.set_by}" if who.replicas.set_by else "from outside",
                )
            last = decision.current
        for result in record.actions:
            action = result.action
            if str(action.workload) == workload and result.outcome is Outcome.APPLIED:
                yield Change(
                    at_s=now_s,
                    before=action.observed,
                    after=action.replicas,
                    reason=action.reason,
                    message=action.message,
                )
                last = action.replicas
