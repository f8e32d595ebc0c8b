"""A member of a variant group that never ran is woken once to learn what it carries, and nothing is lowered for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from autoscaler.codec import decode, encode
from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.reasons import Reason
from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import Front, Holder, SlicesInput
from autoscaler.core.slices.settings import SliceSettings, SlicesMode
from autoscaler.core.state import EngineState
from autoscaler.core.types import (
    ActionResult,
    Decision,
    DecisionStep,
    Outcome,
    Pause,
    TickInput,
    TickResult,
)
from autoscaler.engine import DecisionEngine
from tests.core.slices.machines import NODE, POOL, SLOW
from tests.core.story import TWO_AT_ONCE, Story, spec

AUTO = SliceSettings(mode=SlicesMode.AUTO, pools={"mig": POOL}, patience_s=0.0)
TAKEN = replace(NODE, holders=(Holder(pod="other/a", shape="1g.10gb", count=7),), devices=7)
# Of 200 ms.
TOO_SLOW = ServiceTimes(batch_s=(0.4, 0.5))
MINUTE, HOUR = 60.0, 3600.0


def member(
    name: str, resource: str, times: ServiceTimes, replicas: int, **changes: object
) -> Story:
    needs = NodeNeeds(resource=resource, count=1)
    own = spec(name, variant_group="bert", node_needs=needs, **changes)
    return Story(spec=own, times=times, replicas=replicas)


def sevenths(times: ServiceTimes = SLOW, **changes: object) -> Story:
    changes = {"may_sleep": True, "min_replicas": 0, **changes}
    return member("ones", "nvidia.com/mig-1g.10gb", times, 0, **changes)


@dataclass
class Fleet:
    """GPUs that serve, and sevenths that never ran, behind a router that weights replicas by what they can do."""

    whole: Story = field(default_factory=lambda: member("whole", "nvidia.com/gpu", TWO_AT_ONCE, 4))
    ones: Story = field(default_factory=sevenths)
    settings: SliceSettings = AUTO
    slices: SlicesInput = field(default_factory=lambda: SlicesInput(nodes=(NODE,), fronts=()))
    frozen: str | None = None
    missed: int = 0
    """Ticks in which the ready replicas could not serve all that came."""
    results: list[TickResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = DecisionEngine(EngineConfig(slices=self.settings))

    def run(self, seconds: float, rate_rps: float = 70.0) -> TickResult:
        for _ in range(round(seconds / 10.0)):
            self.tick(rate_rps)
        return self.results[-1]

    def tick(self, rate_rps: float) -> None:
        stories = (self.whole, self.ones)
        ready = [sum(pod.ready_s is not None for pod in story.pods) for story in stories]
        able = [count / story.times.work_s for count, story in zip(ready, stories, strict=True)]
        self.missed += rate_rps > sum(able)
        for story, part in zip(stories, able, strict=True):
            story.rate_rps = rate_rps * part / sum(able)
            story._pass(10.0)
        result = self.engine.tick(
            TickInput(
                now_s=self.whole.now_s,
                workloads=tuple(story.given() for story in stories),
                slices=self.slices,
                frozen=self.frozen,
            )
        )
        assert result.fleet == () or self.frozen
        for action in result.plan.actions:
            story = self.whole if action.workload == self.whole.spec.id else self.ones
            story.scale(action.replicas)
        self.engine.acknowledge(
            tuple(ActionResult(action=a, outcome=Outcome.APPLIED) for a in result.plan.actions)
        )
        self.results.append(result)

    @property
    def last(self) -> Decision:
        """Of the sevenths."""
        return self.results[-1].decisions[1]

    def replicas(self) -> tuple[int, int]:
        return len(self.whole.pods), len(self.ones.pods)

    def trial_steps(self) -> list[DecisionStep]:
        """Every one that moved the sevenths."""
        return [
            step
            for result in self.results
            for step in result.decisions[1].steps
            if step.reason is Reason.VARIANT_TRIAL and step.before != step.after
        ]


def test_a_shape_that_never_ran_is_tried_once_and_takes_over() -> None:
    fleet = Fleet()
    fleet.run(3 * MINUTE)
    (step,) = fleet.trial_steps()
    assert (step.stage, step.before, step.after) == ("trial", 0, 1)
    assert step.message == (
        "group team/bert: a replica of 1g.10gb never ran and is tried: a slice is free, and what the group runs costs "
        "28 times as much"
    )
    fleet.run(30 * MINUTE)
    whole, ones = fleet.replicas()
    assert whole == 1  # min-replicas
    assert ones >= 4
    assert fleet.missed == 0
    assert len(fleet.trial_steps()) == 1
    assert fleet.engine.snapshot().slices.trials == ()


def test_while_one_is_tried_the_others_stay() -> None:
    """Demand falls to a tenth the moment the seventh is woken; it takes six minutes to start."""
    fleet = Fleet()
    fleet.ones.startup_s = 6 * MINUTE
    while not fleet.ones.pods:
        fleet.run(10.0)
    before = len(fleet.whole.pods)
    fleet.run(6 * MINUTE, 7.0)
    assert fleet.replicas() == (before, 1)
    message = fleet.results[-1].decisions[0].message
    assert message == "held: ones is being tried, and what it carries is not known"
    assert fleet.last.message.startswith("it never ran: for ")
    fleet.run(20 * MINUTE, 7.0)
    assert len(fleet.whole.pods) == 1


def test_one_that_is_late_is_let_go_and_not_tried_again() -> None:
    """A request alone takes 400 ms there, of 200: that is known from then on."""
    fleet = Fleet(ones=sevenths(TOO_SLOW))
    fleet.run(5 * MINUTE)
    whole = len(fleet.whole.pods)
    assert fleet.replicas() == (whole, 0)
    woken, ended = fleet.trial_steps()
    assert (woken.after, ended.after) == (1, 0)
    assert ended.message == (
        "tried and let go again: a request alone takes 0.4 s there, and that is too late"
    )
    (told,) = [f for f in fleet.last.findings if f.reason is Reason.VARIANT_TRIAL]
    assert told.message.startswith(ended.message + "; not again for 5")
    fleet.run(2 * HOUR)
    assert len(fleet.trial_steps()) == 2


def test_one_that_does_not_start_is_tried_again_later_and_later() -> None:
    fleet = Fleet()
    fleet.ones.startup_s = 1e9
    fleet.run(20 * MINUTE)
    woken, ended = fleet.trial_steps()
    assert ended.message == "tried and let go again: it was not ready within 10 min"
    assert fleet.replicas()[1] == 0
    fleet.run(45 * MINUTE)
    assert len(fleet.trial_steps()) == 2
    # An hour after it ended, then two.
    fleet.run(25 * MINUTE)
    assert len(fleet.trial_steps()) == 4
    fleet.run(100 * MINUTE)
    assert len(fleet.trial_steps()) == 4
    fleet.run(25 * MINUTE)
    assert len(fleet.trial_steps()) == 6


def test_whoever_leads_next_goes_on_with_it() -> None:
    fleet = Fleet()
    fleet.ones.startup_s = 5 * MINUTE
    fleet.run(2 * MINUTE)
    state = decode(encode(fleet.engine.snapshot()), EngineState)
    assert [one.workload for one in state.slices.trials] == ["team/ones"]
    fleet.engine = DecisionEngine(EngineConfig(slices=fleet.settings))
    fleet.engine.restore(state)
    fleet.run(30 * MINUTE)
    assert len(fleet.trial_steps()) == 1
    assert len(fleet.ones.pods) >= 4


def test_a_slice_that_is_gone_again_ends_it() -> None:
    fleet = Fleet()
    fleet.ones.node_s = 1e9
    fleet.run(3 * MINUTE)
    assert fleet.replicas()[1] == 0
    assert (
        fleet.trial_steps()[-1].message
        == "tried and let go again: the slice that was free is taken"
    )


def test_turned_off_it_is_ended() -> None:
    fleet = Fleet()
    fleet.ones.startup_s = 5 * MINUTE
    fleet.run(2 * MINUTE)
    state = fleet.engine.snapshot()
    fleet.engine = DecisionEngine(EngineConfig(slices=replace(AUTO, mode=SlicesMode.RECOMMEND)))
    fleet.engine.restore(state)
    fleet.run(MINUTE)
    assert fleet.replicas()[1] == 0
    fleet.run(10 * MINUTE)
    assert len(fleet.trial_steps()) == 2


@pytest.mark.parametrize(
    "fleet",
    [
        pytest.param(Fleet(slices=SlicesInput(nodes=(TAKEN,), fronts=())), id="no free slice"),
        pytest.param(Fleet(slices=SlicesInput(nodes=(), fronts=())), id="no node"),
        pytest.param(
            Fleet(slices=SlicesInput(nodes=(NODE,), fronts=(), stale="nodes: 500")), id="not seen"
        ),
        pytest.param(Fleet(slices=SlicesInput(nodes=(NODE,))), id="services not read"),
        pytest.param(
            Fleet(
                slices=SlicesInput(
                    nodes=(NODE,),
                    fronts=(Front(service="team/bert", workloads=("team/whole", "team/ones")),),
                )
            ),
            id="one service for both",
        ),
        pytest.param(Fleet(settings=replace(AUTO, mode=SlicesMode.RECOMMEND)), id="mode recommend"),
        pytest.param(Fleet(frozen="an incident"), id="frozen"),
        pytest.param(Fleet(ones=sevenths(pause=Pause.UP)), id="paused"),
        pytest.param(Fleet(ones=sevenths(max_replicas=0)), id="none allowed"),
        pytest.param(Fleet(ones=sevenths(may_sleep=False)), id="held at zero by hand"),
        pytest.param(
            Fleet(whole=member("whole", "nvidia.com/mig-1g.10gb", TWO_AT_ONCE, 4, max_replicas=1)),
            id="what runs costs as much as one replica",
        ),
    ],
)
def test_it_is_left_asleep(fleet: Fleet) -> None:
    fleet.run(20 * MINUTE, 20.0)
    assert fleet.trial_steps() == []
    assert fleet.replicas()[1] == 0


def test_nothing_is_tried_while_nobody_asks() -> None:
    fleet = Fleet()
    fleet.run(20 * MINUTE, 0.0)
    assert fleet.replicas()[1] == 0
