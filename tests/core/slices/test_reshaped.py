"""A Deployment moves to a cheaper slice, or finds that nothing starts there: stories with the real engine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from autoscaler.codec import decode, encode
from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.profile import BatchPrior, ModelPrior, WorkloadPrior
from autoscaler.core.reasons import Reason
from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import SliceNode, SlicesInput
from autoscaler.core.slices.settings import SliceSettings, SlicesMode, TemplatesMode
from autoscaler.core.slices.template import (
    SetShape,
    ShapePhase,
    ShapeStep,
    TemplateStatus,
)
from autoscaler.core.state import EngineState
from autoscaler.core.types import (
    ActionResult,
    Outcome,
    ServerProfile,
    TickInput,
    TickRecord,
    TickResult,
    WorkloadInput,
)
from autoscaler.engine import DecisionEngine
from tests.core.slices.templates import AUTO, HOUR_S, ONE, POOL, TWO, status
from tests.core.story import Pod, Story, spec

# Within 99% < 300ms 21.5 a second each on 2g.20gb, 12.6 on 1g.10gb, which is more than half.
FAST, SLOW = ServiceTimes(batch_s=(0.052, 0.064)), ServiceTimes(batch_s=(0.070, 0.090))
THERE = WorkloadPrior(
    workload="team/bert",
    shape=ONE,
    models=(
        ModelPrior(
            model="m",
            batches=(
                BatchPrior(batch_size=1, mean_s=0.070),
                BatchPrior(batch_size=2, mean_s=0.090),
            ),
        ),
    ),
)
CONFIG = replace(AUTO, priors=(THERE,))
FREE = SliceNode(name="n1", pool="mig", config="ones", slices=POOL.slices_of("ones"), holders=())


@dataclass
class Reshaped(Story):
    """A Deployment that rolls out what is written to it: new pods, and an old one goes for each that is ready."""

    config: EngineConfig = CONFIG
    status: TemplateStatus = field(default_factory=lambda: status(shape=TWO))
    nodes: tuple[SliceNode, ...] = (FREE,)
    fails: bool = False
    """No pod starts on the smaller slice."""
    at_once: float = 1e9
    """The least that the ready pods could ever carry, in inferences a second."""
    steps: list[SetShape] = field(default_factory=list)
    result: TickResult | None = None
    record: TickRecord | None = None
    generation: int = 1

    def __post_init__(self) -> None:
        self.spec = spec(
            node_needs=NodeNeeds(resource=f"nvidia.com/mig-{TWO}", count=1),
            slice_shapes=(ONE, TWO),
        )
        self.of: dict[str, int] = {}
        super().__post_init__()

    def hash_of(self, name: str) -> str:
        return f"h{self.of.get(name, 1)}"

    def times_of(self, one: Pod) -> ServiceTimes:
        return SLOW if self.of.get(one.name, 1) % 2 == 0 else FAST

    def tick(self) -> TickResult:
        self._roll()
        self.last = TickInput(
            now_s=self.now_s,
            workloads=(self.given(),),
            slices=SlicesInput(nodes=self.nodes, fronts=()),
        )
        result = self.engine.tick(self.last)
        assert result.fleet == ()
        self.result = result
        self.record = TickRecord(input=self.last, result=result)
        self.decisions.append(result.decisions[0])
        for action in result.plan.actions:
            self.scale(action.replicas)
        self.engine.acknowledge(
            tuple(ActionResult(action=a, outcome=Outcome.APPLIED) for a in result.plan.actions)
        )
        for step in result.slices.shape_actions:
            self._write(step)
        able = (1.0 / self.times_of(one).work_s for one in self.pods if one.ready_s is not None)
        self.at_once = min(self.at_once, sum(able))
        return result

    def _write(self, step: SetShape) -> None:
        self.steps.append(step)
        shape = self.status.shape
        if step.step is ShapeStep.CHANGE:
            shape, self.replicas = step.mark.after, step.mark.replicas
        elif step.step is ShapeStep.RESTORE:
            shape = step.mark.before
        if shape != self.status.shape:
            self.generation += 1
        self.status = replace(self.status, shape=shape, mark=step.mark)
        needs = NodeNeeds(resource=f"nvidia.com/mig-{shape}", count=1)
        self.spec = replace(self.spec, node_needs=needs)

    def _roll(self) -> None:
        new = [one for one in self.pods if self.of.get(one.name, 1) == self.generation]
        while len(new) < self.replicas:
            one = self._pod(self.now_s, None)
            self.of[one.name] = self.generation
            self.pods.append(one)
            new.append(one)
        for one in new:
            if self.fails and self.of.get(one.name, 1) == 2:
                one.created_s, one.scheduled_s, one.ready_s = self.now_s, None, None
        ready = sum(1 for one in new if one.ready_s is not None)
        old = [one for one in self.pods if self.of.get(one.name, 1) != self.generation]
        old.sort(key=lambda one: one.ready_s is None)
        keep = max(0, self.replicas - ready)
        for one in old[keep:]:
            self.pods.remove(one)
        self.rollout = len(self.pods) > len(new)

    def scale(self, replicas: int) -> None:
        before = {one.name for one in self.pods}
        super().scale(replicas)
        for one in self.pods:
            if one.name not in before:
                self.of[one.name] = self.generation

    def given(self) -> WorkloadInput:
        seen = super().given()
        return replace(
            seen,
            replicas=replace(seen.replicas, template_hash=f"h{self.generation}"),
            pods=tuple(replace(one, template_hash=self.hash_of(one.name)) for one in seen.pods),
            profiles=self._profiles(),
            template=self.status,
        )

    def _profiles(self) -> tuple[ServerProfile, ...]:
        """One server of each template."""
        found: dict[str, ServerProfile] = {}
        for one in self.pods:
            if one.ready_s is not None and self.hash_of(one.name) not in found:
                self.times = self.times_of(one)
                told = replace(self._profile()[0], pod=one.name)
                found[self.hash_of(one.name)] = replace(told, template_hash=self.hash_of(one.name))
        return tuple(found.values())


def test_a_deployment_moves_to_a_cheaper_slice_and_sizes_by_what_that_carries() -> None:
    world = Reshaped(replicas=3)
    world.run(HOUR_S, rate_rps=45.0)
    carried = world.decisions[-1].facts.capacity_rps
    assert carried is not None
    assert carried == pytest.approx(21.5, rel=0.02)
    world.run(300.0)
    assert [step.step for step in world.steps] == [ShapeStep.CHANGE, ShapeStep.SETTLE]
    change, settled = world.steps
    assert (change.expected, change.mark.after, settled.mark.phase) == (TWO, ONE, ShapePhase.DONE)
    assert change.mark.replicas > change.observed
    # From the first tick on it is sized by the profile of the new slice, and then by what is seen there.
    final = world.run(600.0)
    assert final.facts.capacity_rps == pytest.approx(12.6, rel=0.02)
    assert final.facts.capacity_unproven is None
    assert world.at_once > 45.0
    assert not [f for d in world.decisions for f in d.findings if f.reason is Reason.EXTERNAL_EDIT]
    half = len(world.pods) / 2.0
    assert half <= 0.9 * change.observed
    # And that is that for a day.
    world.run(2 * HOUR_S)
    assert len(world.steps) == 2


def test_a_slice_on_which_nothing_starts_is_taken_back_once() -> None:
    world = Reshaped(replicas=3, fails=True)
    world.run(HOUR_S + 300.0, rate_rps=45.0)
    assert [step.step for step in world.steps] == [ShapeStep.CHANGE]
    world.run(2400.0)
    assert [step.step for step in world.steps] == [
        ShapeStep.CHANGE,
        ShapeStep.RESTORE,
        ShapeStep.SETTLE,
    ]
    assert (world.status.shape, world.steps[-1].mark.phase) == (TWO, ShapePhase.FAILED)
    assert "not all replicas are ready after 30 minutes" in world.steps[-1].mark.why
    assert world.at_once > 45.0
    world.run(2 * HOUR_S)
    assert len(world.steps) == 3
    assert world.result is not None
    assert "failed with this image" in world.result.slices.shapes[0].message
    # It was never sized by what the other slice would carry.
    assert world.decisions[-1].facts.capacity_rps == pytest.approx(21.5, rel=0.02)


def test_whoever_leads_next_ends_what_was_begun() -> None:
    """Without a checkpoint: the mark on the Deployment is all that it knows."""
    world = Reshaped(replicas=3, fails=True)
    world.run(HOUR_S + 300.0, rate_rps=45.0)
    world.engine = DecisionEngine(CONFIG)
    world.run(2400.0)
    assert [step.step for step in world.steps][1:] == [ShapeStep.RESTORE, ShapeStep.SETTLE]


def test_a_journal_and_a_checkpoint_hold_all_of_it() -> None:
    world = Reshaped(replicas=3)
    world.run(HOUR_S, rate_rps=45.0)
    while not world.steps:
        world.run(10.0)
    assert world.record is not None
    assert decode(encode(world.record), TickRecord) == world.record
    state = world.engine.snapshot()
    assert decode(encode(state), EngineState) == state
    assert state.slices.shapes[0].shape == ONE


def test_recommend_writes_nothing() -> None:
    slices = SliceSettings(
        mode=SlicesMode.RECOMMEND, pools={"mig": POOL}, templates=TemplatesMode.RECOMMEND
    )
    world = Reshaped(replicas=3, config=replace(CONFIG, slices=slices))
    world.run(2 * HOUR_S, rate_rps=45.0)
    assert world.steps == []
    told = [f for f in world.decisions[-1].findings if f.reason is Reason.SHAPE_CHEAPER]
    assert "engine.slices.templates is recommend" in told[0].message
