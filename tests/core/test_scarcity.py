"""Less than is asked for: what a pool has, who gets it, what is not chased - and that nothing unknown is cut."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from autoscaler.core.need import Need
from autoscaler.core.nodes import supply
from autoscaler.core.nodes.observed import NodeNeeds, PoolInput
from autoscaler.core.nodes.settings import NodeSettings, PoolSettings
from autoscaler.core.nodes.state import NodesState, StockState
from autoscaler.core.reasons import Reason
from autoscaler.core.scarcity import share
from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import (
    ActionResult,
    Decision,
    Mode,
    Outcome,
    Pause,
    PodStatus,
    ReplicaStatus,
    TickInput,
    WorkloadId,
    WorkloadInput,
)
from autoscaler.engine import DecisionEngine
from tests.core.nodes.pools import GPU, node, pool, under_way
from tests.core.story import START_S, Story, spec

NEEDS = NodeNeeds(resource=GPU, count=1, selector=(("pool", "a100"),))
FIXED = pool("a100", fixed=True, max_headroom=0)
EIGHT = PoolInput(pool="a100", nodes=(node("n"),), foreign_units=0, other_units=0)
NO_STOCK = StockState()


@pytest.mark.parametrize(
    ("settings", "given", "stock", "units"),
    [
        pytest.param(FIXED, EIGHT, NO_STOCK, 8, id="a fixed pool has its nodes"),
        pytest.param(FIXED, replace(EIGHT, foreign_units=3), NO_STOCK, 5, id="less what others hold"),
        pytest.param(FIXED, replace(EIGHT, foreign_units=None), NO_STOCK, None, id="others unknown"),
        pytest.param(FIXED, replace(EIGHT, stale="watch cut"), NO_STOCK, None, id="stale"),
        pytest.param(pool("a100"), EIGHT, NO_STOCK, None, id="a pool that grows is not scarce"),
        pytest.param(
            pool("a100"), EIGHT, StockState(until_s=1.0), 8, id="until it is sold out"
        ),
        pytest.param(
            pool("a100"), EIGHT, StockState(probing=True), 16, id="one node more while tried again"
        ),
        pytest.param(pool("a100", max_nodes=3), EIGHT, NO_STOCK, 24, id="or at its limit"),
        pytest.param(
            FIXED,
            replace(EIGHT, nodes=(replace(node("n", used=6), units=0),)),
            NO_STOCK,
            6,
            id="a device plugin that starts anew shows nothing, its pods run on",
        ),
        pytest.param(
            FIXED,
            replace(EIGHT, nodes=(replace(node("n", used=2), leaving=True),)),
            NO_STOCK,
            2,
            id="a node that leaves has only what it holds",
        ),
        pytest.param(
            FIXED,
            replace(EIGHT, nodes=(replace(node("n", used=2), allocatable_s=None, broken=True),)),
            NO_STOCK,
            2,
            id="so has one that is not ready any more",
        ),
        pytest.param(
            FIXED,
            replace(EIGHT, nodes=(under_way("n", since_s=START_S),)),
            NO_STOCK,
            8,
            id="a node on its way counts in full",
        ),
    ],
)  # fmt: skip
def test_what_a_pool_has(
    settings: PoolSettings, given: PoolInput, stock: StockState, units: int | None
) -> None:
    assert supply.units(settings, given, stock) == units


def decision(name: str, target: int, current: int = 1, mode: Mode = Mode.AUTO) -> Decision:
    return Decision(
        workload=spec(name).id,
        current=current,
        target=target,
        reason=Reason.DEMAND_RISING,
        message="",
        mode=mode,
    )


def workload(name: str, *, pods: int = 1, pending: int = 0, **changes: object) -> WorkloadInput:
    given = spec(name, **({"node_needs": NEEDS} | changes))
    return WorkloadInput(
        spec=given,
        replicas=ReplicaStatus(desired=max(1, pods)),
        pods=tuple(
            PodStatus(name=f"{name}-{i}", created_s=START_S, unschedulable=i >= pods - pending)
            for i in range(pods)
        ),
    )


@dataclass
class Fleet:
    """Workloads with what they want, one pool, and the step's memory."""

    wants: list[tuple[WorkloadInput, int]]
    pool: PoolSettings = FIXED
    given: PoolInput = EIGHT
    settings: NodeSettings = field(default_factory=NodeSettings)
    state: NodesState = field(default_factory=NodesState)
    now_s: float = START_S

    def step(self, seconds: float = 10.0) -> dict[str, Decision]:
        self.now_s += seconds
        needs: dict[WorkloadId, Need] = {}
        answer = share(
            [given for given, _ in self.wants],
            [
                decision(given.spec.id.name, want, given.replicas.desired, given.spec.mode)
                for given, want in self.wants
            ],
            needs,
            [self.given],
            self.state,
            settings=replace(self.settings, pools={"a100": self.pool}),
            now_s=self.now_s,
        )
        self.state = replace(self.state, stuck=answer.stuck)
        return {item.workload.name: item for item in answer.decisions}

    def targets(self, seconds: float = 10.0) -> dict[str, int]:
        return {name: item.target for name, item in self.step(seconds).items()}


def test_what_fits_is_not_touched() -> None:
    fleet = Fleet([(workload("a", pods=4), 4), (workload("b", pods=1), 4)])
    found = fleet.step()
    assert [item.steps for item in found.values()] == [(), ()]


def test_a_cut_is_a_step_that_says_who_was_served_instead() -> None:
    fleet = Fleet([(workload("a", pods=1), 6), (workload("b", pods=4, priority=5), 6)])
    found = fleet.step()
    assert (found["a"].target, found["b"].target) == (2, 6)
    (step,) = found["a"].steps
    assert (step.stage, step.before, step.after, step.reason) == (
        "allocate", 6, 2, Reason.SCARCE_GPUS,
    )  # fmt: skip
    assert step.message.startswith(
        "4 of 6 replicas wait: a100 has 8 GPUs, 4 more are asked for; team/b goes first with priority 5"
    )
    assert found["a"].message == step.message


@pytest.mark.parametrize(
    ("change", "target"),
    [
        pytest.param({"given": replace(EIGHT, stale="watch cut")}, 20, id="stale nodes"),
        pytest.param({"given": replace(EIGHT, foreign_units=None)}, 20, id="other tenants unknown"),
        pytest.param({"pool": pool("a100")}, 20, id="a pool that grows"),
        pytest.param({}, 8, id="known"),
    ],
)
def test_an_unknown_supply_cuts_nothing(change: dict[str, object], target: int) -> None:
    fleet = replace(Fleet([(workload("a"), 20)]), **change)  # type: ignore[arg-type]
    assert fleet.targets() == {"a": target}


def test_a_workload_that_may_run_elsewhere_is_not_cut() -> None:
    roaming = workload("a", node_needs=NodeNeeds(resource=GPU, count=1))
    elsewhere = replace(EIGHT, other_units=16)
    assert Fleet([(roaming, 20)], given=elsewhere).targets() == {"a": 20}
    assert Fleet([(roaming, 20)]).targets() == {"a": 8}
    assert Fleet([(workload("a"), 20)], given=elsewhere).targets() == {"a": 8}


def test_what_is_only_recommended_for_keeps_what_it_holds() -> None:
    shown = workload("a", pods=5, mode=Mode.RECOMMEND)
    fleet = Fleet([(shown, 9), (workload("b"), 9)])
    assert fleet.targets() == {"a": 9, "b": 3}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"pause": Pause.DOWN}, id="paused"),
        pytest.param({"min_replicas": 4}, id="min-replicas"),
    ],
)
def test_no_cut_goes_below_what_a_person_asks_for(changes: dict[str, Any]) -> None:
    none_left = replace(EIGHT, foreign_units=8)
    fleet = Fleet([(workload("a", pods=4, **changes), 6)], given=none_left)
    assert fleet.targets() == {"a": 4}


def test_a_cut_never_switches_a_workload_off() -> None:
    assert Fleet([(workload("a"), 6)], given=replace(EIGHT, foreign_units=8)).targets() == {"a": 1}


GROWS = pool("a100", lead_time_s=200.0)


def test_what_can_not_be_scheduled_is_not_chased() -> None:
    """Twice the lead time of 200 s: then one is asked for beyond the three that are scheduled."""
    fleet = Fleet([(workload("a", pods=9, pending=6), 12)], pool=GROWS)
    assert fleet.targets() == {"a": 12}
    assert fleet.targets(390.0) == {"a": 12}
    found = fleet.step(20.0)["a"]
    assert (found.target, found.reason) == (4, Reason.SCHEDULING_CEILING)
    assert "6 replicas have been stuck for 7 minutes (no node has room)" in found.message


def test_scale_down_stays_alive_below_the_ceiling() -> None:
    fleet = Fleet([(workload("a", pods=9, pending=6), 12)], pool=GROWS)
    fleet.step()
    fleet.step(500.0)
    fleet.wants = [(workload("a", pods=4, pending=1), 2)]
    assert fleet.targets() == {"a": 2}


def test_room_that_comes_ends_the_ceiling() -> None:
    fleet = Fleet([(workload("a", pods=4, pending=1), 12)], pool=GROWS)
    fleet.step()
    assert fleet.targets(500.0) == {"a": 4}
    fleet.wants = [(workload("a", pods=4), 12)]
    assert fleet.targets() == {"a": 12}


def test_nodes_on_their_way_are_waited_for() -> None:
    coming = replace(EIGHT, nodes=(under_way("n", since_s=START_S),))
    fleet = Fleet([(workload("a", pods=9, pending=6), 12)], pool=GROWS, given=coming)
    fleet.step()
    assert fleet.targets(5000.0) == {"a": 12}


def test_broken_nodes_are_not_waited_for() -> None:
    broken = replace(under_way("n", since_s=START_S), broken=True)
    there = replace(EIGHT, nodes=(*EIGHT.nodes, broken))
    fleet = Fleet([(workload("a", pods=4, pending=1), 12)], pool=GROWS, given=there)
    fleet.step()
    assert fleet.targets(5000.0) == {"a": 4}


def test_a_quota_and_a_gate_are_not_chased_either() -> None:
    given = workload("a", pods=2)
    refused = replace(given, replicas=ReplicaStatus(desired=9, blocked="exceeded quota: gpus"))
    gated = replace(
        workload("a", pods=5), pods=tuple(replace(p, gated=True) for p in workload("a", pods=5).pods)
    )  # fmt: skip
    for stuck, target, words in (
        (refused, 3, "the ReplicaSet can't create pods"),
        (gated, 1, "a quota or Kueue holds them back"),
    ):
        fleet = Fleet([(stuck, 12)], pool=GROWS)
        fleet.step()
        found = fleet.step(700.0)["a"]
        assert found.target == target
        assert words in found.message


@dataclass
class Pair:
    """Two stories on one engine and one pool of eight GPUs that nobody grows."""

    low: Story
    high: Story
    given: PoolInput = EIGHT

    def __post_init__(self) -> None:
        config = EngineConfig(nodes=NodeSettings(pools={"a100": FIXED}))
        self.engine = DecisionEngine(config)
        self.engine.restore(self.low.engine.snapshot())

    def run(self, seconds: float, low_rps: float, high_rps: float) -> dict[str, Decision]:
        for _ in range(round(seconds / 10.0)):
            for story, rate in ((self.low, low_rps), (self.high, high_rps)):
                story.rate_rps = rate
                story._pass(10.0)
            held = len(self.low.pods) + len(self.high.pods)
            pools = (replace(self.given, nodes=(node("n", used=min(8, held)),)),)
            given = (self.low.given(), self.high.given())
            result = self.engine.tick(TickInput(now_s=self.low.now_s, workloads=given, pools=pools))
            assert not any(f.reason is Reason.INTERNAL_ERROR for f in result.fleet), result.fleet
            for action in result.plan.actions:
                story = self.low if action.workload == self.low.spec.id else self.high
                story.scale(action.replicas)
            self.engine.acknowledge(
                tuple(ActionResult(action=a, outcome=Outcome.APPLIED) for a in result.plan.actions)
            )
        return {item.workload.name: item for item in result.decisions}


def test_a_day_of_two_workloads_on_eight_gpus() -> None:
    """Both fit; then both rise beyond the pool, the first more; then it falls, and the second gets what it leaves."""
    pair = Pair(
        low=Story(spec=spec("low", node_needs=NEEDS)),
        high=Story(spec=spec("high", node_needs=NEEDS, priority=3)),
    )
    calm = pair.run(300.0, 20.0, 20.0)
    assert calm["low"].target + calm["high"].target <= 8
    assert not [step for item in calm.values() for step in item.steps if step.stage == "allocate"]

    both = pair.run(300.0, 160.0, 80.0)
    assert both["low"].target + both["high"].target == 8
    assert both["low"].target < both["high"].target
    assert both["low"].reason is Reason.SCARCE_GPUS
    assert "team/high goes first with priority 3 against 0" in both["low"].message

    alone = pair.run(900.0, 10.0, 140.0)
    assert alone["low"].target == 1
    assert alone["high"].target > both["high"].target
