"""What may come until a replica is there: quantiles of two forecasts become one distribution."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.demand import Growth, add_minute
from autoscaler.core.outlook import Outlook, Row, look_ahead
from autoscaler.core.types import DemandForecast, WorkloadId

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
NOW_S = 1_000_000.0
ROW = Row(levels=(0.5, 0.9, 0.99), values_rps=(100.0, 140.0, 180.0))


@pytest.mark.parametrize(
    ("rps", "chance"),
    [
        pytest.param(0.0, 1.0, id="nothing is always exceeded"),
        pytest.param(60.0, 0.75, id="below the median on a line that begins at 20"),
        pytest.param(100.0, 0.5, id="the median"),
        pytest.param(120.0, math.sqrt(0.5 * 0.1), id="half-way between two, in logarithms"),
        pytest.param(180.0, 0.01, id="the last"),
        pytest.param(220.0, 0.001, id="beyond it a tenth for each 40, as from 0.9 to 0.99"),
    ],
)
def test_the_chance_that_demand_exceeds(rps: float, chance: float) -> None:
    assert ROW.exceeded_ratio(rps) == pytest.approx(chance)
    assert Outlook(level_rps=0.0, rows=((1.0, ROW),)).exceeded_ratio(rps) == pytest.approx(chance)


def test_what_is_hardly_ever_exceeded() -> None:
    assert ROW.highest_rps(0.0001) == pytest.approx(260.0)


def test_a_forecast_that_is_certain_has_no_tail() -> None:
    row = Row(levels=(0.5, 0.9, 0.99), values_rps=(70.0, 70.0, 70.0))
    assert [row.exceeded_ratio(rps) for rps in (69.9, 70.0, 70.1)] == pytest.approx(
        [1.0, 0.01, 0.0], abs=0.01
    )
    assert row.highest_rps(0.0001) == 70.0


values = st.lists(st.floats(0.0, 1e6), min_size=6, max_size=6).map(sorted).map(tuple)


@given(values, st.floats(0.0, 2e6), st.floats(0.0, 2e6))
def test_more_is_never_exceeded_more_often(
    values_rps: tuple[float, ...], one: float, other: float
) -> None:
    row = Row(levels=LEVELS, values_rps=values_rps)
    low, high = sorted((one, other))
    assert 1.0 >= row.exceeded_ratio(low) >= row.exceeded_ratio(high) - 1e-12 >= -1e-12


def spike(cutoff_s: float = NOW_S, skill: float = 1.0) -> DemandForecast:
    """50 rps for a minute, and 200 in the third minute for certain."""
    return DemandForecast(
        workload=WorkloadId(namespace="team", name="bert"),
        cutoff_s=cutoff_s,
        expires_s=cutoff_s + 300.0,
        horizons_s=(60.0, 180.0),
        quantiles=(0.5, 0.9, 0.99),
        values_rps=((50.0,) * 3, (200.0,) * 3),
        skills=((skill,) * 3,) * 2,
    )


def outlook(forecast: DemandForecast | None, *, lead_s: float, now_s: float = NOW_S) -> Outlook:
    return look_ahead(
        level_rps=50.0, growth=Growth(), forecast=forecast, now_s=now_s, lead_s=lead_s
    )


def test_between_two_horizons_a_spike_is_a_chance_and_not_a_part_of_its_height() -> None:
    assert outlook(spike(), lead_s=30.0).exceeded_ratio(60.0) == pytest.approx(0.0, abs=1e-6)
    # (70 + 30 - 60) / (180 - 60)
    assert outlook(spike(), lead_s=70.0).exceeded_ratio(190.0) == pytest.approx(1 / 3)
    assert outlook(spike(), lead_s=180.0).exceeded_ratio(190.0) == 1.0
    assert outlook(spike(), lead_s=3600.0).exceeded_ratio(190.0) == 1.0


@pytest.mark.parametrize(
    ("lead_s", "chance"),
    [
        pytest.param(30.0, 0.0, id="the middle of the minute, which its mean stands for"),
        pytest.param(45.0, 0.125, id="beyond it demand is on its way to the next"),
        pytest.param(60.0, 0.25, id="at its end"),
    ],
)
def test_within_a_minute_demand_may_climb(lead_s: float, chance: float) -> None:
    # 50 rps in the first minute, on average, and 200 in one of the next two.
    told = outlook(spike(), lead_s=lead_s)
    assert told.exceeded_ratio(190.0) == pytest.approx(chance, abs=1e-6)


def test_the_lead_time_is_counted_from_now_and_the_horizon_from_the_forecast() -> None:
    # Made a minute ago: 70 s from now are 130 s from then.
    late = outlook(spike(), lead_s=70.0, now_s=NOW_S + 60.0)
    fresh = outlook(spike(), lead_s=130.0)
    assert late.exceeded_ratio(190.0) == fresh.exceeded_ratio(190.0)


@pytest.mark.parametrize(
    "forecast",
    [
        pytest.param(None, id="none"),
        pytest.param(spike(skill=0.0), id="without skill"),
        pytest.param(spike(cutoff_s=NOW_S - 400.0), id="expired"),
    ],
)
def test_without_a_forecast_that_counts_it_is_the_naive_one(
    forecast: DemandForecast | None,
) -> None:
    told = outlook(forecast, lead_s=180.0)
    assert told.skill is None
    assert told.exceeded_ratio(190.0) < 1e-3
    # Cold: a rise by a quarter within three minutes is taken to be rare, not impossible.
    assert 0.001 < told.exceeded_ratio(62.5) < 0.1


def test_half_the_skill_that_convinces_moves_half_the_way() -> None:
    told = outlook(spike(skill=0.05), lead_s=180.0)
    median = next(rps for rps in range(400) if told.exceeded_ratio(float(rps)) <= 0.5)
    assert median == pytest.approx(125, abs=3)
    assert told.skill == 0.05


def bursting() -> Growth:
    """A day of 10 rps, with 300 in one minute of every 240."""
    growth = Growth()
    for minute in range(1, 1441):
        rps = 300.0 if minute % 240 == 0 else 10.0
        growth = add_minute(
            growth, minute_s=60.0 * minute, mean_rps=rps, highest_rps=rps, lead_s=60.0
        )
    return growth


def test_a_burst_rarer_than_one_in_a_hundred_is_as_high_as_it_was() -> None:
    told = look_ahead(level_rps=10.0, growth=bursting(), forecast=None, now_s=NOW_S, lead_s=60.0)
    assert told.exceeded_ratio(250.0) == pytest.approx(1 / 240, rel=0.5)
    # A tail that is drawn on from 99 %, where demand rises by nothing, would not show them.
    assert told.exceeded_ratio(330.0) < 1e-3


def test_a_forecast_says_on_its_own_tail_what_is_rarer_than_its_last_quantile() -> None:
    forecast = replace(spike(), values_rps=((50.0, 65.0, 80.0),) * 2)
    told = look_ahead(
        level_rps=50.0, growth=bursting(), forecast=forecast, now_s=NOW_S, lead_s=120.0
    )
    assert told.exceeded_ratio(95.0) == pytest.approx(0.001)
    assert told.exceeded_ratio(110.0) == pytest.approx(0.0001, rel=0.05)


def test_what_is_certain_to_stay_as_it_is_is_not_refuted_by_staying() -> None:
    forecast = replace(spike(), values_rps=((50.0,) * 3,) * 2)
    told = outlook(forecast, lead_s=120.0)
    assert told.skill == 1.0
    assert told.exceeded_ratio(50.1) == 0.0


def high(level_rps: float) -> Outlook:
    """Of a forecast that gives 50 to 80 rps for the next minutes, at a higher demand than that."""
    forecast = replace(spike(), values_rps=((50.0, 65.0, 80.0),) * 2)
    return look_ahead(
        level_rps=level_rps, growth=Growth(), forecast=forecast, now_s=NOW_S, lead_s=120.0
    )


@pytest.mark.parametrize(
    ("level_rps", "skill"),
    [
        pytest.param(60.0, 1.0, id="as was forecast"),
        pytest.param(80.0, 1.0, id="one in a hundred: that happens"),
        # A tenth for each 15 rps, as from 0.9 to 0.99.
        pytest.param(95.0, 0.1, id="one in a thousand: hardly believed any more"),
        pytest.param(140.0, 0.0001, id="out of the question"),
    ],
)
def test_a_forecast_that_the_present_has_outgrown_gives_way_to_the_naive_one(
    level_rps: float, skill: float
) -> None:
    assert high(level_rps).skill == pytest.approx(skill, rel=0.05)


def test_behind_a_crowd_that_nobody_foretold_more_may_come() -> None:
    # 120 rps where 80 were the most: a quarter more within two minutes is about as likely as for anything unknown.
    told = high(120.0)
    naive = look_ahead(level_rps=120.0, growth=Growth(), forecast=None, now_s=NOW_S, lead_s=120.0)
    assert told.exceeded_ratio(150.0) == pytest.approx(naive.exceeded_ratio(150.0), rel=0.02)
    assert told.exceeded_ratio(150.0) > 0.001


@pytest.mark.parametrize(
    ("forecast", "level_rps"),
    [
        pytest.param(None, 75.0, id="no forecast: where the surge leads is certain"),
        pytest.param(spike(skill=0.0), 75.0, id="one without skill"),
        pytest.param(spike(), 50.0, id="one that was certain of more than now"),
        pytest.param(spike(skill=0.05), 62.5, id="one that is trusted by half"),
        pytest.param(
            replace(spike(), values_rps=((40.0, 60.0, 80.0),) * 2),
            63.8,
            id="one that gave 22 % to as much as now",
        ),
        pytest.param(replace(spike(), values_rps=((30.0,) * 3,) * 2), 75.0, id="that knew nothing"),
    ],
)
def test_a_surge_is_certain_as_far_as_no_forecast_knew_of_it(
    forecast: DemandForecast | None, level_rps: float
) -> None:
    """From 50 now to 75."""
    found = look_ahead(
        level_rps=50.0,
        growth=Growth(),
        forecast=forecast,
        now_s=NOW_S,
        lead_s=150.0,
        surge_rps=75.0,
    )
    assert found.level_rps == pytest.approx(level_rps, abs=0.1)
    assert found.surge_rps == (None if level_rps == 50.0 else found.level_rps)
