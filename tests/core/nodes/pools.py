"""A small world of pools: workloads with a known capacity, nodes as told, one call of the step each 10 s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from autoscaler.core.demand import Growth
from autoscaler.core.nodes.claims import Candidate
from autoscaler.core.nodes.observed import (
    Backend,
    NodeNeeds,
    NodeStatus,
    PoolDecision,
    PoolInput,
    StockOut,
)
from autoscaler.core.nodes.plan import Planned, plan
from autoscaler.core.nodes.settings import NodeSettings, PoolSettings
from autoscaler.core.nodes.state import NodesState
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig
from autoscaler.core.survival import STAGE
from autoscaler.core.types import (
    Decision,
    DecisionStep,
    DemandForecast,
    Facts,
    PodStatus,
    ReplicaStatus,
    WorkloadInput,
)
from tests.core.story import START_S, spec

GPU = "nvidia.com/gpu"
BOTH = ((Backend.CAPACITY_BUFFER, 0), (Backend.PLACEHOLDER, 0))


def pool(name: str = "h100", **changes: object) -> PoolSettings:
    """Eight GPUs a node, up to 32 of headroom, a seed of 300 s."""
    base = PoolSettings(labels={"pool": name}, max_headroom=32)
    return replace(base, **changes)  # type: ignore[arg-type]


@dataclass
class Workload:
    """What one workload shows. One replica carries 10 inferences a second."""

    name: str = "bert"
    pods: int = 2
    rps: float | None = 15.0
    target: int | None = None
    needs: NodeNeeds = NodeNeeds(resource=GPU, count=1)
    limit: int = 100
    ahead_rps: tuple[float, float] | None = None
    """(median, 0.98 quantile) of the forecast over everything; None: there is none."""
    later_rps: tuple[float, float] | None = None
    """The same over ten minutes, where that is another; then `ahead_rps` is told of one minute and of three."""
    age_s: float = 0.0
    """Since the forecast's last minute."""
    skill: float = 1.0
    pods_known: bool = True
    floor_ahead: int | None = None
    price: float | None = None
    """Of a miss, at which sizing works."""
    growth: Growth = Growth()
    free_slices: int = 0
    """On nodes that no autoscaler grows."""
    rests: bool = False
    """Its group grows by another member."""
    waiting: int = 0
    """Of its pods, those that have no node yet."""
    for_a_loss: int = 0
    """So many more than the demand asks for run, that a loss leaves these."""

    def candidate(self, now_s: float) -> Candidate:
        """As the step takes it."""
        target = self.pods if self.target is None else self.target
        workload = spec(self.name, node_needs=self.needs, max_replicas=self.limit)
        given = WorkloadInput(
            spec=workload,
            replicas=ReplicaStatus(desired=target),
            pods=tuple(
                PodStatus(
                    name=f"{self.name}-{i}",
                    created_s=START_S,
                    node=None if i < self.waiting else "n",
                )
                for i in range(self.pods)
            ),
            pods_known=self.pods_known,
        )
        facts = Facts(
            offered_rps=self.rps,
            capacity_rps=None if self.rps is None else 10.0,
            lead_time_s=20.0,
            price=self.price,
        )
        decision = Decision(
            workload=workload.id,
            current=target,
            target=target,
            reason=Reason.STEADY,
            message="",
            steps=self._steps(target),
            facts=facts,
        )
        return Candidate(
            given=given,
            decision=decision,
            forecast=self._forecast(now_s),
            growth=self.growth,
            skew_ratio=1.0,
            floor_ahead=self.floor_ahead,
            free_slices=self.free_slices,
            rests=self.rests,
        )

    def _steps(self, target: int) -> tuple[DecisionStep, ...]:
        if not self.for_a_loss:
            return ()
        return (
            DecisionStep(
                stage=STAGE,
                before=target - self.for_a_loss,
                after=target,
                reason=Reason.SURVIVES_LOSS,
                message="",
            ),
        )

    def _forecast(self, now_s: float) -> DemandForecast | None:
        if self.ahead_rps is None:
            return None
        return DemandForecast(
            workload=spec(self.name).id,
            cutoff_s=now_s - self.age_s,
            expires_s=now_s + 300.0,
            horizons_s=(60.0, 180.0, 600.0),
            quantiles=(0.5, 0.98),
            values_rps=(self.ahead_rps, self.ahead_rps, self.later_rps or self.ahead_rps),
            skills=((self.skill, self.skill),) * 3,
        )


@dataclass
class World:
    """Workloads, pools and the step's memory."""

    workloads: list[Workload] = field(default_factory=lambda: [Workload()])
    pools: Mapping[str, PoolSettings] = field(default_factory=lambda: {"h100": pool()})
    settings: NodeSettings = field(default_factory=NodeSettings)
    nodes: dict[str, list[NodeStatus]] = field(default_factory=dict)
    stock_outs: dict[str, StockOut] = field(default_factory=dict)
    foreign: dict[str, int | None] = field(default_factory=dict)
    most_nodes: dict[str, int] = field(default_factory=dict)
    """As the node autoscaler tells its limits."""
    stale: dict[str, str] = field(default_factory=dict)
    trouble: tuple[tuple[Backend, str], ...] = ()
    left: list[PoolInput] = field(default_factory=list)
    """Of pools that the policy does not name."""
    served: tuple[tuple[Backend, int], ...] = BOTH
    state: NodesState = field(default_factory=NodesState)
    now_s: float = START_S
    frozen: str | None = None

    def run(self, seconds: float = 10.0) -> Planned:
        """Ticks for `seconds`, and the last answer; what it asks for is written at once."""
        for _ in range(max(1, round(seconds / 10.0))):
            self.now_s += 10.0
            answer = self._tick()
        return answer

    def headroom(self, name: str = "h100", *, seconds: float = 10.0) -> int | None:
        """Of one pool, after `seconds`."""
        return decided(self.run(seconds), name).headroom

    def _tick(self) -> Planned:
        config = EngineConfig(nodes=replace(self.settings, pools=self.pools))
        inputs = [
            PoolInput(
                pool=name,
                nodes=tuple(self.nodes.get(name, ())),
                stock_out=self.stock_outs.get(name),
                foreign_units=self.foreign.get(name, 0),
                most_nodes=self.most_nodes.get(name),
                headroom=self.written.get(name, self.served),
                trouble=self.trouble,
                stale=self.stale.get(name),
            )
            for name in self.pools
        ]
        inputs += self.left
        answer = plan(
            [workload.candidate(self.now_s) for workload in self.workloads],
            inputs,
            self.state,
            config=config,
            now_s=self.now_s,
            frozen=self.frozen,
        )
        for action in answer.actions:
            objects = dict(self.written.get(action.pool, self.served))
            objects[action.backend] = action.units
            self.written[action.pool] = tuple(objects.items())
        self.state = answer.state
        return answer

    def __post_init__(self) -> None:
        self.written: dict[str, tuple[tuple[Backend, int], ...]] = {}


def decided(answer: Planned, name: str = "h100") -> PoolDecision:
    """One pool's decision."""
    return next(item for item in answer.decisions if item.pool == name)


def node(name: str, *, age_s: float = 3600.0, took_s: float = 100.0, used: int = 0) -> NodeStatus:
    """A node that was asked for `age_s` before the story began and took `took_s` to be of use."""
    asked_s = START_S - age_s
    return NodeStatus(
        name=name,
        requested_s=asked_s,
        registered_s=asked_s + 0.5 * took_s,
        ready_s=asked_s + 0.8 * took_s,
        allocatable_s=asked_s + took_s,
        units=8,
        used_units=used,
    )


def under_way(name: str, *, since_s: float) -> NodeStatus:
    """A node that was asked for and shows nothing yet."""
    return NodeStatus(name=name, requested_s=since_s)
