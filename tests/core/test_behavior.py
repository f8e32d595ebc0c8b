"""HPA's behaviour, by the examples of its documentation and a few of our own."""

from __future__ import annotations

import pytest

from autoscaler.core.behavior import (
    Recommended,
    ScaleEvent,
    down_window_s,
    forget,
    limit_down,
    limit_up,
    remember,
    stabilized,
)
from autoscaler.core.settings import PolicyType, RatePolicy, ScalingRules, SelectPolicy


def rules(
    *policies: tuple[PolicyType, float, float], select: SelectPolicy = SelectPolicy.MAX
) -> ScalingRules:
    return ScalingRules(
        policies=tuple(RatePolicy(type=t, value=v, period_s=p) for t, v, p in policies),
        select_policy=select,
    )


PERCENT, PODS = PolicyType.PERCENT, PolicyType.PODS


@pytest.mark.parametrize(
    ("given", "current", "limit"),
    [
        pytest.param(
            rules((PERCENT, 100.0, 15.0), (PODS, 4.0, 15.0)), 2, 6, id="four pods beat doubling"
        ),
        pytest.param(
            rules((PERCENT, 100.0, 15.0), (PODS, 4.0, 15.0)), 80, 160, id="doubling beats four"
        ),
        pytest.param(rules((PERCENT, 10.0, 60.0)), 2, 3, id="10 % of two still moves one"),
        pytest.param(rules((PERCENT, 10.0, 60.0)), 50, 55, id="50 and 10 % are 55 and not 56"),
        pytest.param(
            rules((PODS, 4.0, 60.0), (PERCENT, 10.0, 60.0), select=SelectPolicy.MIN),
            50,
            54,
            id="Min",
        ),
        pytest.param(rules(select=SelectPolicy.DISABLED), 3, 3, id="Disabled"),
    ],
)
def test_limit_up(given: ScalingRules, current: int, limit: int) -> None:
    assert limit_up(given, (), now_s=1000.0, current=current) == limit


@pytest.mark.parametrize(
    ("given", "current", "limit"),
    [
        pytest.param(
            rules((PODS, 4.0, 60.0), (PERCENT, 10.0, 60.0)), 80, 72, id="documentation: 80, 10 %"
        ),
        pytest.param(
            rules((PODS, 4.0, 60.0), (PERCENT, 10.0, 60.0)),
            37,
            33,
            id="documentation: below 40, 4 pods",
        ),
        pytest.param(
            rules((PERCENT, 50.0, 60.0), (PODS, 1.0, 60.0)), 1, 0, id="the last one may go"
        ),
        pytest.param(rules(select=SelectPolicy.DISABLED), 5, 5, id="Disabled"),
    ],
)
def test_limit_down(given: ScalingRules, current: int, limit: int) -> None:
    assert limit_down(given, (), now_s=1000.0, current=current) == limit


def test_moves_within_the_period_use_up_the_allowance() -> None:
    up = rules((PODS, 4.0, 60.0))
    events: tuple[ScaleEvent, ...] = (
        ScaleEvent(at_s=950.0, change=3),
        ScaleEvent(at_s=900.0, change=9),
    )
    assert limit_up(up, events, now_s=1000.0, current=10) == 11
    down = rules((PODS, 4.0, 60.0))
    events = (ScaleEvent(at_s=950.0, change=-3),)
    assert limit_down(down, events, now_s=1000.0, current=10) == 9


def test_down_takes_the_highest_of_the_window_and_up_the_lowest() -> None:
    past = (Recommended(at_s=100.0, replicas=9), Recommended(at_s=200.0, replicas=4))
    common = {"up_s": 0.0, "down_s": 120.0}
    assert stabilized(past, now_s=210.0, current=10, wanted=3, **common) == 9
    assert stabilized(past, now_s=230.0, current=10, wanted=3, **common) == 4
    assert stabilized(past, now_s=230.0, current=2, wanted=8, **common) == 8
    assert stabilized(past, now_s=230.0, current=2, wanted=8, up_s=60.0, down_s=120.0) == 4


def test_only_what_can_still_count_is_remembered() -> None:
    past = (Recommended(at_s=10.0, replicas=9), Recommended(at_s=20.0, replicas=4))
    now = Recommended(at_s=30.0, replicas=5)
    assert remember(past, now, down_s=120.0, up_s=0.0) == (past[0], now)
    assert remember(past, now, down_s=15.0, up_s=0.0) == (now,)
    assert remember(past, now, down_s=120.0, up_s=60.0) == (*past, now)


@pytest.mark.parametrize(("lead_s", "window_s"), [(4.0, 60.0), (240.0, 80.0), (900.0, 120.0)])
def test_the_down_window_is_a_third_of_the_time_to_ready_from_one_to_two_minutes(
    lead_s: float, window_s: float
) -> None:
    assert down_window_s(ScalingRules(), lead_s=lead_s) == window_s


def test_the_down_window_of_the_sre_holds_whatever_the_time_to_ready() -> None:
    assert down_window_s(ScalingRules(stabilization_window_s=30.0), lead_s=900.0) == 30.0


def test_events_from_a_future_that_a_stepped_clock_undid_are_dropped() -> None:
    events = tuple(ScaleEvent(at_s=at_s, change=1) for at_s in (100.0, 5000.0, 9000.0))
    assert forget(events, 5100.0) == (events[1],)
