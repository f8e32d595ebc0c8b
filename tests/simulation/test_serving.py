"""Stories of a few requests, worked out by hand."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from autoscaler.simulation.serving import (
    BatchStatistics,
    Routing,
    ServerCounters,
    ServingModel,
    ServingPool,
    Status,
)

ONE_BY_ONE = ServingModel(max_batch_size=1, batch_service_s=(1.0,))
UP_TO_FOUR = ServingModel(max_batch_size=4, batch_service_s=(1.0, 1.2, 1.4, 1.6))


def pool_of(
    model: ServingModel,
    arrivals_s: ArrayLike,
    servers: int = 1,
    routing: Routing = Routing.ROUND_ROBIN,
    **options: Any,
) -> ServingPool:
    pool = ServingPool(model, arrivals_s, routing, **options)
    for _ in range(servers):
        pool.add_server(0.0)
    return pool


def latencies(pool: ServingPool) -> list[float]:
    return [float(latency_s) for latency_s in pool.latencies_s]


def about(value: float) -> Any:
    return pytest.approx(value)


def test_importing_the_module_does_not_load_the_compiler() -> None:
    code = "import sys; import autoscaler.simulation.serving; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestBatches:
    def test_a_free_instance_takes_all_that_waits_up_to_the_maximum(self) -> None:
        pool = pool_of(UP_TO_FOUR, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
        pool.run_until(10.0)
        # 0-1.0 the first alone, 1.0-2.6 the next four, 2.6-3.6 the last alone
        assert latencies(pool) == pytest.approx([1.0, 2.5, 2.4, 2.3, 2.2, 3.1])
        assert pool.status.tolist() == [Status.DONE] * 6
        assert pool.batch_statistics(0) == (
            BatchStatistics(batch_size=1, exec_count=2, compute_infer_s=about(2.0)),
            BatchStatistics(batch_size=4, exec_count=1, compute_infer_s=about(1.6)),
        )

    def test_two_instances_share_one_queue(self) -> None:
        model = ServingModel(max_batch_size=1, instances=2, batch_service_s=(1.0,))
        pool = pool_of(model, [0.0, 0.2, 0.4])
        pool.run_until(10.0)
        assert latencies(pool) == pytest.approx([1.0, 1.0, 1.6])
        counters = pool.counters(0)
        assert counters.busy_s == pytest.approx(2.0)  # 0 to 2.0 without a gap
        assert counters.instance_busy_s == pytest.approx(1.5)

    def test_an_arrival_at_the_instant_of_a_completion_finds_the_instance_free(self) -> None:
        pool = pool_of(ONE_BY_ONE, [0.0, 1.0])
        pool.run_until(1.0)
        assert pool.counters(0).pending == 0
        pool.run_until(2.0)
        assert latencies(pool) == [1.0, 1.0]

    def test_items_fill_a_batch_and_requests_are_not_split(self) -> None:
        pool = pool_of(UP_TO_FOUR, [0.0, 0.1, 0.2, 0.3], request_items=[3, 3, 1, 2])
        pool.run_until(10.0)
        # 0-1.4 three items; 1.4-3.0 three and one; 3.0-4.2 two
        assert latencies(pool) == pytest.approx([1.4, 2.9, 2.8, 3.9])
        counters = pool.counters(0)
        assert (counters.request_success, counters.inference_count) == (4, 9)
        assert counters.exec_count == 3

    def test_a_slow_server_takes_its_factor_longer(self) -> None:
        pool = ServingPool(ONE_BY_ONE, [0.0])
        pool.add_server(0.0, slowdown_ratio=1.5)
        pool.run_until(2.0)
        assert latencies(pool) == [1.5]

    def test_a_slow_server_may_take_another_factor_for_each_batch_size(self) -> None:
        pool = ServingPool(UP_TO_FOUR, [0.0, 0.1, 0.1])
        pool.add_server(0.0, slowdown_ratio=(2.0, 3.0, 1.0, 1.0))
        pool.run_until(10.0)
        # One takes 1.0 s twice over, then two 1.2 s three times over.
        assert latencies(pool) == pytest.approx([2.0, 5.5, 5.5])


class TestQueueDelay:
    MODEL = ServingModel(max_batch_size=3, batch_service_s=(1.0,) * 3, max_queue_delay_s=0.5)

    @pytest.mark.parametrize(
        ("arrivals_s", "expected_s"),
        [
            pytest.param([0.0, 0.3], [1.5, 1.2], id="the oldest has waited"),
            pytest.param([0.0, 0.1, 0.2], [1.2, 1.1, 1.0], id="full before that"),
            pytest.param([0.0, 0.1, 0.2, 0.5], [1.2, 1.1, 1.0, 1.7], id="waited while it ran"),
            pytest.param([0.0, 0.1, 0.2, 1.0], [1.2, 1.1, 1.0, 1.5], id="waits on after it ran"),
            pytest.param([0.0, 0.5], [1.5, 2.0], id="too late by the fixed order of events"),
        ],
    )
    def test_a_batch_waits_until_full_or_due(
        self, arrivals_s: list[float], expected_s: list[float]
    ) -> None:
        pool = pool_of(self.MODEL, arrivals_s)
        pool.run_until(10.0)
        assert latencies(pool) == pytest.approx(expected_s)

    @pytest.mark.parametrize(
        ("batch_s", "arrivals_s", "expected_s"),
        [
            pytest.param(
                1.0, [0.0, 0.6, 1.2, 1.4], [1.5, 1.9, 2.3, 2.1], id="two come after it is closed"
            ),
            pytest.param(
                1.0,
                [0.0, 0.6, 1.2, 1.4, 1.45],
                [1.5, 1.9, 1.3, 1.1, 2.05],
                id="three that wait fill it, as far as there is room",
            ),
            pytest.param(
                2.0,
                [0.0, 0.6, 1.2, 3.0, 3.5],
                [2.5, 3.9, 5.3, 3.5, 5.0],
                id="of what had waited at the start of another, and the first to come after it",
            ),
        ],
    )
    def test_a_batch_is_closed_while_the_instance_is_busy(
        self, batch_s: float, arrivals_s: list[float], expected_s: list[float]
    ) -> None:
        model = dataclasses.replace(self.MODEL, batch_service_s=(batch_s,) * 3)
        pool = pool_of(model, arrivals_s)
        pool.run_until(20.0)
        assert latencies(pool) == pytest.approx(expected_s)

    def test_waiting_is_queue_time_and_the_instance_is_idle(self) -> None:
        pool = pool_of(self.MODEL, [0.0, 0.3])
        pool.run_until(0.4)
        assert (pool.counters(0).pending, pool.counters(0).busy_s) == (2, 0.0)
        pool.run_until(2.0)
        assert pool.counters(0).queue_duration_us == 700_000


class TestCounters:
    def test_they_are_what_triton_would_show_at_each_instant(self) -> None:
        pool = pool_of(UP_TO_FOUR, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
        pool.run_until(2.0)
        assert pool.counters(0) == ServerCounters(
            request_success=1,
            request_failure=0,
            inference_count=1,
            exec_count=1,
            request_duration_us=1_000_000,
            queue_duration_us=0,
            compute_infer_duration_us=1_000_000,
            pending=1,
            outstanding=5,
            busy_s=2.0,
            instance_busy_s=2.0,
        )
        pool.run_until(2.6)
        assert pool.counters(0) == ServerCounters(
            request_success=5,
            request_failure=0,
            inference_count=5,
            exec_count=2,
            request_duration_us=10_400_000,  # 1.0 + 2.5 + 2.4 + 2.3 + 2.2
            queue_duration_us=3_000_000,  # 0.9 + 0.8 + 0.7 + 0.6
            compute_infer_duration_us=7_400_000,  # 1.0 + four times 1.6
            pending=0,
            outstanding=1,
            busy_s=about(2.6),
            instance_busy_s=about(2.6),
        )

    def test_idle_time_is_not_busy(self) -> None:
        pool = pool_of(ONE_BY_ONE, [0.0, 5.0])
        pool.run_until(5.25)
        assert pool.counters(0).busy_s == pytest.approx(1.25)
        pool.run_until(9.0)
        assert pool.counters(0).busy_s == pytest.approx(2.0)

    def test_quantiles_cover_the_last_minute_only(self) -> None:
        model = ServingModel(max_batch_size=1, batch_service_s=(10.0,))
        pool = pool_of(model, [0.0, 1.0, 2.0, 100.0])
        assert pool.latency_quantiles_us(0, (0.5,)) == (None,)
        pool.run_until(30.0)  # finished at 10, 20 and 30, after 10, 19 and 28 s
        assert pool.latency_quantiles_us(0, (0.3, 0.5, 0.99)) == (10e6, 19e6, 28e6)
        pool.run_until(75.0)  # what finished at 10 is 65 s old
        assert pool.latency_quantiles_us(0, (0.5, 0.51)) == (19e6, 28e6)
        pool.run_until(95.0)
        assert pool.latency_quantiles_us(0, (0.5,)) == (None,)
        pool.run_until(110.0)
        assert pool.latency_quantiles_us(0, (0.5,)) == (10e6,)

    def test_nearest_rank_is_not_spoilt_by_rounding(self) -> None:
        model = ServingModel(max_batch_size=1, batch_service_s=(0.25,))
        pool = pool_of(model, np.zeros(100))
        pool.run_until(25.0)
        assert pool.latency_quantiles_us(0, (0.55,)) == (55 * 0.25e6,)


class TestRouting:
    @pytest.mark.parametrize(
        ("routing", "expected"),
        [
            # Of two servers: after three arrivals 0 has two requests and 1 has one; at 1.05 one and two.
            (Routing.ROUND_ROBIN, [0, 1, 0, 1, 0, 1]),
            (Routing.LEAST_OUTSTANDING, [0, 1, 0, 1, 0, 1]),
        ],
    )
    def test_rotation_breaks_ties(self, routing: Routing, expected: list[int]) -> None:
        pool = pool_of(ONE_BY_ONE, [0.0, 0.1, 0.2, 0.3, 1.05, 1.06], 2, routing)
        pool.run_until(20.0)
        assert pool.server_of.tolist() == expected

    def test_least_outstanding_avoids_the_slow_server(self) -> None:
        pool = ServingPool(ONE_BY_ONE, [0.0, 0.1, 1.2, 2.4, 3.6], Routing.LEAST_OUTSTANDING)
        pool.add_server(0.0, slowdown_ratio=10.0)
        pool.add_server(0.0)
        pool.run_until(20.0)
        assert pool.server_of.tolist() == [0, 1, 1, 1, 1]

    def test_of_two_servers_two_choices_takes_the_less_loaded(self) -> None:
        pool = pool_of(ONE_BY_ONE, np.zeros(100), 2, Routing.TWO_CHOICES)
        pool.run_until(0.0)
        assert [pool.outstanding(0), pool.outstanding(1)] == [50, 50]

    def test_two_choices_never_takes_the_most_loaded_of_three(self) -> None:
        pool = ServingPool(ONE_BY_ONE, np.arange(1, 51) * 0.001, Routing.TWO_CHOICES)
        for slowdown_ratio in (1e6, 1e-6, 1e-6):
            pool.add_server(0.0, slowdown_ratio=slowdown_ratio)
        pool.run_until(1.0)
        assert pool.outstanding(0) <= 1
        assert {1, 2} <= set(pool.server_of.tolist())

    def test_random_is_even_in_the_long_run(self) -> None:
        pool = pool_of(ONE_BY_ONE, np.zeros(40_000), 4, Routing.RANDOM, seed=3)
        pool.run_until(0.0)
        # 10,000 each, standard deviation 87
        assert np.bincount(pool.server_of) == pytest.approx([10_000] * 4, abs=350)

    def test_a_connection_stays_until_its_server_stops(self) -> None:
        pool = pool_of(
            ONE_BY_ONE,
            [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            2,
            Routing.PINNED,
            connection_of=[7, 7, 3, 7, 3, 7, 3],
        )
        pool.add_server(2.5)  # no connection moves to it by itself
        pool.run_until(4.5)
        pool.stop_server(0, 4.5)
        pool.run_until(9.0)
        # Connection 7 opens at 0, 3 at 1; when 0 stops, 7 opens at the next in rotation.
        assert pool.server_of.tolist() == [0, 0, 1, 0, 1, 2, 1]

    def test_connections_that_live_briefly_spread_over_a_new_server(self) -> None:
        arrivals_s = np.arange(2000) * 0.01
        shares = []
        for life_s in (None, 0.5):
            pool = pool_of(ONE_BY_ONE, arrivals_s, 1, Routing.PINNED, connection_life_s=life_s)
            pool.run_until(5.0)
            pool.add_server(5.0)
            pool.run_until(30.0)
            shares.append(np.mean(pool.server_of[1000:] == 1))
        assert shares[0] == 0.0
        assert shares[1] == pytest.approx(0.5, abs=0.1)


class TestServersComeAndGo:
    def test_a_stopped_server_drains_and_gets_nothing_more(self) -> None:
        pool = pool_of(ONE_BY_ONE, [0.0, 0.1, 0.2, 0.3, 0.5, 0.6], 2)
        pool.stop_server(0, 0.5)
        pool.run_until(0.5)
        assert pool.server_of[:5].tolist() == [0, 1, 0, 1, 1]  # the one at 0.5 goes to 1 already
        assert (pool.outstanding(0), pool.drained(0)) == (2, False)
        pool.run_until(2.0)
        assert (pool.outstanding(0), pool.drained(0)) == (0, True)
        pool.run_until(9.0)
        assert latencies(pool) == pytest.approx([1.0, 1.0, 1.8, 1.8, 2.6, 3.5])
        assert not pool.drained(1)

    def test_a_server_takes_traffic_from_its_ready_time_on(self) -> None:
        pool = pool_of(ONE_BY_ONE, [0.0, 1.0, 2.0])
        pool.add_server(1.0)
        pool.run_until(9.0)
        assert pool.server_of.tolist() == [0, 1, 0]

    def test_requests_wait_for_the_first_server(self) -> None:
        pool = ServingPool(ONE_BY_ONE, [1.0, 2.0])
        pool.run_until(4.0)
        assert (pool.held, pool.arrived) == (2, 2)
        pool.add_server(5.0)
        pool.run_until(9.0)
        assert latencies(pool) == [5.0, 5.0]  # served 5 to 6 and 6 to 7
        counters = pool.counters(0)
        assert counters.request_duration_us == 3_000_000  # the server has known them for 1 and 2 s
        assert counters.queue_duration_us == 1_000_000
        assert pool.latency_quantiles_us(0, (0.5, 1.0)) == (1e6, 2e6)

    def test_two_servers_that_come_together_share_what_waited(self) -> None:
        pool = ServingPool(ONE_BY_ONE, [1.0, 2.0])
        pool.add_server(5.0)
        pool.add_server(5.0)
        pool.run_until(9.0)
        assert pool.server_of.tolist() == [0, 1]

    def test_requests_that_wait_too_long_fail(self) -> None:
        pool = ServingPool(ONE_BY_ONE, [1.0, 2.0, 3.0], hold_timeout_s=3.0)
        pool.add_server(5.0)
        pool.run_until(9.0)
        # The first gives up at 4.0; the second would at 5.0, when the server is there.
        assert pool.status.tolist() == [Status.TIMED_OUT, Status.DONE, Status.DONE]
        assert latencies(pool)[1:] == [4.0, 4.0]
        assert np.isnan(pool.latencies_s[0])
        assert pool.server_of[0] == -1

    def test_a_full_queue_rejects(self) -> None:
        model = ServingModel(max_batch_size=1, batch_service_s=(1.0,), max_queue_size=1)
        pool = pool_of(model, [0.0, 0.1, 0.2, 1.5])
        pool.run_until(9.0)
        assert pool.status.tolist() == [Status.DONE, Status.DONE, Status.REJECTED, Status.DONE]
        assert (pool.counters(0).request_success, pool.counters(0).request_failure) == (3, 1)

    def test_a_server_that_fails_takes_its_requests_along(self) -> None:
        pool = pool_of(UP_TO_FOUR, [0.0, 0.1, 0.2, 0.6, 0.7], 2)
        pool.run_until(0.5)
        pool.fail_server(0)
        pool.run_until(9.0)
        failed, done = Status.FAILED, Status.DONE
        assert pool.status.tolist() == [failed, done, failed, done, done]
        assert pool.counters(0).request_failure == 2
        assert pool.counters(0).busy_s == pytest.approx(0.5)
        assert pool.drained(0)
        assert pool.server_of[3:].tolist() == [1, 1]

    def test_a_stop_to_come_may_be_moved_and_a_past_one_not(self) -> None:
        pool = pool_of(ONE_BY_ONE, [0.0, 1.0, 2.0], 2)
        pool.stop_server(1, 1.0)
        pool.stop_server(1, 2.0)
        pool.run_until(2.0)
        assert pool.server_of.tolist() == [0, 1, 0]
        with pytest.raises(ValueError, match=r"stop_server: server 1, it stopped at 2.0 s"):
            pool.stop_server(1, 3.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_batch_size": 0}, "max_batch_size: 0, 1 to 255"),
        ({"instances": 0}, "instances: 0, at least 1"),
        ({"batch_service_s": (1.0, 2.0)}, "batch_service_s: "),
        ({"batch_service_s": (0.0,)}, "batch_service_s: "),
        ({"max_queue_delay_s": -0.1}, "max_queue_delay_s: -0.1, 0 or more"),
        ({"service_cv": float("nan")}, "service_cv: nan"),
        ({"max_queue_size": 0}, "max_queue_size: 0, at least 1"),
    ],
)
def test_a_model_that_can_not_be_is_refused(settings: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"max_batch_size": 1, "batch_service_s": (1.0,)}
    with pytest.raises(ValueError, match=message):
        ServingModel(**(given | settings))


@pytest.mark.parametrize(
    ("arrivals_s", "options", "message"),
    [
        ([1.0, 0.5], {}, "arrivals_s: a step back"),
        ([float("nan")], {}, "arrivals_s: NaN or infinity"),
        ([-1.0], {}, "arrivals_s: first at -1.0 s"),
        ([[1.0]], {}, "arrivals_s: 2 dimensions"),
        ([1.0], {"request_items": [5]}, "request_items: a request that fits no batch, 1 to 4"),
        ([1.0], {"request_items": [1, 1]}, r"request_items: shape \(2,\)"),
        ([1.0], {"connection_of": [-1]}, "connection_of: -1, 0 or more"),
        ([1.0], {"max_servers": 0}, "max_servers: 0"),
        ([1.0], {"hold_timeout_s": 0.0}, "hold_timeout_s: 0.0, more than 0"),
    ],
)
def test_a_pool_that_can_not_be_is_refused(
    arrivals_s: list[float], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ServingPool(UP_TO_FOUR, arrivals_s, **options)


def test_time_does_not_go_back_and_servers_are_bounded() -> None:
    pool = ServingPool(ONE_BY_ONE, [], max_servers=1)
    pool.run_until(5.0)
    for change in (lambda: pool.run_until(4.0), lambda: pool.add_server(4.0)):
        with pytest.raises(ValueError, match=r"not before 5.0 s"):
            change()
    with pytest.raises(ValueError, match="t_s: inf"):
        pool.run_until(float("inf"))
    pool.add_server(5.0)
    with pytest.raises(ValueError, match="max_servers is 1"):
        pool.add_server(5.0)
    with pytest.raises(ValueError, match="server: 1, one of the 1 added"):
        pool.counters(1)
    with pytest.raises(ValueError, match="read-only"):
        pool.latencies_s[...] = 0.0


# ---------------------------------------------------------------- many servers at once, and one after the other


def busy_pool() -> ServingPool:
    due = np.sort(np.random.default_rng(5).uniform(0.0, 100.0, 900))
    pool = ServingPool(ServingModel(max_batch_size=1, batch_service_s=(0.2,)), due, max_servers=3)
    for _ in range(3):
        pool.add_server(0.0)
    pool.run_until(60.03)
    return pool


def test_a_scrape_of_several_servers_shows_what_each_would() -> None:
    pool = busy_pool()
    scrape = pool.scrape((2, 0))
    for place, server in enumerate((2, 0)):
        alone = pool.counters(server)
        assert scrape.success[place] == alone.request_success
        assert scrape.pending[place] == alone.pending
        assert scrape.outstanding[place] == alone.outstanding
        assert scrape.busy_s[place] == pytest.approx(alone.busy_s)
        assert scrape.queue_s[place] * 1e6 == pytest.approx(alone.queue_duration_us, abs=1.0)
    summaries = pool.summaries_s((2, 0))
    assert [value * 1e6 for value in summaries[1].tolist()] == list(pool.latency_quantiles_us(0))


def test_the_pooled_summary_is_over_the_requests_of_all() -> None:
    pool = busy_pool()
    finish_s = pool.arrivals_s + pool.latencies_s
    recent = np.sort(np.asarray(pool.latencies_s)[(finish_s > 0.03) & ~np.isnan(finish_s)])
    (row,) = pool.summaries_s((0, 1, 2), (0.9,), pooled=True).tolist()
    assert row[0] == pytest.approx(float(recent[int(np.ceil(0.9 * recent.size)) - 1]))


def test_request_seconds_are_the_integral_of_what_is_in_a_server() -> None:
    pool = busy_pool()
    in_system_s = np.minimum(pool.arrivals_s + np.asarray(pool.latencies_s), 60.03)
    in_system_s = np.where(np.isnan(in_system_s), 60.03, in_system_s)
    arrived = pool.arrivals_s <= 60.03
    expected = (in_system_s - pool.arrivals_s)[arrived].sum()
    assert pool.scrape((0, 1, 2)).ongoing_s.sum() == pytest.approx(expected, rel=1e-4)


def test_a_retired_servers_place_is_given_again() -> None:
    pool = busy_pool()
    busy = next(server for server in range(3) if pool.outstanding(server) > 0)
    pool.stop_server(busy, 60.03)
    with pytest.raises(ValueError, match="one that has drained"):
        pool.retire_server(busy)
    pool.run_until(80.0)
    pool.retire_server(busy)
    with pytest.raises(ValueError, match="each once"):
        pool.retire_server(busy)
    pool.run_until(85.0)
    assert pool.add_server(86.0) == busy
    assert pool.servers == 3
    assert pool.counters(busy).request_success == 0
    pool.run_until(200.0)
    assert pool.counters(busy).request_success > 20
    assert (pool.status == Status.DONE).all()
