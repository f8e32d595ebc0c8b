"""What the fleet may do together, whatever each workload wishes."""

from __future__ import annotations

from autoscaler.core.brakes import Wish, apply, correlated_drop
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import FleetBrakes
from autoscaler.core.state import FleetMove, FleetState
from autoscaler.core.types import WorkloadId

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
