"""Where a rise that is under way leads: beyond what is usual, at half of its pace, and no further than by half."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.surge import MOST_RATIO, leads_to_rps
from tests.core.story import Story

Minutes = list[tuple[float, float, float]]
# A minute's end, after which the window of half a minute has its middle 60 s behind that of the last whole minute.
NOW_S = 3645.0


def minutes(*means: float, end_s: float = 3600.0) -> Minutes:
    """(minute, mean, highest), the last of which ended at `end_s`."""
    start_s = end_s - 60.0 * len(means)
    return [(start_s + 60.0 * place, mean, mean) for place, mean in enumerate(means)]


def leads_to(
    level_rps: float,
    before: Minutes,
    *,
    now_s: float = NOW_S,
    lead_s: float = 190.0,
    variability: float = 1.0,
) -> float:
    return leads_to_rps(
        level_rps, before, now_s=now_s, lead_s=lead_s, window_s=30.0, variability=variability
    )


STEADY = minutes(*[100.0] * 6)
# By 10 % from minute to minute: 0.14 is one deviation.
NOISY = minutes(*[100.0, 110.0] * 3, 100.0)


@pytest.mark.parametrize(
    ("level_rps", "before", "rps"),
    [
        # 20 % within a minute, e^0.182: half of that pace for 190 s is e^0.289.
        pytest.param(120.0, STEADY, 120.0 * 1.2 ** (0.5 * 190.0 / 60.0), id="a fifth in a minute"),
        pytest.param(140.0, STEADY, 210.0, id="never more than half as much again"),
        pytest.param(105.0, STEADY, 105.0, id="chance moves half a minute of 100 by six"),
        pytest.param(80.0, STEADY, 80.0, id="a fall leads nowhere"),
        pytest.param(120.0, NOISY, 120.0, id="what changes by a tenth all the time"),
        pytest.param(190.0, NOISY, 190.0 * 1.465, id="by 90 %, of which 27 are sure"),
        pytest.param(1.7, minutes(*[1.0] * 6), 1.7, id="51 for 30 in half a minute are few"),
        pytest.param(6.0, minutes(*[1.0] * 6), 9.0, id="six times as many are not"),
        pytest.param(5.0, minutes(*[0.0] * 6), 7.5, id="from nothing"),
    ],
)
def test_a_surge_goes_on(level_rps: float, before: Minutes, rps: float) -> None:
    assert leads_to(level_rps, before) == pytest.approx(rps, rel=0.01)


@pytest.mark.parametrize(
    ("before", "now_s", "told"),
    [
        pytest.param(STEADY, NOW_S, True, id="six minutes and their five changes"),
        pytest.param(STEADY[1:], NOW_S, False, id="four do not tell what is usual"),
        pytest.param([*STEADY[:3], *minutes(*[100.0] * 4)], NOW_S, True, id="enough of them"),
        pytest.param(STEADY, NOW_S + 60.0, True, id="a minute is not taken in yet"),
        pytest.param(STEADY, NOW_S + 120.0, False, id="nothing is known of the last two"),
        pytest.param([], NOW_S, False, id="nothing is known"),
    ],
)
def test_what_the_minutes_before_must_tell(before: Minutes, now_s: float, told: bool) -> None:
    assert (leads_to(120.0, before, now_s=now_s) > 120.0) == told


def test_tokens_come_by_the_hundred_and_are_few_requests() -> None:
    """300 tokens a second in answers of 300 are one request a second; 400 are chance."""
    before = minutes(*[300.0] * 6)
    assert leads_to(400.0, before, variability=300.0) == 400.0
    assert leads_to(400.0, before) > 400.0


@pytest.mark.parametrize(
    ("lead_s", "ratio"), [(14.0, 1.0215), (70.0, 1.112), (240.0, 1.44), (610.0, 1.44)]
)
def test_the_longer_a_replica_takes_the_further_it_leads(lead_s: float, ratio: float) -> None:
    """For four minutes; ten are beyond what one minute's pace tells."""
    assert leads_to(120.0, STEADY, lead_s=lead_s) / 120.0 == pytest.approx(ratio, abs=0.001)


def test_a_step_is_no_pace() -> None:
    """Of 480 after 100 half of a doubling in a minute is believed to go on: for half a minute."""
    assert leads_to(480.0, STEADY, lead_s=30.0) == pytest.approx(480.0 * 2.0**0.25)


rates = st.floats(0.0, 1e6)


@given(rates, st.lists(rates, max_size=31), st.floats(0.0, 3600.0), st.floats(0.0, 1e3))
def test_it_is_never_less_than_now_nor_more_than_half_as_much_again(
    level_rps: float, means: list[float], lead_s: float, variability: float
) -> None:
    found = leads_to(level_rps, minutes(*means), lead_s=lead_s, variability=variability)
    assert level_rps <= found <= MOST_RATIO * level_rps
    assert math.isfinite(found)


def test_a_flash_crowd_is_asked_for_while_it_comes() -> None:
    """From 40 by 18 a minute; a replica takes three and carries 21. From the present alone five would be asked for."""
    story = Story(replicas=4, startup_s=180.0)
    story.run(1800, rate_rps=40.0)
    assert story.decisions[-1].target == 3
    for second in range(10, 130, 10):
        story.run(10, rate_rps=40.0 + 0.3 * second)
    assert story.decisions[-1].target == 7
    (size,) = [step for step in story.decisions[-1].steps if step.stage == "size"]
    assert "(73 now and surging, 109 if that goes on; more comes within 180 s" in size.message
