"""The engine with slices: a group under one router, a pool whose node is cut, and everything through JSON unchanged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from autoscaler.codec import decode, encode
from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.reasons import Reason
from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import (
    MigStep,
    SlicePlan,
    SlicesDecision,
    SlicesInput,
)
from autoscaler.core.slices.settings import SliceSettings, SlicesMode
from autoscaler.core.slices.state import SlicesState
from autoscaler.core.slices.step import in_force
from autoscaler.core.state import EngineState
from autoscaler.core.types import ActionResult, Outcome, TickInput, TickRecord, TickResult
from autoscaler.engine import DecisionEngine
from tests.core.slices.machines import NODE, POOL, SLOW, THREES
from tests.core.story import START_S, TWO_AT_ONCE, Story, spec

CONFIG = EngineConfig(
    slices=SliceSettings(mode=SlicesMode.AUTO, pools={"mig": POOL}, patience_s=0.0)
)


def member(name: str, resource: str, times: ServiceTimes, replicas: int) -> Story:
    needs = NodeNeeds(resource=resource, count=1)
    own = spec(name, variant_group="bert", node_needs=needs)
    return Story(spec=own, times=times, replicas=replicas)


@dataclass
class Routed:
    """Two Deployments behind a router that weights each ready replica by what it can do."""

    whole: Story = field(default_factory=lambda: member("whole", "nvidia.com/gpu", TWO_AT_ONCE, 4))
    ones: Story = field(default_factory=lambda: member("ones", "nvidia.com/mig-1g.10gb", SLOW, 1))
    engine: DecisionEngine = field(default_factory=lambda: DecisionEngine(CONFIG))
    slices: SlicesInput = field(default_factory=lambda: SlicesInput(fronts=()))
    served_at_once: list[bool] = field(default_factory=list)

    def run(self, seconds: float, rate_rps: float) -> TickResult:
        for _ in range(round(seconds / 10.0)):
            able = {}
            for story in (self.whole, self.ones):
                ready = sum(pod.ready_s is not None for pod in story.pods)
                able[story.spec.id] = ready / story.times.work_s
            for story in (self.whole, self.ones):
                story.rate_rps = rate_rps * able[story.spec.id] / sum(able.values())
                story._pass(10.0)
            self.served_at_once.append(rate_rps < sum(able.values()))
            given = TickInput(
                now_s=self.whole.now_s,
                workloads=(self.whole.given(), self.ones.given()),
                slices=self.slices,
            )
            result = self.engine.tick(given)
            assert result.fleet == ()
            for action in result.plan.actions:
                story = self.whole if action.workload == self.whole.spec.id else self.ones
                story.scale(action.replicas)
            self.engine.acknowledge(
                tuple(ActionResult(action=a, outcome=Outcome.APPLIED) for a in result.plan.actions)
            )
            self.record = TickRecord(input=given, result=result)
        return result


def test_a_group_moves_to_sevenths_without_a_moment_of_too_little() -> None:
    routed = Routed()
    before = routed.run(300.0, 70.0)
    assert before.slices.groups[0].needed_mrps is not None
    routed.run(900.0, 70.0)
    whole, ones = len(routed.whole.pods), len(routed.ones.pods)
    assert whole == 1  # min-replicas
    assert ones >= 4
    assert whole + ones / 7.0 < 4 + 1 / 7.0
    assert all(routed.served_at_once)
    steady = routed.run(300.0, 70.0)
    assert [d.target for d in steady.decisions] == [whole, ones]


def test_a_gpu_sleeps_while_sevenths_carry_it_all() -> None:
    routed = Routed()
    routed.whole.spec = replace(routed.whole.spec, may_sleep=True)
    routed.run(900.0, 70.0)
    assert len(routed.whole.pods) == 0
    assert len(routed.ones.pods) >= 5
    steady = routed.run(300.0, 70.0)
    assert [d.target for d in steady.decisions] == [0, len(routed.ones.pods)]
    # Twice the demand is carried by whichever shape is the cheaper one then.
    routed.run(600.0, 140.0)
    assert all(routed.served_at_once)


def test_demand_that_rises_is_met_by_the_cheap_shape() -> None:
    routed = Routed()
    routed.run(900.0, 50.0)
    few = len(routed.ones.pods)
    routed.run(600.0, 110.0)
    assert len(routed.ones.pods) > few
    assert len(routed.whole.pods) <= 2


def test_a_node_is_cut_as_a_plan_wants_it() -> None:
    routed = Routed(slices=SlicesInput(nodes=(NODE,), fronts=()))
    routed.run(10.0, 50.0)
    given = routed.record.input
    plan = SlicePlan(made_at_s=given.now_s, nodes=(("n1", THREES),))
    first = routed.engine.tick(replace(given, now_s=given.now_s + 10.0, slice_plan=plan))
    (action,) = first.slices.actions
    assert (action.node, action.step, action.config) == ("n1", MigStep.CORDON, THREES)
    # The plan is kept; it is handed over once.
    again = routed.engine.tick(replace(given, now_s=given.now_s + 20.0))
    assert [a.step for a in again.slices.actions] == [MigStep.CORDON]
    frozen = replace(given, now_s=given.now_s + 30.0, frozen="an incident")
    held = routed.engine.tick(frozen).slices
    assert (held.actions, held.pools[0].reason) == ((), Reason.MIG_HELD)


def test_a_pool_without_a_plan_is_not_said_to_be_as_it_is_needed() -> None:
    routed = Routed(slices=SlicesInput(nodes=(NODE,), fronts=()))
    (pool,) = routed.run(10.0, 50.0).slices.pools
    assert pool.reason is Reason.MIG_HELD
    assert pool.message.endswith("no packing was made within the last 15 minutes")
    given = routed.record.input
    for plan, reason in (
        (SlicePlan(made_at_s=given.now_s), Reason.MIG_STEADY),
        (SlicePlan(made_at_s=given.now_s, infeasible="too few slices"), Reason.MIG_HELD),
    ):
        (pool,) = routed.engine.tick(replace(given, slice_plan=plan)).slices.pools
        assert pool.reason is reason
    assert pool.message.endswith("the packing finds no plan: too few slices")


@pytest.mark.parametrize(
    ("age_s", "counts"),
    [(0.0, True), (899.0, True), (900.0, False), (-60.0, True), (-7200.0, False)],
)
def test_a_plan_says_something_for_a_quarter_of_an_hour(age_s: float, counts: bool) -> None:
    plan = SlicePlan(made_at_s=START_S - age_s)
    assert in_force(plan, START_S) == (plan if counts else None)


def test_a_plan_from_before_slices_were_turned_off_steers_no_pods() -> None:
    """It is in the checkpoint; weeks later its nodes are others' or gone."""
    engine = DecisionEngine(EngineConfig())
    for age_s, emptied in ((0.0, ("n2",)), (1e6, ())):
        plan = SlicePlan(made_at_s=START_S - age_s, emptied=("n2",))
        engine.restore(EngineState(slices=SlicesState(plan=plan)))
        engine.tick(TickInput(now_s=START_S, workloads=()))
        assert engine._emptied(START_S) == emptied


def test_a_journal_and_a_checkpoint_hold_all_of_it() -> None:
    routed = Routed(slices=SlicesInput(nodes=(NODE,), fronts=()))
    routed.run(900.0, 70.0)
    assert decode(encode(routed.record), TickRecord) == routed.record
    state = routed.engine.snapshot()
    assert decode(encode(state), EngineState) == state
    assert state.slices.groups[0].moving


def test_a_new_leader_keeps_the_room_that_the_old_one_kept() -> None:
    """The group needs twice as much for five minutes; the checkpoint is taken while it falls."""
    routed = Routed(slices=SlicesInput(nodes=(NODE,), fronts=()))
    routed.run(600.0, 70.0)
    high = routed.run(300.0, 140.0).slices.groups[0].needed_mrps
    assert high is not None
    fallen = routed.run(300.0, 50.0).slices
    needed = fallen.groups[0].needed_mrps
    assert needed is not None
    assert needed < high
    (kept,) = fallen.kept
    # The most was provided for while demand rose.
    assert (kept.name, kept.at_s) == ("group team/bert", START_S + 700.0)
    assert kept.amount >= high
    routed.engine, before = DecisionEngine(CONFIG), routed.engine
    routed.engine.restore(decode(encode(before.snapshot()), EngineState))
    # Ten minutes of being empty, and five until there is a node again.
    assert routed.run(390.0, 50.0).slices.kept == (kept,)
    assert routed.whole.now_s == START_S + 1590.0
    assert routed.run(10.0, 50.0).slices.kept[0].amount < kept.amount
    assert routed.run(490.0, 50.0).slices.kept == ()


def test_what_is_kept_is_replayed() -> None:
    routed = Routed(slices=SlicesInput(nodes=(NODE,), fronts=()))
    routed.run(300.0, 140.0)
    start = routed.engine.snapshot()
    records = []
    for _ in range(40):
        routed.run(10.0, 50.0)
        records.append(decode(encode(routed.record), TickRecord))
    assert records[-1].result.slices.kept
    again = DecisionEngine(CONFIG)
    again.restore(decode(encode(start), EngineState))
    for one in records:
        assert again.tick(one.input).slices == one.result.slices
        again.acknowledge(
            tuple(ActionResult(action=a, outcome=Outcome.APPLIED) for a in one.result.plan.actions)
        )


def test_a_fault_in_the_step_leaves_replicas_alone() -> None:
    routed = Routed()
    routed.run(300.0, 50.0)
    broken = replace(routed.slices, nodes=None)  # type: ignore[arg-type]
    given = replace(routed.record.input, now_s=routed.whole.now_s + 10.0, slices=broken)
    result = routed.engine.tick(given)
    assert len(result.decisions) == 2
    assert result.slices == SlicesDecision()
    assert result.fleet[0].message.startswith("slices held: TypeError")


def test_without_slices_nothing_is_different() -> None:
    routed = Routed(slices=SlicesInput(fronts=()))
    routed.run(300.0, 50.0)
    off = replace(routed.record.input, slices=None)
    result = DecisionEngine(EngineConfig()).tick(off)
    assert result.slices == SlicesDecision()
    assert not [s for d in result.decisions for s in d.steps if s.stage == "group"]
