"""What observed waits teach about everything that the queueing model can't know."""

from __future__ import annotations

import pytest

from autoscaler.core.queueing import mean_wait_s, steady_batch, utilization_limit
from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.variability import Variability, learn
from autoscaler.core.window import Window

TWO = ServiceTimes(batch_s=(0.052, 0.064))
# 70 % of full batches.
RATE = 0.7 / TWO.work_s


def mean_queue_s(rate: float, factor: float) -> float:
    return sum(mean_wait_s(TWO, rate, factor, batch=steady_batch(TWO, rate)))


def learned(
    *,
    queue_s: float,
    known: float = 1.0,
    requests: float = 1e9,
    miss_ratio: float | None = None,
    rate: float = RATE,
) -> float:
    return learn(
        Variability(value=known),
        TWO,
        [Window(rate=rate, requests=requests, queue_s=queue_s, miss_ratio=miss_ratio)],
        threshold_s=0.3,
        replicas=1,
    ).value


@pytest.mark.parametrize("true", [0.2, 1.0, 3.0])
def test_the_mean_wait_gives_the_factor_back(true: float) -> None:
    assert learned(queue_s=mean_queue_s(RATE, true)) == pytest.approx(true, rel=0.35)


def test_an_empty_queue_is_as_smooth_as_it_gets_and_a_long_one_is_bounded() -> None:
    assert learned(queue_s=0.0) == pytest.approx(0.1, rel=0.01)
    assert learned(queue_s=60.0) == pytest.approx(16.0, rel=0.01)


@pytest.mark.parametrize("load", [0.1, 0.95, 1.2])
def test_loads_at_which_nothing_can_be_told_teach_nothing(load: float) -> None:
    assert learned(queue_s=9.0, rate=load / TWO.work_s) == 1.0


def after(known: Variability, true: float, requests: int, *, replicas: int = 1) -> Variability:
    """So many requests more, a hundred to a window, that wait as at this factor."""
    queue_s = mean_queue_s(RATE, true)
    for _ in range(requests // 100):
        known = learn(
            known,
            TWO,
            [Window(rate=RATE, requests=100.0, queue_s=queue_s)],
            threshold_s=0.3,
            replicas=replicas,
        )
    return known


def test_bursts_are_learned_faster_than_calm() -> None:
    calm = after(Variability(), 1.0, 20_000)
    burst = after(calm, 5.0, 2000)
    assert burst.value == pytest.approx(3.5, abs=0.2)
    assert after(burst, 1.0, 2000).value == pytest.approx(1.8, abs=0.2)
    assert after(burst, 1.0, 20_000).value == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("load", [0.4, 0.6, 0.8])
def test_chance_in_a_window_moves_nothing(load: float) -> None:
    rate = load / TWO.work_s
    mean_s = mean_queue_s(rate, 1.0)
    known = Variability()
    # Windows differ by half of the mean, to both sides.
    for part in (0.5, 1.5) * 100:
        known = learn(
            known,
            TWO,
            [Window(rate=rate, requests=100.0, queue_s=part * mean_s)],
            threshold_s=0.3,
            replicas=1,
        )
    assert known.value == pytest.approx(1.0, abs=0.1)


def test_what_was_known_before_gives_way_to_what_is_seen() -> None:
    imported = Variability(value=4.0)
    assert after(imported, 1.0, 300).value == pytest.approx(2.9, abs=0.2)
    assert after(imported, 1.0, 10_000).value == pytest.approx(1.0, abs=0.1)


def test_misses_of_a_minute_ago_count_for_little_when_the_queue_is_gone() -> None:
    # Half of the requests missed, the summary says, but nobody waits any more.
    calm = mean_queue_s(RATE, 0.3)
    assert learned(queue_s=calm, miss_ratio=0.5) <= 1.3
    assert learned(queue_s=mean_queue_s(RATE, 3.0), miss_ratio=0.5) > 5.0


# 72 ms and 28 ms for each item, to batches of 8. 14.2 a second are half of what full batches carry, and form batches
# of 1.8.
EIGHT = ServiceTimes(batch_s=tuple(0.072 + 0.028 * size for size in range(1, 9)))


@pytest.mark.parametrize(
    ("queue_s", "known", "value"),
    [
        pytest.param(0.061, 1.0, 0.8, id="half a batch, as when requests come at any time"),
        pytest.param(0.090, 1.0, 1.0, id="nearly a whole one, as behind least requests"),
        pytest.param(0.090, 3.0, 1.0, id="whatever was known before"),
        pytest.param(0.130, 1.0, 14.5, id="more than a whole one is full batches ahead"),
        pytest.param(0.040, 1.0, 0.1, id="less than half of one is a balancer that knows better"),
    ],
)
def test_a_wait_that_one_batch_explains_is_no_burstiness(
    queue_s: float, known: float, value: float
) -> None:
    told = learn(
        Variability(value=known),
        EIGHT,
        [Window(rate=14.2, requests=1e9, queue_s=queue_s)],
        threshold_s=1.1,
        replicas=1,
    )
    assert told.value == pytest.approx(value, rel=0.05)


def test_no_request_teaches_nothing() -> None:
    assert learned(queue_s=0.0, requests=0.0) == 1.0


@pytest.mark.parametrize(
    ("value", "shared_by", "replicas", "told"),
    [
        pytest.param(0.3, 2.0, 2, 0.3, id="of as many, as it was learned"),
        pytest.param(0.3, 2.0, 1, 1.0, id="one alone shares with nobody"),
        pytest.param(
            0.25, 4.0, 2, 0.5, id="two of four that are as one queue are as one queue too"
        ),
        pytest.param(0.25, 4.0, 3, 1.0 / 3.0, id="and three"),
        pytest.param(0.55, 4.0, 2, 0.7, id="a balancer that gets 60 % of it"),
        pytest.param(0.25, 2.0, 9, 0.25, id="more were never seen"),
        pytest.param(3.0, 4.0, 1, 3.0, id="bursts are there for any number"),
        pytest.param(0.3, 1.4, 1, 0.3, id="one alone that learned it of even arrivals"),
        pytest.param(
            0.3, 1.0, 0, 0.3, id="none is ready: the one that learned it is gone or asleep"
        ),
        pytest.param(0.3, 2.0, 0, 1.0, id="none is ready: the first will be alone"),
    ],
)
def test_fewer_replicas_save_less_by_sharing(
    value: float, shared_by: float, replicas: int, told: float
) -> None:
    assert Variability(value=value, shared_by=shared_by).of(replicas) == pytest.approx(told)


def test_who_shared_is_remembered_for_as_many_requests_as_bursts_are() -> None:
    four = after(Variability(), 0.3, 10_000, replicas=4)
    assert four.shared_by == pytest.approx(4.0)
    # 4 - 2 x (1 - 1/e)
    assert after(four, 0.3, 2000, replicas=2).shared_by == pytest.approx(2.74, abs=0.01)
    # What a profile or another pod template said goes with the first that is seen.
    assert after(Variability(value=0.3), 0.3, 100, replicas=4).shared_by == 4.0


def served_within(known: Variability, true: float, requests: int, *, busy: float) -> Variability:
    """So many requests more, each replica as busy as this share of what the factor allows for `99% < 300ms`."""
    for _ in range(requests // 100):
        limit = utilization_limit(
            TWO, ratio=0.99, threshold_s=0.3, variability=round(known.value, 1)
        )
        assert limit is not None
        rate = busy * limit / TWO.work_s
        window = Window(rate=rate, requests=100.0, queue_s=mean_queue_s(rate, true))
        known = learn(known, TWO, [window], threshold_s=0.3, replicas=1, ratio=0.99)
    return known


@pytest.mark.parametrize(
    ("true", "busy", "value"),
    [
        pytest.param(1.0, 0.7, 1.0, id="it was wrong"),
        pytest.param(12.8, 0.7, 12.8, id="it is so"),
        pytest.param(4.0, 0.7, 4.6, id="it was too much"),
        pytest.param(1.0, 0.4, 12.8, id="too little load to say so"),
    ],
)
def test_burstiness_that_keeps_replicas_idle_is_not_believed_for_ever(
    true: float, busy: float, value: float
) -> None:
    """12.8 lets them be 13 % busy at most, and below 30 % waits taught nothing: it was never seen that they are 1."""
    known = served_within(Variability(value=12.8), true, 40_000, busy=busy)
    assert known.value == pytest.approx(value, abs=0.1)
