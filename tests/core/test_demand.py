"""How far demand may rise until a new replica is there, learned from how it rose before from such a level."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.demand import (
    Growth,
    add_minute,
    highest_rps,
    level_rps,
    set_back,
    steadied_rps,
)

DAY = 1440
LEVELS = (0.5, 0.9, 0.99)


def learned(
    minutes: Iterable[float], *, lead_s: float = 120.0, growth: Growth | None = None
) -> Growth:
    """What a row of minutes teaches, in each of which demand stayed as it was."""
    growth = growth or Growth()
    first = growth.minutes[-1][0] / 60.0 + 1.0 if growth.minutes else 1.0
    for at, rps in enumerate(minutes):
        growth = add_minute(
            growth, minute_s=60.0 * (first + at), mean_rps=rps, highest_rps=rps, lead_s=lead_s
        )
    return growth


def day(of: Callable[[int], float]) -> list[float]:
    return [of(minute) for minute in range(DAY)]


def covers(growth: Growth, level_rps: float, *, chance: float = 0.99) -> float:
    (found,) = highest_rps(growth, level_rps=level_rps, levels=(chance,), lead_s=120.0)
    return found


@pytest.mark.parametrize(
    ("stable_rps", "fast_rps", "variability", "level"),
    [
        pytest.param(100.0, 105.0, 1.0, 100.0, id="ten seconds at 100 vary by 3.2 a second"),
        pytest.param(100.0, 150.0, 1.0, 150.0 - 7.75, id="that is no chance"),
        pytest.param(
            100.0, 150.0, 16.0, 150.0 - 30.98, id="of volleys it may be for the most part"
        ),
        pytest.param(5.0, 6.3, 0.16, 5.0, id="that replicas share a queue steadies no arrivals"),
        pytest.param(100.0, 60.0, 1.0, 100.0, id="a fall shows over the whole window"),
    ],
)
def test_a_rise_shows_at_once_less_what_chance_makes_of_ten_seconds(
    stable_rps: float, fast_rps: float, variability: float, level: float
) -> None:
    found = level_rps(
        stable_rps=stable_rps, fast_rps=fast_rps, fast_window_s=10.0, variability=variability
    )
    assert found == pytest.approx(level, abs=0.01)


def test_before_anything_is_known_a_third_more_within_five_minutes_is_a_tenth_and_twice_that_a_hundredth() -> (
    None
):
    told = highest_rps(Growth(), level_rps=100.0, levels=(0.5, 0.9, 0.99, 0.999, 1.0), lead_s=300.0)
    # Half of the time by nothing, up to 0.67 x 0.3 in nine tenths of it; in logarithms, and bins that are 0.05 wide.
    rises = (0.0, 0.25, 0.3, 0.6, 0.9)
    assert told == pytest.approx(tuple(100.0 * math.exp(rise) for rise in rises), abs=0.1)
    assert highest_rps(Growth(), level_rps=0.0, levels=LEVELS, lead_s=300.0) == (0.0, 0.0, 0.0)


def test_what_alternates_rises_from_its_dip_to_its_peak_and_from_there_no_further() -> None:
    growth = learned(day(lambda minute: 20.0 * (minute % 2)))
    assert covers(growth, 0.0, chance=0.9) == pytest.approx(20.0, rel=0.05)
    # Beyond that a little of what was assumed before anything was known.
    assert covers(growth, 20.0, chance=0.95) == pytest.approx(20.0, rel=0.1)


def test_a_burst_is_expected_from_the_level_that_bursts_come_from() -> None:
    # Five minutes of 80 rps in each hour, else 4.
    growth = learned(day(lambda minute: 80.0 if minute % 60 < 5 else 4.0))
    assert covers(growth, 4.0) == pytest.approx(80.0, rel=0.2)
    assert covers(growth, 80.0) < 100.0


@pytest.mark.parametrize(
    "level",
    [pytest.param(0.05, id="three requests a minute"), pytest.param(500.0, id="a large fleet")],
)
def test_a_rise_is_one_at_any_level(level: float) -> None:
    # It doubles in each fourth minute, for one.
    growth = learned(day(lambda minute: level * (2.0 if minute % 4 == 0 else 1.0)))
    assert covers(growth, level, chance=0.7) == pytest.approx(2.0 * level, rel=0.05)


def test_a_level_that_was_never_seen_rises_as_the_nearest_did() -> None:
    # By a tenth every other minute at 40 rps; by a half at 5 rps.
    often = learned(day(lambda minute: 5.0 * (1.5 if minute % 2 else 1.0)))
    both = learned(day(lambda minute: 40.0 * (1.1 if minute % 2 else 1.0)), growth=often)
    assert covers(both, 60.0, chance=0.85) == pytest.approx(66.0, rel=0.03)
    assert covers(both, 4.0, chance=0.85) == pytest.approx(6.0, rel=0.05)


def test_what_was_not_seen_for_a_day_counts_half() -> None:
    # Ahead of two of nine minutes on the first day, of none on the second: 0.22 / (1 + 2) = 7 %.
    rises = learned(day(lambda minute: 15.0 if minute % 10 == 0 else 10.0))
    later = learned([10.0] * DAY, growth=rises)
    assert covers(rises, 10.0, chance=0.8) > 14.0
    assert covers(later, 10.0, chance=0.9) == 10.0
    assert covers(later, 10.0, chance=0.97) > 14.0


def test_one_surge_after_a_long_absence_is_no_habit() -> None:
    # Two weeks at 40 rps, two at 1, and then a single rise to 120.
    growth = learned([1.0] * (14 * DAY), growth=learned([40.0] * (14 * DAY)))
    back = learned([40.0, 40.0, 40.0, 120.0], growth=growth)
    assert covers(back, 40.0, chance=0.9) < 60.0
    # Nor are a few calm minutes a proof that nothing rises.
    assert covers(learned([40.0] * 10, growth=growth), 40.0) > covers(Growth(), 40.0) * 0.98


def test_a_level_that_was_not_seen_for_years_is_as_good_as_new() -> None:
    growth = learned([40.0] * DAY)
    (known,) = growth.rises
    years = replace(growth, rises=(replace(known, seen=4_000_000),), judged=5_000_000)
    assert covers(years, 40.0) == pytest.approx(covers(Growth(), 40.0))


@pytest.mark.parametrize("level_rps", [1.0 / 60.0, 0.05, 0.15])
def test_a_stray_request_before_a_burst_makes_it_no_larger(level_rps: float) -> None:
    # 20 rps for ten minutes, nothing for ten; and then a request or a few in a minute that has none else.
    growth = learned(day(lambda minute: 20.0 * (minute // 10 % 2)), lead_s=600.0)
    assert covers(growth, 0.0) == pytest.approx(20.0, rel=0.05)
    assert covers(growth, level_rps) < 21.5


def test_after_a_clock_that_was_ahead_minutes_teach_again() -> None:
    """A month ahead it was taken for judged until then, and nothing was learned for a month, restarts included."""
    month = 30 * 1440

    def seen(growth: Growth, minutes: range) -> Growth:
        for minute in minutes:
            at_s = 60.0 * minute
            growth = add_minute(
                growth, minute_s=at_s, mean_rps=10.0, highest_rps=10.0, lead_s=120.0
            )
        return growth

    growth = seen(Growth(), range(60))
    assert growth.judged == 57
    growth = set_back(seen(growth, range(month, month + 10)), 3600.0)
    assert growth.judged == 65
    # Until an origin comes that is later than the moment at which it was set back.
    assert seen(growth, range(60, 90)).judged == 65 + 27


def test_a_gap_teaches_nothing() -> None:
    growth = learned([10.0] * 10)
    after = add_minute(growth, minute_s=36000.0, mean_rps=90.0, highest_rps=90.0, lead_s=120.0)
    assert after.judged == growth.judged == 8
    assert covers(after, 10.0) < 20.0


@given(
    st.lists(st.floats(0.0, 1e4), min_size=1, max_size=60),
    st.floats(0.0, 1e5),
    st.floats(10.0, 1800.0),
)
def test_quantiles_ascend_from_the_present_demand(
    minutes: list[float], level_rps: float, lead_s: float
) -> None:
    growth = learned(minutes, lead_s=lead_s)
    told = highest_rps(growth, level_rps=level_rps, levels=(0.1, *LEVELS, 1.0), lead_s=lead_s)
    assert len(told) == 5
    assert [level_rps, *told] == sorted([level_rps, *told])


def minutes_before(now_s: float, *means: float) -> list[tuple[float, float, float]]:
    """(minute, mean, highest), the last of which ended 20 s ago."""
    return [
        (now_s - 20.0 - 60.0 * (len(means) - place), mean, mean) for place, mean in enumerate(means)
    ]


@pytest.mark.parametrize(
    ("level_rps", "means", "variability", "steady_rps"),
    [
        pytest.param(1.3, (1.0,) * 6, 1.0, 1.027, id="30 requests, give or take 5: no news"),
        pytest.param(1.7, (1.0,) * 6, 1.0, 1.375, id="of 51 a part is"),
        pytest.param(0.7, (1.0,) * 6, 1.0, 0.973, id="fewer by chance"),
        pytest.param(0.4, (1.0,) * 6, 1.0, 0.4, id="fewer indeed"),
        pytest.param(310.0, (300.0,) * 6, 1.0, 306.2, id="of 300 a second 2 % are chance"),
        pytest.param(320.0, (300.0,) * 6, 1.0, 320.0, id="and 7 % are not"),
        pytest.param(303.0, (300.0,) * 6, 1.0, 300.3, id="and 1 % are not"),
        pytest.param(900.0, (800.0,) * 6, 100.0, 809.1, id="tokens come by the hundred"),
        pytest.param(1.0, (), 1.0, 1.0, id="no minute is known"),
        pytest.param(3.0, (1.0, 1.0, 3.0, 3.2), 1.0, 2.58, id="no nearer to what was before"),
        pytest.param(1.3, (1.0,) * 6, 0.1, 1.027, id="arrivals are not steadier for a good balancer"),
        pytest.param(0.0, (0.0,) * 6, 1.0, 0.0, id="nothing comes"),
        pytest.param(0.0, (0.02,) * 6, 1.0, 0.018, id="of one a minute none came now"),
        pytest.param(0.0, (0.1,) * 6, 1.0, 0.042, id="three should have: some of the fall is believed"),
        pytest.param(0.0, (0.2,) * 6, 1.0, 0.0, id="six should have: all of it"),
    ],
)  # fmt: skip
def test_the_present_demand_without_chance(
    level_rps: float, means: tuple[float, ...], variability: float, steady_rps: float
) -> None:
    told = steadied_rps(
        level_rps,
        minutes_before(1e6, *means),
        now_s=1e6,
        window_s=30.0,
        variability=variability,
    )
    assert told == pytest.approx(steady_rps, abs=0.005 * max(0.2, steady_rps))


@pytest.mark.parametrize("since_s", [0.0, 5.0, 30.0, 59.0, 60.0, 69.0])
def test_chance_is_told_apart_in_every_tick_of_a_minute(since_s: float) -> None:
    """Its first tick too, at which the minute before is not taken in yet; else one tick of six would follow chance."""
    told = steadied_rps(
        1.3,
        minutes_before(1e6 - since_s, *(1.0,) * 6),
        now_s=1e6,
        window_s=30.0,
        variability=1.0,
    )
    assert told == pytest.approx(1.027, abs=0.001)


def test_a_climb_is_followed() -> None:
    """Ten requests a second more each minute: averaged with five minutes it would be 25 behind."""
    means = [100.0 + 10.0 * minute for minute in range(10)]
    told = steadied_rps(
        198.0, minutes_before(1e6, *means), now_s=1e6, window_s=30.0, variability=1.0
    )
    assert told == 198.0


@pytest.mark.parametrize(
    "gap_s",
    [
        pytest.param(-120.0, id="the clock was set back"),
        pytest.param(120.0, id="a gap of two minutes"),
    ],
)
def test_minutes_that_do_not_join_the_present_say_nothing(gap_s: float) -> None:
    before = minutes_before(1e6 - gap_s, 1.0, 1.0)
    assert steadied_rps(1.3, before, now_s=1e6, window_s=30.0, variability=1.0) == 1.3
