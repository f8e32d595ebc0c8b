"""A variant group of two shapes for stories and tables: whole GPUs and slices of one seventh."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from autoscaler.core.need import Need
from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.reasons import Reason
from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.settings import EngineConfig
from autoscaler.core.size import Capacity, Shared
from autoscaler.core.slices.groups import Joined, join
from autoscaler.core.slices.observed import Front, SlicePlan, SlicesInput
from autoscaler.core.slices.settings import SlicePoolSettings, SliceSettings, SlicesMode
from autoscaler.core.slices.state import GroupState
from autoscaler.core.slices.tick import SlicesTick
from autoscaler.core.survival import Loss
from autoscaler.core.types import (
    Decision,
    Facts,
    Finding,
    Mode,
    PodStatus,
    ReplicaStatus,
    TickInput,
    WorkloadId,
    WorkloadInput,
)
from autoscaler.core.variability import LOWEST, Variability
from tests.core.story import START_S, spec

POOL = SlicePoolSettings(
    labels={"pool": "mig"}, gpu="A100-80GB", configs={"ones": "7x1g.10gb", "threes": "2x3g.40gb"}
)
AUTO = EngineConfig(slices=SliceSettings(mode=SlicesMode.AUTO, pools={"mig": POOL}))
RESOURCES = {
    "whole": "nvidia.com/gpu",
    "ones": "nvidia.com/mig-1g.10gb",
    "threefold": "nvidia.com/mig-1g.10gb",
}


@dataclass
class Variant:
    """One Deployment: a whole GPU carries 60 a second, a seventh carries 20 - for 56/8 = 7 times less."""

    name: str
    replica_rps: float | None
    wanted: int | None
    current: int
    ready: int | None = None
    pending: int = 0
    target: int | None = None
    unproven: str | None = None
    suffering: bool = False
    rollout: bool = False
    instances: int | None = None
    """Of the model in one pod; None: not known."""
    parts: float | None = None
    """`wanted` before it was rounded up."""
    parts_kept: float | None = None
    late: bool = False
    """Even a request alone is too late there."""
    pooled: bool = False
    """Two of them are as one queue, and one alone carries less."""
    changes: dict[str, object] = field(default_factory=dict)

    @property
    def id(self) -> WorkloadId:
        return spec(self.name).id

    def given(self) -> WorkloadInput:
        needs = NodeNeeds(resource=RESOURCES[self.name], count=1)
        changes = {"variant_group": "bert", "node_needs": needs, **self.changes}
        return WorkloadInput(
            spec=spec(self.name, **changes),
            replicas=ReplicaStatus(desired=self.current, rollout=self.rollout),
            pods=tuple(
                PodStatus(
                    name=f"{self.name}-{i}", created_s=START_S, unschedulable=i < self.pending
                )
                for i in range(self.current)
            ),
        )

    def decision(self) -> Decision:
        target = self.target if self.target is not None else (self.wanted or self.current)
        return Decision(
            workload=self.id,
            current=self.current,
            target=target,
            reason=Reason.STEADY,
            message="",
            mode=Mode(str(self.changes.get("mode", "auto"))),
            facts=Facts(
                ready=self.current if self.ready is None else self.ready,
                capacity_unproven=self.unproven,
            ),
        )

    def need(self) -> Need:
        return Need(
            level_rps=1.0,
            upper_rps=1.0,
            fast_rps=1.0,
            carried=(
                self.carried(self.instances or 1)
                if self.instances or self.late or self.pooled
                else None
            ),
            wanted=self.wanted,
            suffering=self.suffering,
            replica_rps=self.replica_rps,
            parts=self.parts,
            parts_kept=self.parts_kept,
        )

    def carried(self, instances: int) -> Capacity:
        times = ServiceTimes(batch_s=(0.05,), instances=instances)
        as_one = Variability(value=LOWEST, requests=10_000.0, shared_by=2.0)
        return Capacity(
            models=(Shared(model="m", times=times, variability=as_one),) if self.pooled else (),
            utilization_limit_ratio=0.95 if self.pooled else 0.7,
            work_s_per_inference=0.7 / (self.replica_rps or 1.0),
            attainable=not self.late,
            service_s=0.05,
            variability=1.0,
            dominant=times,
        )


@dataclass
class Group:
    """The members of one group and what is remembered of it."""

    members: list[Variant]
    config: EngineConfig = AUTO
    fronts: tuple[Front, ...] | None = ()
    plan: SlicePlan | None = None
    states: tuple[GroupState, ...] = ()
    now_s: float = START_S
    floors: dict[WorkloadId, int] = field(default_factory=dict)
    losses: dict[WorkloadId, Loss | Finding] = field(default_factory=dict)

    def join(self, seconds: float = 10.0) -> Joined:
        self.now_s += seconds
        tick = SlicesTick(
            tick_input=TickInput(
                now_s=self.now_s,
                workloads=tuple(m.given() for m in self.members),
                slices=SlicesInput(nodes=(), fronts=self.fronts),
            ),
            decisions=tuple(m.decision() for m in self.members),
            needs={m.id: m.need() for m in self.members},
            floors=self.floors,
            losses=self.losses,
            plan=self.plan,
            config=self.config,
        )
        joined = join(tick, self.states)
        self.states = tuple(joined.states)
        return joined

    def targets(self, seconds: float = 10.0) -> dict[str, int]:
        joined = self.join(seconds)
        return {m.name: joined.decisions.get(m.id, m.decision()).target for m in self.members}


def whole(**changes: object) -> Variant:
    return replace(Variant("whole", 60.0, wanted=4, current=4), **changes)  # type: ignore[arg-type]


def ones(**changes: object) -> Variant:
    return replace(Variant("ones", 20.0, wanted=1, current=1), **changes)  # type: ignore[arg-type]
