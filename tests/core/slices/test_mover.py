"""A node is cut anew: in this order, one at a time, back where it fails - and never with a slice in use."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.reasons import Reason
from autoscaler.core.slices.begin import left_alone
from autoscaler.core.slices.observed import Mark, MigState
from autoscaler.core.slices.settings import SlicesMode
from autoscaler.core.slices.state import Backoff, Phase, PoolMoves
from tests.core.slices.machines import ONES, SETTINGS, THREES, Machine, Site


def phase(site: Site) -> Phase | None:
    return site.state.change.phase if site.state.change else None


def test_the_story_of_one_node() -> None:
    site = Site()
    node = site.machines["n1"]
    site.step(2)
    assert (node.cordoned, phase(site)) == (False, None)  # wanted for less than 20 s
    site.step()
    assert (node.cordoned, node.mark) == (True, Mark(before=ONES, after=THREES))
    site.step(3)
    assert (node.label, phase(site)) == (ONES, Phase.EMPTYING)  # seen empty for 20 s
    site.step()
    assert node.label == THREES
    moved = site.step(2)
    assert moved.decision.message == f"n1 from {ONES} to {THREES}: the MIG manager is at work"
    moved = site.step(2)
    assert (node.state, moved.decision.reason) == (MigState.SUCCESS, Reason.MIG_CHANGED)
    site.wanted = {}
    moved = site.step()
    assert (node.cordoned, node.mark, phase(site)) == (False, None, None)
    assert site.step().decision.reason is Reason.MIG_STEADY


def test_a_failure_brings_the_old_geometry_back_and_the_node_is_left_alone() -> None:
    site = Site(manager_fails=True)
    node = site.machines["n1"]
    site.step(9)
    site.manager_fails = False
    site.step()
    assert (node.state, phase(site)) == (MigState.FAILED, Phase.RESTORING)
    found = [site.step().decision for _ in range(7)]
    assert (node.label, node.applied, node.cordoned) == (ONES, ONES, False)
    assert phase(site) is None
    told = {finding for decision in found for finding in decision.findings}
    assert {reason for reason, _, _ in told} == {Reason.MIG_FAILED}
    assert any(f"could not apply {THREES}" in message for _, _, message in told)
    assert left_alone(site.state, site.now_s) == ("n1",)
    site.wanted = {}
    assert site.step().decision.message == (
        "its nodes are cut as they are needed, and n1 kept so for a while after a failure"
    )
    site.wanted = {"n1": THREES}
    site.step(84)
    assert site.applies == 2  # 15 minutes are not over
    site.step(12)
    assert site.applies == 3


@pytest.mark.parametrize(
    ("backoff", "begins"),
    [
        pytest.param(
            Backoff(node="n1", until_s=1_000_100.0, failures=1024), False, id="months of it"
        ),
        pytest.param(Backoff(node="n1", until_s=1_900_000.0, failures=1), True, id="a clock ahead"),
    ],
)
def test_a_node_is_left_alone_for_a_day_at_most(backoff: Backoff, begins: bool) -> None:
    """2.0 ** 1024 is no number; and what was written before the clock was set back is no wait of ten days."""
    site = Site(state=PoolMoves(pool="mig", backoffs=(backoff,)), manager_fails=True)
    site.step(10)
    assert (site.applies > 0) is begins
    site.step(200)
    assert site.applies > 0


def test_a_manager_that_never_ends_is_not_waited_for() -> None:
    site = Site(manager_steps=1000)
    node = site.machines["n1"]
    site.step(7)
    assert node.label == THREES
    site.manager_steps = 3
    site.step(62)
    assert node.label == ONES
    site.step(5)
    assert (node.cordoned, phase(site)) == (False, None)


def test_a_config_that_cuts_otherwise_by_now_is_named_as_what_it_is() -> None:
    """The ConfigMap was edited under the controller: the MIG manager says success, and other slices come."""
    site = Site()
    node = site.machines["n1"]
    site.step(7)
    node.offers = Geometry.of({"7g.80gb": 1})
    told = site.step(62).decision
    assert node.label == ONES
    assert (
        "all-3g.40gb was not there after 600 s: the MIG manager says success and the node offers 1x7g.80gb, the policy "
        "says 2x3g.40gb; compare configs with its ConfigMap"
    ) in told.message


def test_a_node_that_comes_back_in_neither_geometry_waits_for_a_person() -> None:
    site = Site(manager_fails=True)
    node = site.machines["n1"]
    moved = site.step(20)
    assert (phase(site), node.cordoned) == (Phase.STUCK, True)
    assert moved.decision.reason is Reason.MIG_STUCK
    assert "did not come back either; it stays cordoned" in moved.decision.message
    site.wanted["n2"] = THREES
    site.step(50)
    assert site.machines["n2"].label == ONES  # one at a time: the pool waits with it
    node.relabel(THREES, steps=1)  # repaired by hand
    site.step(3)
    assert (node.mark, node.cordoned) == (None, False)


@pytest.mark.parametrize("steps", [2, 4, 8])
def test_a_clock_that_is_set_back_by_a_day_holds_nothing_up(steps: int) -> None:
    site = Site(manager_steps=1000)
    site.step(steps)
    site.now_s -= 86400.0
    site.step(10)
    assert site.machines["n1"].label == THREES
    site.manager_steps = 3
    site.step(70)  # the watchdog
    assert (site.machines["n1"].label, site.machines["n1"].cordoned) == (ONES, False)


def test_one_node_at_a_time() -> None:
    site = Site(wanted={"n1": THREES, "n2": THREES})
    for _ in range(40):
        site.step()
        assert sum(m.mark is not None for m in site.machines.values()) <= 1
    assert {m.applied for m in site.machines.values()} == {THREES}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"pods": 1}, "team/p0 hold slices of it", id="a pod holds a slice"),
        pytest.param(
            {"exporter": False}, "no GPU exporter tells", id="the second source is silent"
        ),
        pytest.param({"cordoned": True}, "somebody has cordoned", id="cordoned by somebody"),
        pytest.param(
            {"label": "by-hand"}, "which the policy's configs do not name", id="an unknown config"
        ),
        pytest.param({"state": MigState.PENDING}, "at work", id="the manager is at work"),
        pytest.param({"state": MigState.FAILED}, "could not apply", id="it failed before"),
        pytest.param({"state": MigState.UNTOLD}, "no MIG manager", id="nobody tells its state"),
        pytest.param({"ready": False}, "not ready", id="it is not ready"),
        pytest.param({"leaving": True}, "being removed", id="it is leaving"),
        # The policy says another number of GPUs, slices are shared in time, or the strategy is single: what is to
        # come would not be recognised either, and the node would stay cordoned.
        pytest.param(
            {"offers": Geometry((("1g.10gb", 14),))},
            "it offers 14x1g.10gb, and as all-1g.10gb it is to have 7x1g.10gb",
            id="it offers other slices than the policy says",
        ),
    ],
)
def test_such_a_node_is_not_touched_and_it_is_said_why(change: dict[str, object], why: str) -> None:
    site = Site(machines={"n1": replace(Machine("n1"), **change)})  # type: ignore[arg-type]
    moved = site.step(50)
    assert site.machines["n1"].mark is None
    assert site.applies == 0
    assert moved.decision.reason is Reason.MIG_WANTED
    assert moved.decision.message.startswith(f"n1 is wanted as {THREES}: ")
    assert why in moved.decision.message


def test_what_only_a_person_can_mend_is_told_at_the_node() -> None:
    site = Site(machines={"n1": Machine("n1", exporter=False)})
    ((reason, node, message),) = site.step(5).decision.findings
    assert (reason, node) == (Reason.MIG_HELD, "n1")
    assert message.startswith(f"n1 is wanted as {THREES}, and not touched: no GPU exporter tells")
    site.machines["n1"] = Machine("n1", pods=1)
    assert site.step().decision.findings == ()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"label": "all-balanced"}, "its nvidia.com/mig.config is all-balanced, which the policy's configs"),
        ({"state": MigState.FAILED}, "its MIG manager could not apply all-1g.10gb"),
        ({"state": MigState.PENDING}, "its MIG manager is at work (pending)"),
        ({"offers": Geometry.of({"1g.10gb": 6})}, "it offers 6x1g.10gb, and as all-1g.10gb it is to have 7x1g.10gb"),
    ],
)  # fmt: skip
def test_a_node_that_does_not_offer_what_it_should_is_told_of_after_ten_minutes(
    change: dict[str, object], why: str
) -> None:
    """No plan names it, for it has what nobody can count on: it was out of use without a word."""
    site = Site(wanted={})
    site.machines["n1"] = replace(site.machines["n1"], **change)  # type: ignore[arg-type]
    assert site.step(59).decision.findings == ()
    ((reason, node, said),) = site.step(2).decision.findings
    assert (reason, node) == (Reason.MIG_UNFIT, "n1")
    assert said.startswith("the slices of n1 can't be counted on, for 10 minutes by now: " + why)
    # A moment in which it is well begins anew; and what a person has taken out of use is theirs.
    for well in (Machine("n1"), replace(site.machines["n1"], cordoned=True)):
        site.machines["n1"] = well
        assert site.step().decision.findings == ()


def test_slices_of_which_no_mig_manager_tells_can_be_counted_on() -> None:
    site = Site(wanted={})
    site.machines["n1"].state = MigState.UNTOLD
    assert site.step(90).decision.findings == ()


def test_a_change_that_the_plan_takes_back_before_the_label_is_written_is_ended() -> None:
    """A surge needs the slices that are there: its pods wait for them while the node is cordoned."""
    site = Site()
    site.step(4)
    assert phase(site) is Phase.EMPTYING
    site.wanted = {"n1": ONES}
    moved = site.step(2)
    assert (site.machines["n1"].cordoned, site.applies) == (False, 0)
    assert "it is needed as it is by now" in moved.decision.message


def test_in_recommend_mode_what_was_begun_is_given_back_and_no_label_is_written() -> None:
    site = Site()
    site.step(4)
    site.settings = replace(SETTINGS, mode=SlicesMode.RECOMMEND)
    site.step(20)
    node = site.machines["n1"]
    assert (node.label, node.cordoned, node.mark, site.applies) == (ONES, False, None, 0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"leaving": True}, "it is being removed", id="leaving"),
        pytest.param({"ready": False}, "it is not ready", id="not ready"),
        pytest.param({"exporter": False}, "two sources did not confirm", id="an exporter gone"),
    ],
)
def test_a_node_that_goes_while_it_is_watched_gets_no_label(
    change: dict[str, object], why: str
) -> None:
    site = Site()
    site.step(4)
    site.machines["n1"] = replace(site.machines["n1"], **change)  # type: ignore[arg-type]
    told = {site.step().decision.message for _ in range(35)}
    assert (site.applies, site.machines["n1"].cordoned) == (0, False)
    assert any(why in message for message in told)


def test_a_cordon_that_can_not_be_written_is_named_as_what_it_is() -> None:
    site = Site(refused=True)
    told = {site.step().decision.message for _ in range(60)}
    assert any("it could not be cordoned, see MigRefused" in message for message in told)
    assert not any("two sources" in message for message in told)


def test_in_recommend_mode_it_is_only_said() -> None:
    site = Site(settings=replace(SETTINGS, mode=SlicesMode.RECOMMEND))
    moved = site.step(20)
    assert moved.decision.reason is Reason.MIG_WANTED
    assert moved.decision.message == (
        f"n1 is wanted as {THREES}; engine.slices.mode is recommend, so nothing is written"
    )
    assert site.machines["n1"].mark is None


def test_what_holds_stops_a_change_where_it_is() -> None:
    site = Site()
    site.step(4)
    site.hold = "all scaling is frozen: an incident"
    moved = site.step(30)
    assert (moved.decision.reason, site.applies) == (Reason.MIG_HELD, 0)
    # It stays cordoned meanwhile, and somebody should know.
    ((reason, node, message),) = moved.decision.findings
    assert (reason, node) == (Reason.MIG_HELD, "n1")
    assert message.endswith("to be confirmed as empty; held: all scaling is frozen: an incident")
    site.hold = None
    site.step(8)
    assert site.machines["n1"].mark is None or site.applies <= 1


def test_a_pod_that_comes_before_the_label_ends_it() -> None:
    site = Site()
    site.step(4)
    site.machines["n1"].pods = 1
    site.step(2)
    assert (site.machines["n1"].cordoned, site.applies, phase(site)) == (False, 0, None)


@pytest.mark.parametrize("steps", [4, 8])
def test_what_a_person_does_meanwhile_is_left(steps: int) -> None:
    site = Site()
    site.step(steps)
    node = site.machines["n1"]
    node.relabel("all-balanced", steps=8)
    site.step(5)
    # The MIG manager is at work for them: a pod that came now would have its slice rebuilt under it.
    assert (node.state, node.cordoned) == (MigState.PENDING, True)
    site.step(5)
    assert (node.label, node.cordoned, node.mark) == ("all-balanced", False, None)
    assert phase(site) is None


def test_a_label_that_a_person_sets_back_is_waited_for_too() -> None:
    """Before the MIG manager has noticed it the node still shows success, of the config before."""
    site = Site()
    site.step(8)
    node = site.machines["n1"]
    assert (node.label, phase(site)) == (THREES, Phase.APPLYING)
    node.label, node.state, node.work_left = ONES, MigState.SUCCESS, None
    site.step(5)
    assert node.cordoned
    site.step(3)
    assert (node.label, node.cordoned, node.mark) == (ONES, False, None)


@pytest.mark.parametrize("steps", [4, 8])
def test_a_node_whose_annotation_a_person_removes_is_theirs_and_stays_cordoned(steps: int) -> None:
    """`kubectl drain` on a node that is cordoned already leaves no trace: this is how to take one over."""
    site = Site()
    site.step(steps)
    node = site.machines["n1"]
    node.mark = None
    site.step(120)
    assert (node.cordoned, node.mark, phase(site)) == (True, None, None)


def test_a_manager_that_never_ends_what_a_person_asked_for_is_the_persons() -> None:
    site = Site()
    site.step(4)
    site.machines["n1"].relabel("all-balanced", steps=1000)
    site.step(55)
    assert site.machines["n1"].cordoned
    site.step(10)
    assert (site.machines["n1"].cordoned, site.machines["n1"].mark) == (False, None)


@pytest.mark.parametrize("steps", [4, 6, 8])
def test_who_leads_next_ends_what_was_begun(steps: int) -> None:
    site = Site()
    site.step(steps)
    site.state = PoolMoves(pool="mig")
    site.wanted = {}
    site.step(12)
    node = site.machines["n1"]
    assert (node.cordoned, node.mark) == (False, None)
    assert node.applied == node.label


def test_a_node_that_vanishes_is_forgotten() -> None:
    site = Site()
    site.step(5)
    del site.machines["n1"]
    moved = site.step()
    assert (moved.decision.message, phase(site)) == ("n1 is gone", None)


def test_a_cordon_that_does_not_show_yet_is_not_forgotten() -> None:
    """n1 is cordoned, and then seen as it was three looks ago, in use: n2 waits until n1 was given back."""
    site = Site()
    site.machines["n1"].pods = 1
    site.step()
    site.wanted["n2"] = THREES
    site.step()
    site.machines["n1"].pods = 0
    site.step()
    assert site.machines["n1"].mark is not None
    site.lag = 3
    for _ in range(12):
        site.step()
        assert sum(m.mark is not None for m in site.machines.values()) <= 1


# ---------------------------------------------------------------- whatever happens


names = st.sampled_from(["n1", "n2"])
everyday = st.one_of(
    st.tuples(st.just("schedule"), names, st.integers(0, 3)),
    st.tuples(st.just("end"), names, st.just(0)),
    st.tuples(st.just("want"), names, st.integers(0, 1)),
    st.tuples(st.just("manager"), names, st.integers(1, 80)),
    st.tuples(st.just("fail"), names, st.integers(0, 1)),
    st.tuples(st.just("exporter"), names, st.integers(0, 1)),
    st.tuples(st.just("lag"), names, st.integers(0, 3)),
    st.tuples(st.just("failover"), names, st.just(0)),
    st.tuples(st.just("vanish"), names, st.just(0)),
    st.tuples(st.just("wait"), names, st.integers(1, 12)),
    st.tuples(st.just("ready"), names, st.integers(0, 1)),
    st.tuples(st.just("plugin"), names, st.integers(0, 2)),
    st.tuples(st.just("called back"), names, st.integers(0, 1)),
)
binding = st.one_of(
    st.tuples(st.just("schedule"), names, st.integers(0, 3)),
    st.tuples(st.just("end"), names, st.just(0)),
)
people = st.one_of(
    st.tuples(st.just("uncordon"), names, st.just(0)),
    st.tuples(st.just("flicker"), names, st.just(0)),
    st.tuples(st.just("edit"), names, st.integers(0, 2)),
    st.tuples(st.just("unmark"), names, st.just(0)),
)


def happen(site: Site, what: str, name: str, number: int) -> None:
    machine = site.machines.setdefault(name, Machine(name))
    config = (ONES, THREES, "all-balanced")[number % 3]
    match what:
        case "schedule":
            site.schedule(name, number)
        case "end":
            machine.pods = max(0, machine.pods - 1)
        case "want":
            site.wanted[name] = config
        case "manager":
            site.manager_steps = number
        case "fail":
            site.manager_fails = bool(number)
        case "exporter":
            machine.exporter = bool(number)
        case "lag":
            site.lag = number
        case "failover":
            site.state = PoolMoves(pool="mig")
        case "vanish":
            del site.machines[name]
        case "wait":
            site.step(number)
        case "ready":
            machine.ready = bool(number)
        case (
            "plugin"
        ):  # a broken device plugin offers nothing or less; so does a ConfigMap that was changed
            machine.offers = (None, Geometry(()), Geometry.of({"1g.10gb": 6}))[number]
        case "called back":  # a spot instance, or one that a person deletes
            machine.leaving = bool(number)
        case "uncordon":
            machine.cordoned = False
        case "flicker":  # uncordoned, a pod comes, cordoned again: between two looks
            if machine.cordoned and machine.work_left is None:
                machine.pods += 1
        case "edit":
            machine.relabel(config, steps=2)
        case "unmark":
            machine.mark = None


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(everyday, people), max_size=60))
@example([("want", "n2", 1), ("lag", "n1", 2), ("vanish", "n1", 0), ("wait", "n1", 2)])
def test_no_slice_in_use_is_ever_touched(history: list[tuple[str, str, int]]) -> None:
    site = Site()
    for what, name, number in history:
        happen(site, what, name, number)
        site.step()
        assert not any(m.touched_in_use for m in site.machines.values())
        assert sum(m.mark is not None for m in site.machines.values()) <= 1 or unseen(history)


def unseen(history: list[tuple[str, str, int]]) -> bool:
    """Whether a mark may have been written that nobody knew of: it is found, and ended after the one at hand."""
    happened = {what for what, _, _ in history}
    # A node of the same name that comes back before its loss was seen gets the cordon that was meant for the old one.
    return "failover" in happened or {"lag", "vanish"} <= happened


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 3), st.lists(st.one_of(binding, binding, everyday), max_size=60))
def test_nor_without_the_last_look_while_nobody_uncordons(
    lag: int, history: list[tuple[str, str, int]]
) -> None:
    """The state machine alone is enough, as long as the scheduler hears of a cordon within `settle_s`.

    What is seen is late by the same throughout: if it grew older while a node settles, a pod that the scheduler bound
    in the last of those seconds would not be seen in time. That is what the last look is for.
    """
    site = Site(checked=False, lag=lag, wanted={"n1": THREES, "n2": THREES})
    for what, name, number in history:
        if what != "lag":
            happen(site, what, name, number)
        site.step()
        assert not any(m.touched_in_use for m in site.machines.values())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(everyday, people), max_size=60))
def test_no_pod_is_let_onto_slices_that_are_being_rebuilt(
    history: list[tuple[str, str, int]],
) -> None:
    """As long as the MIG manager is done within its time, whoever set the label."""
    site = Site()
    for what, name, number in history:
        if what != "lag":
            happen(site, what, name, min(number, 50))
        site.step()
        assert not any(m.opened_at_work for m in site.machines.values())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(everyday, people), max_size=40))
def test_in_the_end_every_node_is_given_back(history: list[tuple[str, str, int]]) -> None:
    """Once all is calm again, no node stays cordoned by forescale, but one that a person has to look at."""
    site = Site()
    for what, name, number in history:
        happen(site, what, name, number)
        site.step()
    site.lag, site.manager_steps, site.manager_fails, site.wanted = 0, 2, False, {}
    for machine in site.machines.values():
        machine.work_left = None if machine.work_left is None else min(machine.work_left, 2)
        machine.pods, machine.exporter, machine.ready = 0, True, True
        machine.offers, machine.leaving = None, False
    site.step(200)
    left = [m.name for m in site.machines.values() if m.mark is not None]
    assert left == [] or phase(site) is Phase.STUCK
