"""The day before, gone through with all prices: what less will do is believed, and what asks for more is not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from autoscaler.core import rehearsal, retrospect
from autoscaler.core.outlook import Outlook, Row
from autoscaler.core.price import Choices, choices
from autoscaler.core.rehearsal import Fleet, Moment, Rehearsal
from autoscaler.core.retrospect import Past

DAY_S = 86400.0
ALLOWED = 0.01
MOMENT = Moment(
    now_s=DAY_S,
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


def live(seen_s: float = 600.0, *, looked_back: bool = False) -> Rehearsal:
    """What was rehearsed in the time since forescale came."""
    return Rehearsal(
        fleets=(Fleet(ready=6),) * (len(rehearsal.PRICES) + 1),
        at_s=DAY_S,
        seen_s=seen_s,
        measured=7.0,
        imagined=3.0,
        looked_back=looked_back,
    )


def might_double(rps: float) -> Choices:
    """Twice as much comes with a chance of 2 %, as far as anybody knows."""

    def certain(value: float) -> Row:
        return Row(levels=(0.5, 0.9, 0.99), values_rps=(value,) * 3)

    rows = ((0.98, certain(rps)), (0.02, certain(2.0 * rps)))
    return choices(Outlook(level_rps=rps, rows=rows), replica_rps=9.5)


def past(*minutes_rps: float) -> Past:
    """Minutes up to the moment."""
    first_s = MOMENT.now_s - 60.0 * len(minutes_rps)
    return Past(first_s=first_s, minutes_rps=minutes_rps, options_at=might_double)


def looked_back(told: Past, known: Rehearsal | None = None) -> Rehearsal:
    return retrospect.looked_back(known or live(), told, MOMENT, allowed_ratio=ALLOWED)


def test_after_a_day_that_asked_for_nothing_a_replica_is_cheap() -> None:
    after = looked_back(past(*[50.0] * 1440))
    # 0.0625 was enough for a day, and weighs 84 %: 8^0.16 x 0.0625^0.84.
    assert after.price == pytest.approx(0.137, abs=0.001)
    assert after.seen_s == pytest.approx(54_600.0, rel=0.01)
    assert after.looked_back


def test_what_was_measured_live_is_kept() -> None:
    after = looked_back(past(*[50.0] * 1440))
    assert (after.measured, after.imagined) == (7.0, 3.0)


def test_a_day_that_asks_for_a_higher_price_than_is_supposed_without_it_teaches_none() -> None:
    # Doubles every hour for ten minutes, of which nobody knows more than a chance of 2 %: worth it from a price of 25
    # on, as replicas come after a minute or two.
    hour = [50.0] * 50 + [100.0] * 10
    assert looked_back(past(*hour * 24)) == replace(live(), looked_back=True)


def test_minutes_that_are_not_known_prove_nothing() -> None:
    nan = math.nan
    after = looked_back(past(*[nan] * 700, *[50.0] * 40, *[nan] * 699, 50.0))
    assert after.seen_s == pytest.approx(2400.0 * math.exp(-42_000.0 / DAY_S), rel=0.02)
    assert looked_back(past(*[nan] * 1440)) == replace(live(), looked_back=True)


def test_a_rate_beyond_all_numbers_is_not_known() -> None:
    assert looked_back(past(*[50.0] * 720, math.inf, *[50.0] * 719)).price < 0.2


def test_a_past_that_is_hardly_longer_than_what_was_seen_is_left_alone() -> None:
    known = live(seen_s=6 * 3600.0)
    assert looked_back(past(*[50.0] * 720), known) == replace(known, looked_back=True)
    assert looked_back(past(*[50.0] * 721), known).seen_s > known.seen_s


@pytest.mark.parametrize(
    ("known", "is_due"),
    [
        (None, False),
        (live(599.0), False),
        (live(600.0), True),
        (live(43_199.0), True),
        (live(43_200.0), False),
        (live(600.0, looked_back=True), False),
    ],
)
def test_when_it_is_due(known: Rehearsal | None, is_due: bool) -> None:
    assert retrospect.due(known) is is_due


def test_a_past_that_is_told_later_is_still_gone_through() -> None:
    told = retrospect.told_anew(live(looked_back=True))
    assert told is not None
    assert retrospect.due(told)
    assert retrospect.told_anew(None) is None
