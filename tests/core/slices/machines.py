"""A pool of two nodes and all that happens to them: a scheduler, pods, people, a MIG manager that fails or never ends.

Steps of 10 s. What is seen may be old, and the scheduler may not have heard of a cordon yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.slices.mover import Moved, move
from autoscaler.core.slices.observed import Holder, Mark, MigAction, MigState, MigStep, SliceNode
from autoscaler.core.slices.settings import SlicePoolSettings, SliceSettings, SlicesMode
from autoscaler.core.slices.state import PoolMoves

ONES, THREES = "all-1g.10gb", "all-3g.40gb"
POOL = SlicePoolSettings(
    labels={"pool": "mig"},
    gpu="A100-80GB",
    configs={ONES: "7x1g.10gb", THREES: "2x3g.40gb"},
    gpus_per_node=1,
)
SETTINGS = SliceSettings(mode=SlicesMode.AUTO, pools={"mig": POOL}, patience_s=20.0, settle_s=30.0)
STEP_S = 10.0
NODE = SliceNode(
    name="n1",
    pool="mig",
    config=ONES,
    state=MigState.SUCCESS,
    slices=POOL.slices_of(ONES),
    holders=(),
    devices=0,
)
"""Cut into sevenths, and empty."""
SLOW = ServiceTimes(batch_s=(0.104, 0.128))
"""On a seventh: half as fast as on the whole GPU, at a seventh of its price."""


@dataclass
class Machine:
    """One node as it really is."""

    name: str
    label: str = ONES
    applied: str = ONES
    state: MigState = MigState.SUCCESS
    cordoned: bool = False
    mark: Mark | None = None
    pods: int = 0
    work_left: int | None = None
    """Steps that the MIG manager still takes; None: it does nothing."""
    fails: bool = False
    exporter: bool = True
    ready: bool = True
    leaving: bool = False
    offers: Geometry | None = None
    """Slices that its device plugin offers, whatever was applied; None: those that were."""
    opened_at_work: bool = False
    """It was uncordoned by forescale while the MIG manager was rebuilding its slices."""
    touched_in_use: bool = False
    """Its slices were rebuilt, or asked to be by forescale, while a pod held one."""

    def seen(self) -> SliceNode:
        busy = self.work_left is not None
        shown = self.offers or (
            POOL.slices_of(self.applied) if self.applied in POOL.configs else None
        )
        return SliceNode(
            name=self.name,
            pool="mig",
            config=self.label,
            state=self.state,
            slices=Geometry(()) if busy or shown is None else shown,
            ready=self.ready,
            leaving=self.leaving,
            cordoned=self.cordoned,
            mark=self.mark,
            holders=tuple(Holder(pod=f"team/p{i}", shape="1g.10gb") for i in range(self.pods)),
            devices=None if busy or not self.exporter else self.pods,
        )

    def manager(self) -> None:
        """One step of the MIG manager: label changed -> pending -> success or failed."""
        if self.work_left is None:
            return
        self.work_left -= 1
        if self.work_left > 0:
            self.state = MigState.PENDING
            return
        self.work_left = None
        if self.fails or self.pods:
            self.state = MigState.FAILED
        else:
            self.applied, self.state = self.label, MigState.SUCCESS

    def relabel(self, config: str, *, steps: int, fails: bool = False) -> None:
        if config != self.label:
            self.label, self.work_left, self.fails = config, steps, fails


@dataclass
class Site:
    """The nodes, who watches them, and what is remembered."""

    machines: dict[str, Machine] = field(
        default_factory=lambda: {name: Machine(name) for name in ("n1", "n2")}
    )
    settings: SliceSettings = SETTINGS
    state: PoolMoves = field(default_factory=lambda: PoolMoves(pool="mig"))
    wanted: dict[str, str] = field(default_factory=lambda: {"n1": THREES})
    lag: int = 0
    """Steps by which what is seen is old."""
    checked: bool = True
    """The actuator reads the node and its pods once more before it writes the label."""
    manager_steps: int = 3
    manager_fails: bool = False
    hold: str | None = None
    refused: bool = False
    """The API server takes no write of ours."""
    now_s: float = 1_000_000.0
    applies: int = 0

    def __post_init__(self) -> None:
        self.past: list[dict[str, Machine]] = []

    def step(self, times: int = 1) -> Moved:
        for _ in range(times):
            self.now_s += STEP_S
            for machine in self.machines.values():
                machine.manager()
            self.past = [*self.past, {k: replace(m) for k, m in self.machines.items()}][-5:]
            seen = self.past[max(0, len(self.past) - 1 - self.lag)]
            moved = move(
                "mig",
                [machine.seen() for machine in seen.values()],
                self.wanted,
                self.state,
                settings=self.settings,
                now_s=self.now_s,
                hold=self.hold,
            )
            self.state = moved.state
            if moved.action is not None:
                self.write(moved.action)
        return moved

    def write(self, action: MigAction) -> None:
        """The API server's side of an action, with the tests that its patch carries."""
        machine = self.machines.get(action.node)
        if machine is None or self.refused or machine.label != action.expected:
            return
        if action.step is MigStep.CORDON:
            if machine.cordoned and machine.mark is None:
                return
            machine.cordoned = True
            machine.mark = Mark(before=action.expected, after=action.config)
        elif action.step is MigStep.UNCORDON:
            machine.opened_at_work |= machine.cordoned and machine.work_left is not None
            machine.cordoned, machine.mark = False, None
        else:
            if self.checked and (not machine.cordoned or machine.mark is None or machine.pods):
                return
            machine.touched_in_use |= machine.pods > 0
            self.applies += 1
            machine.relabel(action.config, steps=self.manager_steps, fails=self.manager_fails)

    def schedule(self, name: str, steps_old: int) -> None:
        """Binds a pod as a scheduler does that has not heard of the last `steps_old` steps."""
        machine = self.machines.get(name)
        if machine is None or machine.work_left is not None:
            return
        view = self.past[max(0, len(self.past) - 1 - steps_old)].get(name) if self.past else machine
        if view is not None and not view.cordoned and machine.pods < 2:
            machine.pods += 1
