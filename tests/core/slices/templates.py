"""One workload whose template may ask for two slices, as `review` sees it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from autoscaler.core.alternatives import Alternative
from autoscaler.core.need import Need
from autoscaler.core.nodes.observed import NodeNeeds, PoolInput
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig
from autoscaler.core.sickness import SickReplica
from autoscaler.core.slices.observed import Holder, SliceNode, SlicePlan, SlicesInput
from autoscaler.core.slices.settings import (
    SlicePoolSettings,
    SliceSettings,
    SlicesMode,
    TemplatesMode,
)
from autoscaler.core.slices.shapes import Reviewed, review
from autoscaler.core.slices.state import ShapeState
from autoscaler.core.slices.template import (
    ShapeMark,
    ShapePhase,
    TemplateStatus,
)
from autoscaler.core.slices.tick import SlicesTick
from autoscaler.core.types import (
    Decision,
    Facts,
    PodStatus,
    ReplicaStatus,
    TickInput,
    WorkloadId,
    WorkloadInput,
)
from tests.core.story import START_S, spec

ONE, TWO = "1g.10gb", "2g.20gb"
POOL = SlicePoolSettings(
    labels={"pool": "mig"}, gpu="A100-80GB", configs={"ones": "7x1g.10gb", "twos": "3x2g.20gb"}
)
AUTO = EngineConfig(
    slices=SliceSettings(mode=SlicesMode.AUTO, pools={"mig": POOL}, templates=TemplatesMode.AUTO)
)
HOUR_S = 3600.0
NEEDS = NodeNeeds(resource=f"nvidia.com/mig-{TWO}", count=1)
MARK = ShapeMark(
    before=TWO,
    after=ONE,
    container="server",
    image="bert:1",
    replicas_before=3,
    replicas=4,
    phase=ShapePhase.ROLLING,
    at_s=START_S,
)


def recommend(config: EngineConfig = AUTO) -> EngineConfig:
    slices = replace(config.slices, templates=TemplatesMode.RECOMMEND)
    return replace(config, slices=slices)


def node(free: int, *, name: str = "n1", **changes: object) -> SliceNode:
    """56 sevenths, all held by others but so many."""
    holders = tuple(Holder(pod=f"other/p{i}", shape=ONE) for i in range(56 - free))
    base = SliceNode(
        name=name, pool="mig", config="ones", slices=POOL.slices_of("ones"), holders=holders
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@dataclass
class World:
    """Three replicas on 2g.20gb, at 10 a second each; four of 1g.10gb at 8 carry the same for two thirds."""

    config: EngineConfig = AUTO
    wanted: int | None = 3
    others: tuple[Alternative, ...] = (Alternative(shape=ONE, replica_rps=8.0, wanted=4),)
    desired: int = 3
    target: int | None = None
    ready: int | None = None
    unproven: str | None = None
    violated: float | None = 0.0
    suffering: bool = False
    sick: tuple[SickReplica, ...] = ()
    floor: int = 1
    status: TemplateStatus = field(
        default_factory=lambda: TemplateStatus(
            container="server", image="bert:1", shape=TWO, max_unavailable="0"
        )
    )
    spec_changes: dict[str, object] = field(default_factory=dict)
    given_changes: dict[str, object] = field(default_factory=dict)
    replicas_changes: dict[str, object] = field(default_factory=dict)
    nodes: tuple[SliceNode, ...] = field(default_factory=lambda: (node(4),))
    pools: tuple[PoolInput, ...] = ()
    stale: str | None = None
    hold: str | None = None
    plan: SlicePlan | None = None
    rivals: tuple[tuple[WorkloadInput, Decision], ...] = ()
    states: tuple[ShapeState, ...] = ()
    now_s: float = START_S

    @property
    def id(self) -> WorkloadId:
        return spec("bert").id

    def given(self) -> WorkloadInput:
        changes = {"node_needs": NEEDS, "slice_shapes": (ONE, TWO), **self.spec_changes}
        ready = self.desired if self.ready is None else self.ready
        base = WorkloadInput(
            spec=spec("bert", **changes),
            replicas=replace(
                ReplicaStatus(desired=self.desired, template_hash="h1"),
                **self.replicas_changes,  # type: ignore[arg-type]
            ),
            pods=tuple(
                PodStatus(
                    name=f"bert-{i}",
                    template_hash="h1",
                    created_s=START_S,
                    ready_s=START_S if i < ready else None,
                    node="n9",
                )
                for i in range(self.desired)
            ),
            template=self.status,
        )
        return replace(base, **self.given_changes)  # type: ignore[arg-type]

    def decision(self) -> Decision:
        return Decision(
            workload=self.id,
            current=self.desired,
            target=self.desired if self.target is None else self.target,
            reason=Reason.STEADY,
            message="",
            facts=Facts(capacity_unproven=self.unproven, violated_ratio=self.violated),
            sick=self.sick,
        )

    def need(self) -> Need:
        return Need(
            level_rps=20.0,
            upper_rps=30.0,
            fast_rps=20.0,
            carried=None,
            wanted=self.wanted,
            suffering=self.suffering,
            replica_rps=10.0,
            others=self.others,
        )

    def tick(self, seconds: float = 10.0) -> Reviewed:
        self.now_s += seconds
        tick = SlicesTick(
            tick_input=TickInput(
                now_s=self.now_s,
                workloads=(self.given(), *(given for given, _ in self.rivals)),
                pools=self.pools,
                slices=SlicesInput(nodes=self.nodes, stale=self.stale, fronts=()),
            ),
            decisions=(self.decision(), *(decision for _, decision in self.rivals)),
            needs={self.id: self.need()},
            floors={self.id: self.floor},
            plan=self.plan,
            config=self.config,
            hold=self.hold,
        )
        found = review(tick, self.states)
        self.states = found.states
        return found

    def wait(self, seconds: float = HOUR_S) -> Reviewed:
        """An hour in which nothing changes, and the tick after it."""
        found = self.tick()
        for _ in range(round(seconds / 60.0)):
            found = self.tick(60.0)
        return found

    def said(self, found: Reviewed) -> str:
        return found.findings[self.id].message


def status(**changes: object) -> TemplateStatus:
    base = TemplateStatus(container="server", image="bert:1", shape=TWO, max_unavailable="0")
    return replace(base, **changes)  # type: ignore[arg-type]
