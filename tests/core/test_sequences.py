"""What an engine shows of its sequences, over some minutes."""

from __future__ import annotations

import pytest

from autoscaler.core.sequences import Sequences, learn
from autoscaler.core.signals import ModelLoad


def load(
    *,
    running: float | None = 20.0,
    pending: float | None = 0.0,
    queue_ratio: float | None = None,
    cache_ratio: float | None = None,
    requests: float = 30.0,
    tokens_each: float = 200.0,
    reading_s: float | None = None,
) -> ModelLoad:
    return ModelLoad(
        model="llama",
        offered_rps=600.0,
        fast_rps=600.0,
        fast_span_s=10.0,
        completed_rps=600.0,
        requests=requests,
        failures=0.0,
        items_per_request=tokens_each,
        mean_batch=running,
        queue_s=None,
        compute_s=0.03,
        overhead_s=reading_s,
        pending=pending,
        misses=None,
        steady=True,
        draining=False,
        tokens=True,
        running=running,
        cache_ratio=cache_ratio,
        queue_ratio=queue_ratio,
    )


@pytest.mark.parametrize(
    ("loads", "known", "full_at"),
    [
        pytest.param([load(running=24.0, pending=3.0, queue_ratio=0.8)], None, 24, id="full"),
        pytest.param([load(running=24.0)], None, None, id="nothing waits"),
        pytest.param(
            [load(running=2.0, pending=1.0, queue_ratio=0.8)], None, None,
            id="2 run and one waits for the next step, where 24 have run",
        ),
        pytest.param(
            [load(running=24.0, pending=1.0, queue_ratio=0.2)], None, None,
            id="one waits, and first tokens hardly do",
        ),
        pytest.param([load(running=20.0, pending=3.0)], None, 20, id="the queue's time is not told"),
        pytest.param([load(running=18.0)], 24, 24, id="remembered while nobody waits"),
        pytest.param([load(running=21.0, pending=3.0)], 24, 24, id="a little below it"),
        pytest.param([load(running=25.0)], 24, None, id="more run: it was not full"),
        pytest.param(
            [load(running=30.0, pending=2.0), load(running=26.0, pending=2.0)], 24, 30,
            id="full at more: one replica is enough",
        ),
        pytest.param([load(running=None, pending=None)], 24, 24, id="nothing is told"),
    ],
)  # fmt: skip
def test_at_how_many_the_batch_is_full(
    loads: list[ModelLoad], known: int | None, full_at: int | None
) -> None:
    assert learn(Sequences(full_at=known), loads, most_seen=24).full_at == full_at


def test_one_long_prompt_moves_the_mean_by_little() -> None:
    shown = Sequences()
    for _ in range(100):
        shown = learn(shown, [load(running=4.0, cache_ratio=0.08)], most_seen=8)
    assert shown.cache_ratio_each == pytest.approx(0.02)
    shown = learn(shown, [load(running=1.0, cache_ratio=0.2)], most_seen=8)
    assert shown.cache_ratio_each == pytest.approx(0.0211, rel=0.01)


def test_answers_that_become_longer_are_half_learned_in_six_minutes_of_ticks() -> None:
    shown = learn(Sequences(), [load(tokens_each=200.0)], most_seen=8)
    for _ in range(200):
        shown = learn(shown, [load(tokens_each=200.0)], most_seen=8)
    for _ in range(34):
        shown = learn(shown, [load(tokens_each=600.0)], most_seen=8)
    assert shown.tokens_each == pytest.approx(400.0, rel=0.02)


def test_where_few_requests_come_more_ticks_count() -> None:
    """One every ten seconds, three in each window: fifty ticks would forget the long answers of half an hour ago."""
    shown = Sequences()
    for tick in range(600):
        shown = learn(
            shown,
            [load(requests=3.0, tokens_each=1000.0 if tick % 300 < 30 else 200.0)],
            most_seen=8,
        )
    assert shown.tokens_each == pytest.approx(280.0, rel=0.15)


def test_one_long_prompt_moves_the_time_to_read_by_little() -> None:
    shown = Sequences()
    for _ in range(100):
        shown = learn(shown, [load(requests=5.0, reading_s=0.1)], most_seen=8)
    assert shown.reading_s_each == pytest.approx(0.1)
    shown = learn(shown, [load(requests=5.0, reading_s=1.0)], most_seen=8)
    assert shown.reading_s_each == pytest.approx(0.109, rel=0.01)


@pytest.mark.parametrize(
    ("running", "ticks", "uneven_ratio"),
    [
        pytest.param([8.0, 12.0, 10.0, 10.0], 0, 1.0, id="nothing seen: as by chance"),
        pytest.param([8.0, 12.0, 10.0, 10.0], 100, 0.36, id="a quarter of chance, and what was supposed"),
        pytest.param([10.0, 10.0, 10.0, 10.0], 100, 0.13, id="always the same"),
        pytest.param([2.0, 18.0, 10.0, 10.0], 100, 1.0, id="more than chance: skew is learned apart"),
        pytest.param([20.0], 100, 1.0, id="one replica"),
        pytest.param([0.0, 1.0, 0.0, 1.0], 100, 1.0, id="hardly anything runs"),
    ],
)  # fmt: skip
def test_how_evenly_a_balancer_spreads(
    running: list[float], ticks: int, uneven_ratio: float
) -> None:
    loads, shown = [load(running=item) for item in running], Sequences()
    for _ in range(ticks):
        shown = learn(shown, loads, most_seen=8, calm=loads)
    assert shown.uneven_ratio == pytest.approx(uneven_ratio, abs=0.01)


def test_pods_that_are_not_calm_say_nothing_of_the_balancer() -> None:
    loads = [load(running=item) for item in (2.0, 20.0)]
    shown = learn(Sequences(), loads, most_seen=8)
    assert (shown.differences, shown.free) == (0.0, 0.0)


def test_what_is_not_told_changes_nothing() -> None:
    shown = learn(Sequences(), [load(cache_ratio=0.4)], most_seen=8)
    for silent in (
        load(running=None, requests=0.0),
        load(running=0.0, cache_ratio=0.0, requests=0.0),
    ):
        assert learn(shown, [silent], most_seen=8) == shown
