"""What queueing theory knows exactly, and what must hold of every run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from autoscaler.simulation.arrivals import poisson_arrivals
from autoscaler.simulation.serving import Routing, ServingModel, ServingPool, Status

REQUESTS_S = 1_000_000


def arrivals(rate_rps: float, duration_s: int, seed: int = 1) -> NDArray[np.float64]:
    return poisson_arrivals(np.full(duration_s, rate_rps), np.random.default_rng(seed))


def run(
    model: ServingModel,
    arrivals_s: NDArray[np.float64],
    servers: int = 1,
    routing: Routing = Routing.LEAST_OUTSTANDING,
    **options: Any,
) -> ServingPool:
    pool = ServingPool(model, arrivals_s, routing, **options)
    for _ in range(servers):
        pool.add_server(0.0)
    pool.run_until(float(arrivals_s[-1]) + 1000.0)
    assert (pool.status == Status.DONE).all()
    return pool


@pytest.mark.parametrize("utilisation", [0.3, 0.7, 0.9])
@pytest.mark.parametrize(
    "service_cv",
    [
        pytest.param(0.0, id="M/D/1"),
        pytest.param(0.5, id="M/E4/1"),
        pytest.param(1.0, id="M/M/1"),
        pytest.param(1.5, id="M/G/1"),
    ],
)
def test_mean_wait_of_one_server_is_pollaczek_khinchines(
    utilisation: float, service_cv: float
) -> None:
    model = ServingModel(max_batch_size=1, batch_service_s=(1.0,), service_cv=service_cv)
    pool = run(model, arrivals(utilisation, REQUESTS_S))
    expected_s = utilisation / (1.0 - utilisation) * (1.0 + service_cv**2) / 2.0
    waits_s = pool.counters(0).queue_duration_us / 1e6 / pool.arrived
    # At 90 % a million service times leave a standard error of 2 to 3 %.
    assert waits_s == pytest.approx(expected_s, rel=0.07 if utilisation == 0.9 else 0.02)


def test_sojourn_of_an_m_m_1_queue_is_exponential() -> None:
    model = ServingModel(max_batch_size=1, batch_service_s=(1.0,), service_cv=1.0)
    latencies_s = run(model, arrivals(0.5, REQUESTS_S)).latencies_s
    for ratio in (0.5, 0.9, 0.99):
        expected_s = -math.log(1.0 - ratio) / (1.0 - 0.5)
        assert np.quantile(latencies_s, ratio) == pytest.approx(expected_s, rel=0.02)


@pytest.mark.parametrize("instances", [2, 8])
def test_mean_wait_of_several_instances_is_erlangs(instances: int) -> None:
    offered = 0.8 * instances
    model = ServingModel(
        max_batch_size=1, instances=instances, batch_service_s=(1.0,), service_cv=1.0
    )
    pool = run(model, arrivals(offered, REQUESTS_S // 4))
    waiting = offered**instances / math.factorial(instances) / (1.0 - 0.8)
    free = sum(offered**k / math.factorial(k) for k in range(instances))
    expected_s = waiting / (free + waiting) / (instances - offered)
    assert pool.counters(0).queue_duration_us / 1e6 / pool.arrived == pytest.approx(
        expected_s, rel=0.05
    )


def test_random_routing_makes_independent_queues() -> None:
    model = ServingModel(max_batch_size=1, batch_service_s=(1.0,))
    pool = run(model, arrivals(5 * 0.7, 200_000), servers=5, routing=Routing.RANDOM)
    assert pool.latencies_s.mean() == pytest.approx(1.0 + 0.7 / (1.0 - 0.7) / 2.0, rel=0.03)


def test_better_routing_waits_less() -> None:
    model = ServingModel(max_batch_size=1, batch_service_s=(1.0,), service_cv=1.0)
    arrivals_s = arrivals(10 * 0.8, 50_000)
    orders = (
        Routing.RANDOM,
        Routing.ROUND_ROBIN,
        Routing.TWO_CHOICES,
        Routing.LEAST_OUTSTANDING,
    )
    means_s = [float(run(model, arrivals_s, 10, routing).latencies_s.mean()) for routing in orders]
    assert means_s == sorted(means_s, reverse=True)


@pytest.mark.parametrize("service_cv", [0.2, 1.0, 2.0])
def test_service_times_have_their_mean_and_spread(service_cv: float) -> None:
    model = ServingModel(max_batch_size=1, batch_service_s=(0.5,), service_cv=service_cv)
    times_s = run(model, 1000.0 * np.arange(100_000, dtype=np.float64)).latencies_s.astype(
        np.float64
    )
    assert times_s.mean() == pytest.approx(0.5, rel=0.02)
    assert times_s.std() / times_s.mean() == pytest.approx(service_cv, rel=0.03)
    # No draw has to do with the one before.
    assert abs(np.corrcoef(times_s[:-1], times_s[1:])[0, 1]) < 0.015


BATCHING = ServingModel(
    max_batch_size=8,
    instances=2,
    batch_service_s=tuple(0.004 + 0.001 * size for size in range(1, 9)),
    max_queue_delay_s=0.002,
    service_cv=0.3,
)


@pytest.mark.parametrize("routing", list(Routing))
def test_littles_law(routing: Routing) -> None:
    """The mean number in the system is the rate times the mean latency, whatever goes on inside."""
    arrivals_s = arrivals(2000.0, 20)
    pool = ServingPool(BATCHING, arrivals_s, routing, seed=4)
    for _ in range(3):
        pool.add_server(0.0)
    step_s = 0.001
    area = 0.0
    for tick in range(1, 25_001):
        pool.run_until(tick * step_s)
        area += sum(pool.outstanding(index) for index in range(3)) * step_s
    assert area == pytest.approx(pool.latencies_s.astype(np.float64).sum(), rel=0.01)
    for index in range(3):
        counters = pool.counters(index)
        mine = pool.server_of == index
        assert counters.request_success == mine.sum()
        spent_us = counters.queue_duration_us + counters.compute_infer_duration_us
        assert spent_us == pytest.approx(counters.request_duration_us, abs=2)
        assert counters.request_duration_us == pytest.approx(
            pool.latencies_s[mine].astype(np.float64).sum() * 1e6, rel=1e-6
        )


@pytest.mark.parametrize("routing", list(Routing))
def test_steps_change_nothing_and_a_seed_gives_the_same_again(routing: Routing) -> None:
    def outcome(ticks: Sequence[float], seed: int) -> tuple[object, ...]:
        pool = ServingPool(
            BATCHING, arrivals(500.0, 20), routing, seed, connection_life_s=3.0, hold_timeout_s=0.5
        )
        for ready_s in (1.0, 1.0, 7.0):
            pool.add_server(ready_s)
        pool.stop_server(0, 9.0)
        for t_s in ticks:
            pool.run_until(t_s)
            pool.latency_quantiles_us(1)
        servers = range(pool.servers)
        return (
            pool.latencies_s.tobytes(),
            pool.status.tobytes(),
            pool.server_of.tobytes(),
            [pool.counters(index) for index in servers],
            [pool.batch_statistics(index) for index in servers],
            [pool.latency_quantiles_us(index) for index in servers],
        )

    once = outcome([25.0], seed=11)
    assert once == outcome([*np.arange(0.0, 25.0, 0.37), 25.0], seed=11)
    assert once == outcome([25.0], seed=11)
    assert once != outcome([25.0], seed=12)


def test_two_policies_meet_the_same_luck() -> None:
    model = ServingModel(max_batch_size=1, batch_service_s=(1.0,), service_cv=1.0)
    few = run(model, 1000.0 * np.arange(100, dtype=np.float64), servers=1, seed=9)
    many = run(
        model, 1000.0 * np.arange(100, dtype=np.float64), servers=7, routing=Routing.RANDOM, seed=9
    )
    assert few.latencies_s.tolist() == many.latencies_s.tolist()
