"""What groups, trials and templates look at in one tick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autoscaler.core.need import Need
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import Front, SlicePlan
from autoscaler.core.survival import Loss
from autoscaler.core.types import Decision, Finding, TickInput, WorkloadId


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicesTick:
    """One tick, as far as slices are concerned."""

    tick_input: TickInput
    decisions: tuple[Decision, ...]
    """One for each workload of the input, in its order, as they are so far."""
    needs: Mapping[WorkloadId, Need]
    """What sizing worked with; nothing is known of who is missing."""
    floors: Mapping[WorkloadId, int]
    """Below which nobody goes: min-replicas, a schedule's, a person's."""
    losses: Mapping[WorkloadId, Loss | Finding] = field(default_factory=dict)
    """What each is to survive, or why that is not known."""
    plan: SlicePlan | None
    """The packing's, where it still says something."""
    config: EngineConfig
    hold: str | None = None
    """Why nothing may be begun, as while all is frozen."""

    @property
    def now_s(self) -> float:
        return self.tick_input.now_s

    @property
    def fronts(self) -> tuple[Front, ...] | None:
        """Services over several members of one group; None: they are not known."""
        return self.tick_input.slices.fronts if self.tick_input.slices is not None else None
