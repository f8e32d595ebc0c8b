"""Fleets that are imagined: the price that keeps to the error budget is found without a pod being touched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core import rehearsal
from autoscaler.core.outlook import Outlook, Row
from autoscaler.core.price import Choices, choices
from autoscaler.core.rehearsal import PRICES, Fleet, Moment, Rehearsal

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
ALLOWED = 0.01
HOUR_S = 3600.0
MOMENT = Moment(
    now_s=0.0,
    arrived_rps=50.0,
    usual_rps=0.0,
    replica_rps=9.5,
    full_rps=10.0,
    spare_s=1.0,
    starts_s=(60.0, 90.0, 120.0),
    down_s=120.0,
    least=1,
    most=100,
)


def options(level_rps: float, highest_rps: float, chance: float) -> Choices:
    """`level_rps` is there, `highest_rps` comes with a chance."""

    def certain(rps: float) -> Row:
        return Row(levels=LEVELS, values_rps=(rps,) * 6)

    rows = ((1.0 - chance, certain(level_rps)), (chance, certain(highest_rps)))
    return choices(Outlook(level_rps=level_rps, rows=rows), replica_rps=9.5)


def spike_each_hour(hours: int, *, moment: Moment = MOMENT) -> Rehearsal:
    """50 rps, and 150 in the last five minutes of each hour; foreseen ten minutes ahead with a chance of a half."""
    known = rehearsal.begin(6, 0.0)
    for tick in range(1, hours * 360 + 1):
        now_s = 10.0 * tick
        into_s = now_s % HOUR_S
        rate = 150.0 if into_s > 3300.0 else 50.0
        told = options(rate, 150.0, 0.5 if into_s > 2700.0 else 0.001)
        known = rehearsal.advance(
            known, replace(moment, now_s=now_s, arrived_rps=rate), told, allowed_ratio=ALLOWED
        )
    return known


def test_cold_it_begins_dear_and_learns_what_is_enough() -> None:
    assert rehearsal.begin(3, 0.0).price == rehearsal.PRIOR_PRICE
    after = spike_each_hour(24)
    ratios = rehearsal.missed_ratios(after, 0.7 * ALLOWED)
    # Whoever does not provide for it misses a seventh of all requests or so, whoever does misses none: at a price of 1
    # the spike's ten replicas are not worth a chance of a half, at 2 they are.
    assert ratios[0] > 0.13
    assert 1.0 < after.price < 3.0
    assert max(r for p, r in zip(PRICES, ratios, strict=True) if p >= after.price) <= 0.7 * ALLOWED


def test_a_start_up_that_comes_too_late_makes_all_prices_miss_and_none_of_them_dear() -> None:
    # Half an hour to start, foreseen ten minutes ahead: no price helps, so none is paid.
    after = spike_each_hour(24, moment=replace(MOMENT, starts_s=(1800.0,)))
    ratios = rehearsal.missed_ratios(after, 0.7 * ALLOWED)
    assert min(ratios) > 0.1
    assert after.price < 8.0


def test_a_spike_at_night_is_judged_by_the_requests_of_a_usual_day() -> None:
    # Two spikes of five minutes that nobody foresaw, in three quiet hours of a service that has 1,000 rps by day.
    quiet = spike_each_hour(3, moment=replace(MOMENT, starts_s=(1800.0,)))
    told = spike_each_hour(3, moment=replace(MOMENT, starts_s=(1800.0,), usual_rps=1000.0))
    assert told.budgeted > 10 * quiet.budgeted
    assert min(rehearsal.missed_ratios(quiet, 0.007)) > 10 * min(
        rehearsal.missed_ratios(told, 0.007)
    )


def test_time_that_was_not_seen_proves_nothing() -> None:
    known = spike_each_hour(2)
    after = rehearsal.advance(
        known,
        replace(MOMENT, now_s=known.at_s + 600.0, arrived_rps=1000.0),
        options(50.0, 50.0, 0.5),
        allowed_ratio=ALLOWED,
    )
    assert after.seen_s < known.seen_s
    assert after.requests < known.requests
    assert all(b.missed <= a.missed for a, b in zip(known.fleets, after.fleets, strict=True))


@pytest.mark.parametrize(
    ("missed_ratio", "starts_s", "correction"),
    [
        pytest.param(None, 60.0, 1.0, id="not known exactly: nothing is corrected"),
        pytest.param(0.0, 60.0, 1.0, id="none missed and none was imagined to"),
        pytest.param(0.0, 1800.0, 1.0 / 16.0, id="much less than imagined, within bounds"),
        pytest.param(0.5, 60.0, 4.0, id="much more, within bounds"),
    ],
)
def test_exact_measurements_correct_imagination_within_bounds(
    missed_ratio: float | None, starts_s: float, correction: float
) -> None:
    moment = replace(MOMENT, missed_ratio=missed_ratio, starts_s=(starts_s,))
    after = spike_each_hour(6, moment=moment)
    assert rehearsal.correction(after, 0.7 * ALLOWED) == pytest.approx(correction)


@pytest.mark.parametrize(
    ("measured", "missed", "told"),
    [
        pytest.param(
            3000.0, 1000.0, 2986.1, id="as much as the chosen one: about what was measured"
        ),
        pytest.param(3000.0, 250.0, 746.5, id="less: a part in proportion"),
        pytest.param(
            3000.0, 10_000.0, 12_000.0, id="more: so many more, and not three times as many"
        ),
        pytest.param(250.0, 10_000.0, 2552.1, id="less than imagined: a part in proportion"),
        pytest.param(9000.0, 10_000.0, 18_000.0, id="far more than imagined"),
    ],
)
def test_what_missed_beyond_imagination_is_told_of_the_chosen_price(
    measured: float, missed: float, told: float
) -> None:
    """A million requests, of which 1,000 missed in imagination; 7, a tenth of what is aimed at, are added to both."""
    known = Rehearsal(
        fleets=(Fleet(ready=5, missed=missed),) * (len(PRICES) + 1),
        at_s=0.0,
        requests=1e6,
        measured=measured,
        imagined=1000.0,
    )
    ratios = rehearsal.missed_ratios(known, 0.00007)
    assert ratios[0] * 1e6 == pytest.approx(told, rel=0.001)


def test_more_that_missed_than_imagined_makes_a_miss_dearer() -> None:
    usual = spike_each_hour(12)
    worse = spike_each_hour(12, moment=replace(MOMENT, missed_ratio=0.05))
    assert worse.price >= usual.price


def fleet_after(fleet: Fleet, wish: int, *, kept: int = 0, **changes: float) -> Fleet:
    """One tick of 10 s."""
    moment = replace(MOMENT, now_s=10.0, **changes)  # type: ignore[arg-type]
    return rehearsal._step(fleet, moment, wish, kept, counted_s=10.0, fade=1.0)


def test_replicas_that_are_not_ready_go_first_the_latest_of_them_before_the_others() -> None:
    fleet = Fleet(ready=5, coming=((60.0, 2), (90.0, 2)))
    assert fleet_after(fleet, 8).coming == ((60.0, 2), (90.0, 1))
    assert fleet_after(fleet, 6).coming == ((60.0, 1),)
    gone = fleet_after(fleet, 3)
    assert (gone.ready, gone.coming) == (3, ())


def test_each_new_replica_takes_one_of_the_measured_start_ups() -> None:
    started = fleet_after(Fleet(ready=5), 11)
    assert sum(count for _, count in started.coming) == 6
    assert {at_s for at_s, _ in started.coming} == {70.0, 100.0, 130.0}
    assert started.started == 6


def test_a_lower_wish_is_followed_when_it_has_held() -> None:
    fleet = Fleet(ready=8, wished=((-100.0, 8),))
    assert fleet_after(fleet, 6).replicas == 8
    assert fleet_after(replace(fleet, wished=((-120.0, 8),)), 6).replicas == 6


def test_what_is_worth_keeping_is_not_given_back_and_not_started_either() -> None:
    fleet = Fleet(ready=8, wished=((-120.0, 8),))
    assert fleet_after(fleet, 6, kept=7).replicas == 7
    assert fleet_after(fleet, 6, kept=9).replicas == 8


@pytest.mark.parametrize(
    ("ready", "waiting", "missed", "left"),
    [
        pytest.param(6, 0.0, 0.0, 0.0, id="served at once"),
        pytest.param(4, 0.0, 300.0, 100.0, id="late once more than a second's work waits"),
        pytest.param(4, 40.0, 500.0, 140.0, id="late all the time"),
        pytest.param(6, 160.0, 500.0, 60.0, id="while a backlog drains"),
        pytest.param(0, 0.0, 500.0, 500.0, id="nobody there"),
    ],
)
def test_what_misses(ready: int, waiting: float, missed: float, left: float) -> None:
    # 50 a second arrive for 10 s; a replica serves 10 a second, and a second's work may wait.
    after = fleet_after(Fleet(ready=ready, waiting=waiting), max(ready, 1))
    assert after.missed == pytest.approx(missed)
    assert after.waiting == pytest.approx(left)


def test_a_replica_that_came_within_the_tick_counts_from_then_on() -> None:
    after = fleet_after(Fleet(ready=4, coming=((5.0, 2),)), 6)
    # 400 by the four and 100 by the two in half the time: all that came.
    assert (after.ready, after.waiting) == (6, pytest.approx(0.0))


def test_minute_by_minute_a_bad_minute_counts_whole_and_once() -> None:
    # 95 % of a minute's requests: 3 s of it may be late.
    late = Fleet(ready=4)
    first = fleet_after(late, 4, minute_ratio=0.05)
    assert first.missed == pytest.approx(50.0 * 60.0)
    again = rehearsal._step(
        first, replace(MOMENT, now_s=20.0, minute_ratio=0.05), 4, 4, counted_s=10.0, fade=1.0
    )
    assert again.missed == first.missed
    hardly = fleet_after(Fleet(ready=4, waiting=0.0), 4, minute_ratio=0.2)
    assert hardly.missed == 0.0


def test_a_clock_that_steps_back_keeps_what_was_counted() -> None:
    known = spike_each_hour(1)
    after = rehearsal.rebased(known, 100.0)
    assert after.at_s == 100.0
    assert after.requests == known.requests
    assert all(fleet.coming == () and fleet.wished == () for fleet in after.fleets)


def test_fleets_that_share_a_step_are_what_each_would_be_by_itself() -> None:
    shared = alone = rehearsal.begin(6, 0.0)
    for tick in range(1, 721):
        into_s = 10.0 * tick % HOUR_S
        rate = 150.0 if into_s > 3300.0 else 50.0
        told = options(rate, 150.0, 0.5 if into_s > 2700.0 else 0.001)
        moment = replace(MOMENT, now_s=10.0 * tick, arrived_rps=rate)
        shared = rehearsal.advance(shared, moment, told, allowed_ratio=ALLOWED)
        # Copies are no longer one object.
        apart = replace(alone, fleets=tuple(replace(fleet) for fleet in alone.fleets))
        alone = rehearsal.advance(apart, moment, told, allowed_ratio=ALLOWED)
    assert shared == alone
    assert 1 < len({id(fleet) for fleet in shared.fleets}) < len(shared.fleets)
