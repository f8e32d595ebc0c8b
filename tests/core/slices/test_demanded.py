"""With what the packing is asked: the highest demand of a quarter of an hour, and no room for what can't come back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.lead_time import LeadTimes
from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.nodes.settings import NodeSettings, PoolSettings
from autoscaler.core.nodes.state import PoolState
from autoscaler.core.reasons import Reason
from autoscaler.core.slices.demanded import keep, node_lead_s, remember, window_s
from autoscaler.core.slices.observed import GroupDecision, GroupMember, KeptDemand
from autoscaler.core.slices.state import DemandState, High
from autoscaler.core.types import (
    Decision,
    DecisionStep,
    Mode,
    Pause,
    ReplicaStatus,
    WorkloadInput,
)
from tests.core.story import START_S, spec

MINUTE_S = 60.0
SLICE = NodeNeeds(resource="nvidia.com/mig-1g.10gb", count=1)


# ---------------------------------------------------------------- the window


@pytest.mark.parametrize(
    ("wanted", "highest"),
    [
        pytest.param([8], 8, id="alone"),
        pytest.param([8, 3], 8, id="it fell a minute ago"),
        pytest.param([3, 8], 8, id="it rose"),
        pytest.param([8, *[3] * 14], 8, id="it fell fourteen minutes ago"),
        pytest.param([8, *[3] * 15], 3, id="it fell a quarter of an hour ago"),
        pytest.param([9, 7, 5, *[2] * 13], 7, id="the next highest after the highest"),
        pytest.param([4, 8, 4, 8, 4, 8, 4], 8, id="to and fro"),
    ],
)
def test_the_highest_of_a_quarter_of_an_hour(wanted: list[int], highest: int) -> None:
    """Minute by minute."""
    highs: tuple[High, ...] = ()
    for minute, amount in enumerate(wanted):
        highs = keep(highs, amount, now_s=START_S + minute * MINUTE_S, window_s=900.0)
    assert highs[0].amount == highest


def test_only_what_can_still_be_the_highest_is_kept() -> None:
    highs: tuple[High, ...] = ()
    for second, amount in enumerate([2, 9, 6, 4, 4, 1]):
        highs = keep(highs, amount, now_s=float(second), window_s=900.0)
    assert [(high.at_s, high.amount) for high in highs] == [
        (1.0, 9),
        (2.0, 6),
        (4.0, 4),
        (5.0, 1),
    ]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(0, 20)), min_size=1, max_size=40),
    st.integers(60, 1800),
)
def test_it_is_what_a_look_at_the_whole_past_finds(
    ticks: list[tuple[int, int]], length_s: int
) -> None:
    highs: tuple[High, ...] = ()
    past: list[tuple[float, int]] = []
    now_s = START_S
    for gap_s, amount in ticks:
        now_s += gap_s
        past.append((now_s, amount))
        highs = keep(highs, amount, now_s=now_s, window_s=float(length_s))
        assert highs[0].amount == max(n for at_s, n in past if at_s > now_s - length_s)
        assert highs[0].amount >= amount


def test_a_clock_that_is_set_back_keeps_what_was_seen_for_one_window_more() -> None:
    highs = keep((), 8, now_s=START_S, window_s=900.0)
    highs = keep(highs, 3, now_s=START_S - 7200.0, window_s=900.0)
    assert [(high.at_s, high.amount) for high in highs] == [
        (START_S - 7200.0, 8),
        (START_S - 7200.0, 3),
    ]
    assert keep(highs, 3, now_s=START_S - 6310.0, window_s=900.0)[0].amount == 8
    assert keep(highs, 3, now_s=START_S - 6300.0, window_s=900.0)[0].amount == 3


def test_a_clock_that_is_set_forward_lets_go() -> None:
    highs = keep((), 8, now_s=START_S, window_s=900.0)
    assert keep(highs, 3, now_s=START_S + 7200.0, window_s=900.0)[0].amount == 3


@pytest.mark.parametrize(
    ("lead_s", "length_s"),
    [
        pytest.param(300.0, 900.0, id="five minutes to come, ten of being empty"),
        pytest.param(90.0, 690.0, id="a fast cloud"),
        pytest.param(3600.0, 1800.0, id="half an hour at most"),
    ],
)
def test_as_long_as_a_node_costs_to_go_and_to_come_back(lead_s: float, length_s: float) -> None:
    assert window_s(lead_s) == length_s


GROWS = PoolSettings(labels={"pool": "a"}, max_headroom=8)
SLOW = PoolSettings(labels={"pool": "b"}, max_headroom=8, lead_time_s=420.0)
FIXED = PoolSettings(labels={"pool": "c"}, max_headroom=8, lead_time_s=900.0, fixed=True)


@pytest.mark.parametrize(
    ("pools", "lead_s"),
    [
        pytest.param({}, 300.0, id="no pool says it"),
        pytest.param({"a": GROWS}, 300.0, id="its seed"),
        pytest.param({"a": GROWS, "b": SLOW}, 420.0, id="the longest"),
        pytest.param({"c": FIXED}, 300.0, id="what never grows does not count"),
    ],
)
def test_the_lead_time_of_nodes(pools: dict[str, PoolSettings], lead_s: float) -> None:
    assert node_lead_s((), NodeSettings(pools=pools)) == lead_s


def test_a_lead_time_that_was_measured_goes_before_its_seed() -> None:
    seen = PoolState(pool="a", allocatable=LeadTimes(observed_s=(150.0,) * 12))
    assert node_lead_s((seen,), NodeSettings(pools={"a": GROWS})) == 150.0


# ---------------------------------------------------------------- what is remembered


def single(name: str, target: int, **changes: object) -> tuple[WorkloadInput, Decision]:
    """Changes are of the spec, but for `held_by` and `desired`."""
    held_by, desired = changes.pop("held_by", None), changes.pop("desired", 1)
    own = spec(name, **({"node_needs": SLICE} | changes))
    status = ReplicaStatus(desired=desired, held_by=held_by)  # type: ignore[arg-type]
    decision = Decision(
        workload=own.id, current=1, target=target, reason=Reason.STEADY, message="", mode=own.mode
    )
    return WorkloadInput(spec=own, replicas=status), decision


def group(needed_mrps: int | None, *names: str) -> GroupDecision:
    members = tuple(
        GroupMember(workload=f"team/{name}", shape="1g.10gb", replica_mrps=9, price=1, replicas=1)
        for name in names
    )
    return GroupDecision(group="team/bert", needed_mrps=needed_mrps, members=members, message="")


@dataclass
class Memory:
    """Of a quarter of an hour; a tick a minute."""

    states: tuple[DemandState, ...] = ()
    now_s: float = START_S
    kept: tuple[KeptDemand, ...] = field(default=())

    def tick(
        self,
        *workloads: tuple[WorkloadInput, Decision],
        groups: tuple[GroupDecision, ...] = (),
        minutes: float = 1.0,
    ) -> dict[str, int]:
        self.now_s += minutes * MINUTE_S
        asked = remember(
            [item for item, _ in workloads],
            [decision for _, decision in workloads],
            groups,
            self.states,
            window_s=900.0,
            now_s=self.now_s,
        )
        self.states, self.kept = asked.states, asked.kept
        return {item.name: item.amount for item in asked.kept}


def test_room_is_kept_for_a_quarter_of_an_hour_and_it_says_since_when() -> None:
    memory = Memory()
    assert memory.tick(single("a", 6)) == {}
    at_s = memory.now_s
    assert memory.tick(single("a", 2)) == {"team/a": 6}
    assert memory.kept == (KeptDemand(name="team/a", amount=6, at_s=at_s),)
    assert memory.tick(single("a", 2), minutes=13.0) == {"team/a": 6}
    assert memory.tick(single("a", 2)) == {}


def test_more_than_ever_is_wanted_now() -> None:
    memory = Memory()
    memory.tick(single("a", 6))
    assert memory.tick(single("a", 7)) == {}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"mode": Mode.OFF}, id="switched off"),
        pytest.param({"mode": Mode.RECOMMEND}, id="only recommended for"),
        pytest.param({"pause": Pause.ALL}, id="paused"),
        pytest.param({"pause": Pause.UP}, id="its growth is paused"),
        pytest.param({"desired": 0}, id="scaled to nothing by a person"),
        pytest.param({"held_by": "HorizontalPodAutoscaler bert"}, id="another scales it"),
        pytest.param({"node_needs": None}, id="it needs no GPU any more"),
        pytest.param(
            {"node_needs": NodeNeeds(resource="nvidia.com/mig-3g.40gb", count=1)},
            id="it has another shape",
        ),
    ],
)
def test_no_room_is_kept_for_what_can_not_come_back(changes: dict[str, object]) -> None:
    memory = Memory()
    memory.tick(single("a", 6))
    assert memory.tick(single("a", 1, **changes)) == {}
    # Nor is it remembered for the day when it may.
    assert memory.tick(single("a", 1)) == {}


def test_one_that_may_not_shrink_keeps_its_room() -> None:
    memory = Memory()
    memory.tick(single("a", 6))
    assert memory.tick(single("a", 2, pause=Pause.DOWN)) == {"team/a": 6}


def test_a_workload_that_is_gone_leaves_nothing() -> None:
    memory = Memory()
    memory.tick(single("a", 6), single("b", 4))
    assert memory.tick(single("b", 1)) == {"team/b": 4}
    assert [state.name for state in memory.states] == ["team/b"]
    assert memory.tick(single("a", 1), single("b", 1)) == {"team/b": 4}


def test_what_scarcity_cut_was_wanted_all_the_same() -> None:
    item, decision = single("a", 1)
    step = DecisionStep(
        stage="allocate", before=5, after=1, reason=Reason.SCARCE_GPUS, message="no slice"
    )
    memory = Memory()
    memory.tick((item, replace(decision, steps=(step,))))
    assert memory.tick(single("a", 2)) == {"team/a": 5}


def test_a_group_is_remembered_as_one() -> None:
    memory, members = Memory(), (single("a", 6), single("b", 3))
    memory.tick(*members, groups=(group(90_000, "a", "b"),))
    fewer = (single("a", 1), single("b", 1))
    kept = memory.tick(*fewer, groups=(group(40_000, "a", "b"),))
    assert kept == {"group team/bert": 90_000}
    # A Deployment less serves the same model: its requests go to the others.
    third = (*fewer, single("c", 1))
    kept = memory.tick(*third, groups=(group(40_000, "b", "c"),))
    assert kept == {"group team/bert": 90_000}
    # Taken apart, each asks for itself, and nobody for the group.
    assert memory.tick(*fewer) == {}


def test_a_group_of_which_a_member_is_not_known_is_not_forgotten() -> None:
    memory, members = Memory(), (single("a", 1), single("b", 1))
    memory.tick(*members, groups=(group(90_000, "a", "b"),))
    assert memory.tick(*members, groups=(group(None),)) == {}
    kept = memory.tick(*members, groups=(group(40_000, "a", "b"),))
    assert kept == {"group team/bert": 90_000}


def test_no_room_is_kept_for_a_group_in_which_nobody_may_grow() -> None:
    memory = Memory()
    memory.tick(single("a", 1), single("b", 1), groups=(group(90_000, "a", "b"),))
    one = (single("a", 1, pause=Pause.UP), single("b", 1))
    kept = memory.tick(*one, groups=(group(40_000, "a", "b"),))
    assert kept == {"group team/bert": 90_000}
    both = (single("a", 1, pause=Pause.UP), single("b", 1, pause=Pause.ALL))
    assert memory.tick(*both, groups=(group(40_000, "a", "b"),)) == {}


def test_a_workload_and_a_group_of_one_name_are_two() -> None:
    memory = Memory()
    members = (single("a", 1), single("b", 1))
    memory.tick(single("bert", 7), *members, groups=(group(90_000, "a", "b"),))
    kept = memory.tick(single("bert", 2), *members, groups=(group(80_000, "a", "b"),))
    assert kept == {"group team/bert": 90_000, "team/bert": 7}
