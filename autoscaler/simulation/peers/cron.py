"""KEDA's cron trigger beside another one: of several triggers the one that asks for most replicas counts.

Source: keda.sh/docs/latest/scalers/cron.
"""

from __future__ import annotations

from autoscaler.core.types import ScheduledFloor
from autoscaler.schedule import scheduled_floor
from autoscaler.simulation.peers.policy import Policy, Seen
from autoscaler.simulation.pods import EPOCH_S


class WithCron:
    """Another policy, and at least so many replicas at the scheduled times."""

    def __init__(self, policy: Policy, schedule: tuple[ScheduledFloor, ...]) -> None:
        self.name, self.period_s, self.reads = policy.name, policy.period_s, policy.reads
        self._policy, self._schedule = policy, schedule

    def replicas(self, seen: Seen) -> int:
        """The higher of both."""
        floor = scheduled_floor(self._schedule, EPOCH_S + seen.now_s)
        return max(self._policy.replicas(seen), floor or 0)
