"""Stand-ins for everything around the control loop, and a controller put together from them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from autoscaler.controller.actuate import Dispatcher
from autoscaler.controller.archive import Archive
from autoscaler.controller.fence import Fence
from autoscaler.controller.gather import Gatherer
from autoscaler.controller.journal import Journal
from autoscaler.controller.loop import ControlLoop, Parts
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.notes import Announcer
from autoscaler.controller.ports import (
    Measured,
    Note,
    Observation,
    ObservedWorkload,
    Offload,
    Refused,
    Samples,
)
from autoscaler.controller.process import Process
from autoscaler.core.reasons import Reason
from autoscaler.core.state import EngineState
from autoscaler.core.types import (
    ActionResult,
    Decision,
    Facts,
    HistoryPoint,
    Outcome,
    PodSample,
    PodStatus,
    ReplicaStatus,
    ScalingPlan,
    ServerProfile,
    SetReplicas,
    TickInput,
    TickResult,
    WorkloadId,
    WorkloadSpec,
)
from autoscaler.errors import LeadershipLost, SourceUnavailable
from tests.core.story import spec
from tests.fakes.clock import SteppedClock

T = TypeVar("T")


class FakeEngine:
    """Decides what the test says; remembers what it was given."""

    def __init__(self) -> None:
        self.targets: dict[str, int] = {}
        self.inputs: list[TickInput] = []
        self.acknowledged: list[tuple[ActionResult, ...]] = []
        self.state = EngineState()
        self.restored: EngineState | None = None
        self.failures = 0

    def tick(self, tick_input: TickInput) -> TickResult:
        self.inputs.append(tick_input)
        if self.failures:
            self.failures -= 1
            raise RuntimeError("boom")
        self.state = replace(self.state, last_now_s=tick_input.now_s)
        decisions, actions = [], []
        for given in tick_input.workloads:
            current = given.replicas.desired
            target = self.targets.get(given.spec.id.name, current)
            changed = target != current
            reason = Reason.DEMAND_RISING if changed else Reason.STEADY
            decisions.append(
                Decision(
                    workload=given.spec.id,
                    current=current,
                    target=target,
                    reason=reason,
                    message="as told",
                    facts=Facts(ready=len(given.pods), offered_rps=12.5),
                )
            )
            if changed:
                actions.append(
                    SetReplicas(
                        workload=given.spec.id,
                        api_version="apps/v1",
                        observed=current,
                        replicas=target,
                        reason=reason,
                        message="as told",
                    )
                )
        return TickResult(
            now_s=tick_input.now_s,
            decisions=tuple(decisions),
            plan=ScalingPlan(actions=tuple(actions)),
        )

    def acknowledge(self, results: tuple[ActionResult, ...]) -> None:
        self.acknowledged.append(results)

    def snapshot(self) -> EngineState:
        return self.state

    def restore(self, state: EngineState) -> None:
        self.restored = self.state = state


@dataclass
class FakeCluster:
    """Workloads of one pod per replica."""

    replicas: dict[str, int] = field(default_factory=lambda: {"bert": 2})
    refused: tuple[Refused, ...] = ()
    synced: bool = True
    error: str | None = None
    fault: Exception | None = None

    def observe(self) -> Observation:
        if self.fault is not None:
            raise self.fault
        return Observation(
            workloads=tuple(self._observed(*item) for item in self.replicas.items()),
            refused=self.refused,
        )

    def _observed(self, name: str, replicas: int) -> ObservedWorkload:
        return ObservedWorkload(
            spec=spec(name),
            replicas=ReplicaStatus(desired=replicas),
            pods=tuple(
                PodStatus(name=f"{name}-{index}", created_s=0.0, ready_s=10.0)
                for index in range(replicas)
            ),
        )


@dataclass
class FakeMeasures:
    """A sample for every pod that is asked about, unless told otherwise."""

    clock: SteppedClock
    delay_s: float = 0.0
    error: Exception | None = None
    history: Mapping[WorkloadId, tuple[HistoryPoint, ...]] = field(default_factory=dict)
    history_error: Exception | None = None
    history_asked: list[tuple[str, ...]] = field(default_factory=list)

    async def collect(
        self, now_s: float, workloads: tuple[WorkloadSpec, ...], *, ago_s: float = 0.0
    ) -> Measured:
        if self.delay_s:
            await self.clock.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        pods = [(w.id.namespace, f"{w.id.name}-{i}") for w in workloads for i in range(50)]
        return Samples(
            samples={key: PodSample(pod=key[1], sampled_at_s=now_s - ago_s) for key in pods}
        )

    async def backfill(
        self, at_s: float, workloads: tuple[WorkloadSpec, ...]
    ) -> Mapping[WorkloadId, tuple[HistoryPoint, ...]]:
        self.history_asked.append(tuple(w.id.name for w in workloads))
        if self.history_error is not None:
            raise self.history_error
        return self.history


class FakeProfiles:
    """Nothing new, unless put there."""

    def __init__(self) -> None:
        self.fresh: dict[WorkloadId, tuple[ServerProfile, ...]] = {}

    def take(self) -> Mapping[WorkloadId, tuple[ServerProfile, ...]]:
        fresh, self.fresh = self.fresh, {}
        return fresh


class FakeActuator:
    """Writes to the fake cluster; fails, hangs or lags for the workloads that are named."""

    def __init__(self, cluster: FakeCluster, clock: SteppedClock) -> None:
        self.cluster, self.clock = cluster, clock
        self.errors: dict[str, Exception] = {}
        self.delays_s: dict[str, float] = {}
        self.before_write: Callable[[], None] = lambda: None
        self.sent: list[str] = []

    async def apply(self, action: SetReplicas) -> ActionResult:
        name = action.workload.name
        self.sent.append(name)
        await self.clock.sleep(self.delays_s.get(name, 0.0))
        if name in self.errors:
            raise self.errors[name]
        self.before_write()
        self.cluster.replicas[name] = action.replicas
        return ActionResult(action=action, outcome=Outcome.APPLIED)


class FakeEvents:
    """Keeps notes."""

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self.times_s: list[float] = []
        self.error: Exception | None = None
        self.refused = 0

    async def send(self, note: Note, at_s: float) -> None:
        if self.error is not None:
            self.refused += 1
            raise self.error
        self.notes.append(note)
        self.times_s.append(at_s)


class FakeStore:
    """Keeps one checkpoint."""

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.saves = 0
        self.error: Exception | None = None
        self.silent_loads = 0
        """How many more get no answer."""
        self.clock: SteppedClock | None = None
        self.slow_s = 0.0
        """What each takes, by the clock."""

    async def save(self, data: bytes) -> None:
        await self._wait()
        if self.error is not None:
            raise self.error
        self.data, self.saves = data, self.saves + 1

    async def load(self) -> bytes | None:
        await self._wait()
        if self.silent_loads:
            self.silent_loads -= 1
            raise SourceUnavailable("503")
        if self.error is not None:
            raise self.error
        return self.data

    async def _wait(self) -> None:
        if self.slow_s:
            assert self.clock is not None
            await self.clock.sleep(self.slow_s)


class FakeLeadership:
    """Leads until the test says otherwise."""

    identity = "me"

    def __init__(self) -> None:
        self.leading = False
        self.free = asyncio.Event()
        self.free.set()
        self.lost = asyncio.Event()
        self.released = False

    @property
    def holder(self) -> str | None:
        return "me" if self.leading else "other"

    def is_leading(self) -> bool:
        return self.leading

    def check(self) -> None:
        if not self.leading:
            raise LeadershipLost("me does not hold the lease any more")

    async def acquire(self) -> None:
        await self.free.wait()
        self.leading = True

    async def hold(self) -> None:
        await self.lost.wait()
        self.leading = False
        raise LeadershipLost("the lease is held by other, not by me")

    async def release(self) -> None:
        self.released, self.leading = self.leading, False

    def lose(self) -> None:
        """At once, as when the renew deadline passes."""
        self.leading = False
        self.lost.set()


async def inline(work: Callable[[], T]) -> T:
    """Instead of a thread, so that stories are the same each time."""
    return work()


class Disk:
    """Instead of the thread that writes to it; while it hangs, what is begun waits."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.answers.set()
        self.begun = 0

    async def __call__(self, work: Callable[[], T]) -> T:
        self.begun += 1
        await self.answers.wait()
        return work()


class FakeController:
    """A controller with fakes all around it."""

    def __init__(
        self,
        *,
        tick_s: float = 10.0,
        journal: Journal | None = None,
        disk: Offload = inline,
    ) -> None:
        self.clock = SteppedClock()
        self.engine = FakeEngine()
        self.cluster = FakeCluster()
        self.measures = FakeMeasures(self.clock)
        self.profiles = FakeProfiles()
        self.actuator = FakeActuator(self.cluster, self.clock)
        self.events = FakeEvents()
        self.store = FakeStore()
        self.leadership = FakeLeadership()
        self.metrics = Metrics()
        self.frozen: str | None = None
        self.stop = asyncio.Event()
        self._build(tick_s, journal, disk)

    def _build(self, tick_s: float, journal: Journal | None, disk: Offload) -> None:
        announcer = Announcer(
            sink=self.events, leadership=self.leadership, metrics=self.metrics, clock=self.clock
        )
        self.gatherer = Gatherer(
            cluster=self.cluster,
            measures=self.measures,
            profiles=self.profiles,
            clock=self.clock,
            metrics=self.metrics,
            collect_timeout_s=tick_s / 2.0,
            frozen=lambda: self.frozen,
            backfill=True,
        )
        archive = Archive(
            engine=self.engine,
            journal=journal,
            store=self.store,
            interval_s=60.0,
            leadership=self.leadership,
            clock=self.clock,
            metrics=self.metrics,
            offload=disk,
        )
        parts = Parts(
            engine=self.engine,
            gatherer=self.gatherer,
            dispatcher=Dispatcher(
                actuator=self.actuator,
                fence=Fence(leadership=self.leadership, clock=self.clock, call_s=4.0),
                metrics=self.metrics,
                max_concurrent=3,
            ),
            archive=archive,
            announcer=announcer,
            leadership=self.leadership,
            metrics=self.metrics,
            clock=self.clock,
            offload=inline,
        )
        self.loop = ControlLoop(parts, tick_s=tick_s)
        self.process = Process(
            loop=self.loop,
            leadership=self.leadership,
            archive=archive,
            announcer=announcer,
            cluster=self.cluster,
            jobs={},
            clock=self.clock,
            tick_s=tick_s,
        )

    def start(self) -> asyncio.Task[None]:
        """Runs it in the background."""
        return asyncio.create_task(self.process.run(self.stop))

    def metric(self, name: str, **labels: str) -> float | None:
        """As Prometheus would see it."""
        return self.metrics.registry.get_sample_value(name, labels)
