"""The comparison of real and simulated servers: what is put beside what, and what is told of it."""

from __future__ import annotations

import pytest

from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.types import BatchTime
from loadtests.load.request_log import Request
from loadtests.validate.compare import (
    Level,
    Seen,
    figures,
    mean_batch,
    seen,
    simulate,
    since_sent,
    where_not,
)

TEN_MS = ServiceTimes(batch_s=(0.01,))


def batches(*counts: int) -> tuple[BatchTime, ...]:
    """Executions of batches of 1, 2, …"""
    return tuple(
        BatchTime(batch_size=size, count=count, total_s=0.01 * count)
        for size, count in enumerate(counts, start=1)
    )


def level(real: Seen, simulated: Seen, **changes: object) -> Level:
    values: dict[str, object] = {
        "setting": "one at a time",
        "load_ratio": 0.6,
        "rate_rps": 50.0,
        "lateness_p99_s": 0.002,
        "failed": 0,
    }
    return Level(real=real, simulated=simulated, **{**values, **changes})  # type: ignore[arg-type]


def test_quantiles_are_of_all_answered_requests() -> None:
    found = seen([i / 1000.0 for i in range(1, 102)], 1.0)
    assert found.latencies_s == pytest.approx((0.051, 0.096, 0.1))
    assert found.requests == 101


def test_both_sides_get_the_times_at_which_the_client_sent() -> None:
    late = Request(due_s=10.0, sent_s=10.5, done_s=10.6, server="a", outcome="ok")
    due = Request(due_s=10.2, sent_s=10.2, done_s=10.4, server="a", outcome="ok")
    latencies, sent_s = since_sent([late, due])
    assert latencies == pytest.approx([0.2, 0.1])
    assert sent_s == pytest.approx([0.0, 0.3])


def test_the_mean_batch_is_of_what_was_executed_in_between() -> None:
    # 10 batches of one and 5 of three since.
    assert mean_batch(batches(110, 7, 5), batches(100, 7)) == pytest.approx(25 / 15)


def test_arrivals_that_never_meet_take_the_service_time_and_the_way() -> None:
    found = simulate([0.0, 1.0, 2.0], TEN_MS, servers=1, overhead_s=0.002)
    assert found.latencies_s == pytest.approx((0.012, 0.012, 0.012))
    assert (found.mean_batch, found.requests) == (1.0, 3)


def test_arrivals_that_meet_wait_or_share_a_batch() -> None:
    alone = simulate([0.0, 0.001, 0.001], TEN_MS, servers=1, overhead_s=0.0)
    assert alone.latencies_s[-1] == pytest.approx(0.029, rel=0.01)
    shared = simulate(
        [0.0, 0.001, 0.001], ServiceTimes(batch_s=(0.01, 0.012)), servers=1, overhead_s=0.0
    )
    assert shared.mean_batch == 1.5
    two = simulate([0.0, 0.001], TEN_MS, servers=2, overhead_s=0.0)
    assert two.latencies_s == pytest.approx((0.01, 0.01, 0.01))


def test_figures_tell_both_sides_and_how_late_the_client_was() -> None:
    told = figures(
        level(
            Seen(latencies_s=(0.05, 0.1, 0.2), mean_batch=2.0, requests=9),
            Seen(latencies_s=(0.049, 0.09, 0.15), mean_batch=2.5, requests=9),
        )
    )
    assert [round(figure.value, 1) for figure in told] == [2.0, 10.0, 25.0, 25.0, 2.0]
    assert told[2].name == "one at a time, 60%: p99 off"
    assert told[2].note == "150.0 for 200.0 ms"
    assert told[4].name == "one at a time, 60%: client late"
    assert [figure.target for figure in told] == [10.0, 10.0, 10.0, 10.0, 5.0]


def test_what_does_not_hold_is_said_and_failed_requests_are_never_hidden() -> None:
    same = Seen(latencies_s=(0.05, 0.1, 0.2), mean_batch=2.0, requests=9)
    assert where_not([level(same, same)]) == []
    off = Seen(latencies_s=(0.05, 0.1, 0.1), mean_batch=2.0, requests=9)
    missed = level(same, off, failed=3, lateness_p99_s=0.04)
    assert where_not([level(same, same), missed]) == [
        "one at a time, 60%: p99 off 50.0 %, client late 40.0 ms"
    ]
    assert "3 requests failed" in figures(missed)[2].note
