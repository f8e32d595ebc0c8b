"""How long the longest answers are shows in what misses."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest

from autoscaler.core.answer_lengths import KEPT_ANSWERS, AnswerLengths, learn


def longer_ratio(times: float, cv: float) -> float:
    """Of lognormal lengths, which share is above so many times the mean."""
    sigma = math.sqrt(math.log1p(cv * cv))
    return 1.0 - NormalDist(mu=-0.5 * sigma * sigma, sigma=sigma).cdf(math.log(times))


@pytest.mark.parametrize(
    ("ratio", "spread"),
    [
        pytest.param(0.95, 2.0, id="one in twenty has twice the mean"),
        pytest.param(0.99, 2.8, id="one in a hundred 2.8 times"),
        pytest.param(0.5, 0.9, id="the median is below the mean"),
    ],
)
def test_before_any_answer_was_seen(ratio: float, spread: float) -> None:
    assert AnswerLengths().spread(ratio) == pytest.approx(spread, abs=0.05)


@pytest.mark.parametrize(
    ("cv", "times", "spread"),
    [
        pytest.param(1.0, (2.0,), 2.8, id="as long as they differ, at the limit"),
        pytest.param(1.0, (2.0, 4.0), 2.8, id="by day and at night"),
        pytest.param(1.0, (6.0,), 2.7, id="far from the limit"),
        pytest.param(0.5, (2.0, 3.0), 2.0, id="half as much"),
        pytest.param(0.1, (1.7, 2.0), 1.46, id="nearly all the same, and what was supposed"),
    ],
)
def test_the_longest_are_known_from_what_misses(
    cv: float, times: tuple[float, ...], spread: float
) -> None:
    """At 5 answers a second for half an hour; lognormal lengths of cv 1 have their 95 % at 2.8 times the mean."""
    known = AnswerLengths()
    for tick in range(180):
        fits = times[tick * len(times) // 180]
        known = learn(known, [(50.0, longer_ratio(fits, cv), fits)])
    assert known.spread(0.95) == pytest.approx(spread, abs=0.15)


def test_a_few_answers_change_little() -> None:
    """Two of ten are too long, where one in twenty would be, beside a hundred that are supposed."""
    known = learn(AnswerLengths(), [(10.0, 0.2, 2.0)])
    assert known.spread(0.95) == pytest.approx(2.15, abs=0.02)


@pytest.mark.parametrize("times", [0.5, 1.4, 13.0])
def test_what_tells_nothing_of_the_longest_is_left_out(times: float) -> None:
    """Where not even the mean fits most miss, and of what is thirteen times as long none would be seen in a day."""
    assert learn(AnswerLengths(), [(50.0, 0.5, times)]) == AnswerLengths()


def test_what_was_long_ago_fades() -> None:
    known = AnswerLengths()
    for cv in (1.0, 0.3):
        for _ in range(600):
            known = learn(known, [(10.0, longer_ratio(2.0, cv), 2.0)])
    assert sum(count for _, count, _, _ in known.seen) == pytest.approx(KEPT_ANSWERS)
    assert known.spread(0.95) == pytest.approx(1.64, abs=0.05)
