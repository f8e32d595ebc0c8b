"""What the fleet may do together, whatever each workload wishes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from autoscaler.core.brakes import Wish, apply, correlated_drop, settled
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig, FleetBrakes
from autoscaler.core.state import FleetMove, FleetState
from autoscaler.core.types import (
    ActionResult,
    Outcome,
    ReplicaStatus,
    TickInput,
    TickResult,
    WorkloadId,
    WorkloadInput,
)
from autoscaler.engine import DecisionEngine
from tests.core.story import Story, spec

SETTINGS = FleetBrakes()


def wish(name: str, current: int, target: int, *, priority: int = 0, gpus: float = 1.0) -> Wish:
    return Wish(
        workload=WorkloadId(namespace="team", name=name),
        priority=priority,
        current=current,
        target=target,
        gpus_per_replica=gpus,
    )


def braked(
    wishes: list[Wish], fleet_gpus: float, state: FleetState | None = None
) -> dict[str, int]:
    answer = apply(
        wishes,
        state or FleetState(),
        fleet_gpus=fleet_gpus,
        now_s=1000.0,
        settings=SETTINGS,
        drop=None,
    )
    return {key.name: cut[0] for key, cut in answer.cuts.items()}


def test_a_small_fleet_moves_freely() -> None:
    assert braked([wish("a", 4, 1)], 4.0) == {}


def test_thirty_percent_of_a_large_fleet_may_go_in_ten_minutes() -> None:
    assert braked([wish("a", 60, 20), wish("b", 40, 10)], 100.0) == {"a": 30, "b": 40}


def test_priority_goes_first() -> None:
    assert braked([wish("a", 60, 20), wish("b", 40, 10, priority=9)], 100.0) == {"a": 60}


def test_what_went_in_the_window_counts_and_what_went_before_does_not() -> None:
    recent = FleetState(
        moves=(FleetMove(at_s=500.0, gpus=-20.0), FleetMove(at_s=100.0, gpus=-50.0))
    )
    # 80 are left of 100: 30 of 100 may go, 20 went.
    assert braked([wish("a", 80, 40)], 80.0, recent) == {"a": 70}


@pytest.mark.parametrize(
    ("unproven_gpus", "number"),
    [
        pytest.param(
            float("inf"),
            120,
            id="40 and 80 more in ten minutes, and nothing shows that they were needed",
        ),
        pytest.param(80.0, 120, id="none of the 80 is ready"),
        # Twice the 100 that are ready, less the 20 that start.
        pytest.param(20.0, 300, id="60 of them are ready, and all are overloaded"),
        pytest.param(0.0, 350, id="all of them"),
    ],
)
def test_growth_that_is_ready_and_overloaded_is_no_runaway(
    unproven_gpus: float, number: int
) -> None:
    asked = wish("a", 120, 350)
    grown = FleetState(moves=(FleetMove(at_s=900.0, gpus=80.0, workload=asked.workload),))
    cut = braked([replace(asked, unproven_gpus=unproven_gpus)], 120.0, grown)
    assert cut.get("a", 350) == number


def test_a_large_workload_keeps_pace_with_five_times_its_demand() -> None:
    """40 replicas carry 21.5 requests a second each; 163 carry the 3,500 that come. In ten minutes 120 would be let."""
    story = Story(replicas=40, spec=spec(max_replicas=400))
    story.run(600, rate_rps=700)
    story.run(20, rate_rps=3500)
    assert story.replicas == 120
    story.run(60)
    assert story.replicas > 163


def test_replicas_of_eight_gpus_count_as_eight() -> None:
    assert braked([wish("a", 4, 0, gpus=8.0)], 32.0) == {"a": 2}


def test_many_workloads_dropping_together_is_a_hold() -> None:
    drop = correlated_drop([(100.0, 20.0)] * 3 + [(100.0, 100.0)] * 3, SETTINGS)
    assert drop is not None
    answer = apply(
        [wish("a", 8, 4), wish("b", 4, 8)],
        FleetState(),
        fleet_gpus=12.0,
        now_s=1000.0,
        settings=SETTINGS,
        drop=drop,
    )
    (cut,) = answer.cuts.items()
    assert (cut[0].name, cut[1][0], cut[1][1]) == ("a", 8, Reason.CORRELATED_DROP)
    # It lasts as long as the window in which the drop was seen.
    later = apply(
        [wish("a", 8, 4)],
        answer.state,
        fleet_gpus=16.0,
        now_s=1119.0,
        settings=SETTINGS,
        drop=None,
    )
    assert later.cuts
    over = apply(
        [wish("a", 8, 4)], later.state, fleet_gpus=16.0, now_s=1120.0, settings=SETTINGS, drop=None
    )
    assert not over.cuts


def test_a_hold_of_a_clock_that_was_ahead_lasts_no_longer_than_any() -> None:
    state = FleetState(hold_down_until_s=1e9)
    for now_s, held in ((1000.0, True), (1000.0 + SETTINGS.correlated_window_s, False)):
        answer = apply(
            [wish("a", 4, 3)], state, fleet_gpus=4.0, now_s=now_s, settings=SETTINGS, drop=None
        )
        state = answer.state
        assert bool(answer.cuts) == held


def test_few_workloads_or_few_drops_are_no_fault() -> None:
    assert correlated_drop([(100.0, 1.0)] * 4, SETTINGS) is None
    assert correlated_drop([(100.0, 1.0)] * 2 + [(100.0, 100.0)] * 4, SETTINGS) is None
    assert correlated_drop([(0.0, 0.0)] * 20, SETTINGS) is None


def floors(replicas: Mapping[str, tuple[int, int]], now_s: float) -> TickInput:
    """Workloads of which nothing is known, by name: how many run, and how many are to at least."""
    return TickInput(
        now_s=now_s,
        workloads=tuple(
            WorkloadInput(
                spec=spec(name, min_replicas=least),
                replicas=ReplicaStatus(desired=runs),
                pods=(),
                samples=(),
            )
            for name, (runs, least) in sorted(replicas.items())
        ),
    )


def ended(
    engine: DecisionEngine, result: TickResult, outcomes: Mapping[str, Outcome]
) -> dict[str, int]:
    """What was asked for, and ended so."""
    engine.acknowledge(
        tuple(
            ActionResult(action=action, outcome=outcomes[action.workload.name])
            for action in result.plan.actions
        )
    )
    return {action.workload.name: action.replicas for action in result.plan.actions}


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.CONFLICT, Outcome.UNKNOWN])
def test_what_is_refused_in_each_tick_uses_up_nobodys_allowance(outcome: Outcome) -> None:
    """64 GPUs may come to a small fleet in ten minutes. 40 are refused for a minute; then another one needs four."""
    engine = DecisionEngine(EngineConfig())
    for tick in range(6):
        result = engine.tick(floors({"refused": (1, 41), "well": (1, 1)}, 1000.0 + 10.0 * tick))
        assert ended(engine, result, {"refused": outcome}) == {"refused": 41}
    result = engine.tick(floors({"refused": (1, 41), "well": (1, 5)}, 1060.0))
    assert ended(engine, result, {"refused": outcome, "well": Outcome.APPLIED}) == {
        "refused": 41,
        "well": 5,
    }
    told = {m.workload.name: m.gpus for m in engine.snapshot().fleet.moves if m.workload}
    # What may have been made is known by the next tick.
    assert told == ({"refused": 40.0, "well": 4.0} if outcome is Outcome.UNKNOWN else {"well": 4.0})


@pytest.mark.parametrize(
    ("stays", "replicas"),
    [
        pytest.param(True, 10, id="the 80 that may come have come"),
        pytest.param(False, 14, id="they went with their namespace"),
    ],
)
def test_what_leaves_the_fleet_takes_its_moves_along(stays: bool, replicas: int) -> None:
    """What the others may add was used up for ten minutes by workloads that were not there any more."""
    engine = DecisionEngine(EngineConfig())
    new = {f"ci-{index}": (1, 5) for index in range(30)}
    result = engine.tick(floors({**new, "prod": (10, 10)}, 1000.0))
    made = ended(engine, result, dict.fromkeys(new, Outcome.APPLIED))
    assert sum(made.values()) - len(made) == 80
    left = {name: (made.get(name, 1), 5) for name in new} if stays else {}
    result = engine.tick(floors({**left, "prod": (10, 14)}, 1060.0))
    assert {d.workload.name: d.target for d in result.decisions}["prod"] == replicas


def test_what_left_the_fleet_lets_no_more_of_it_go() -> None:
    """Of 200 GPUs 60 may go in ten minutes, not the 100 that came to a namespace that is gone."""
    moves = tuple(
        FleetMove(at_s=940.0, gpus=2.0, workload=WorkloadId(namespace="ci", name=f"w{index}"))
        for index in range(50)
    )
    wished = wish("prod", 200, 100)
    state = settled(FleetState(moves=moves), {wished.workload: 200})
    assert braked([wished], 200.0, state) == {"prod": 140}


def test_a_write_that_was_made_and_not_answered_counts() -> None:
    """An API server that answers too late: 40 of 64 have come, though nobody has said so."""
    engine = DecisionEngine(EngineConfig())
    result = engine.tick(floors({"late": (1, 41)}, 1000.0))
    assert ended(engine, result, {"late": Outcome.UNKNOWN}) == {"late": 41}
    result = engine.tick(floors({"late": (41, 41), "well": (1, 61)}, 1010.0))
    assert ended(engine, result, {"well": Outcome.APPLIED}) == {"well": 25}


def test_what_was_made_counts_though_the_watch_shows_it_late() -> None:
    engine = DecisionEngine(EngineConfig())
    result = engine.tick(floors({"made": (1, 41)}, 1000.0))
    assert ended(engine, result, {"made": Outcome.APPLIED}) == {"made": 41}
    for runs in (1, 41):
        result = engine.tick(floors({"made": (runs, runs), "well": (1, 61)}, 1010.0))
        assert ended(engine, result, {"well": Outcome.REJECTED}) == {"well": 25}
