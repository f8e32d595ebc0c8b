"""The load a replica may carry: against theory where there is one, and against request-by-request simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autoscaler.core.queueing import (
    closed_out,
    decay_per_item,
    mean_wait_s,
    miss_probability,
    steady_batch,
    utilization_limit,
)
from autoscaler.core.service_time import ServiceTimes

ONE = ServiceTimes(batch_s=(0.05,))
TWO = ServiceTimes(batch_s=(0.052, 0.064))
EIGHT = ServiceTimes(batch_s=tuple(0.02 + 0.004 * size for size in range(1, 9)))


@pytest.mark.parametrize("rho", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_the_mean_wait_without_batching_is_that_of_m_d_1(rho: float) -> None:
    # Pollaczek and Khinchine: rho S / (2 (1 - rho)).
    waited_s = sum(mean_wait_s(ONE, rho / 0.05, 1.0, batch=1.0))
    assert waited_s == pytest.approx(rho * 0.05 / (2 * (1 - rho)))


@pytest.mark.parametrize(
    ("rho", "decay"), [(0.5, 1.2564), (0.8, 0.4308), (0.95, 0.1017), (0.05, 4.5137)]
)
def test_decay_solves_its_equation(rho: float, decay: float) -> None:
    assert decay_per_item(rho) == pytest.approx(decay, abs=1e-3)


@pytest.mark.parametrize(
    ("rate", "batch"),
    [
        pytest.param(1.0, 1.0, id="hardly any traffic"),
        pytest.param(30.0, 1.92, id="30 a second gather 1.92 in 64 ms"),
        pytest.param(99.0, 2.0, id="overload"),
    ],
)
def test_steady_batch(rate: float, batch: float) -> None:
    assert steady_batch(TWO, rate) == pytest.approx(batch)


@pytest.mark.parametrize(
    ("delay_s", "rate", "share"),
    [
        pytest.param(0.0, 100.0, 0.0, id="without a delay the batch is open until it starts"),
        pytest.param(0.001, 1.0, 0.012, id="hardly anyone comes while it is busy"),
        pytest.param(0.001, 100.0, 0.719, id="of 3.5 that come meanwhile one gets in"),
    ],
)
def test_a_queue_delay_closes_the_next_batch_early(
    delay_s: float, rate: float, share: float
) -> None:
    times = replace(EIGHT, max_queue_delay_s=delay_s)
    late, further_s = closed_out(times, rate, steady_batch(times, rate))
    assert late == pytest.approx(share, abs=0.002)
    assert (further_s > 0.0) is (share > 0.0)


def test_more_load_more_misses_and_a_later_threshold_fewer() -> None:
    rates = [1.0, 40.0, 80.0, 120.0, 150.0, 200.0]
    by_rate = [miss_probability(EIGHT, rate, 0.15, 1.0) for rate in rates]
    assert by_rate == sorted(by_rate)
    assert by_rate[-1] == 1.0
    by_threshold = [miss_probability(EIGHT, 100.0, t, 1.0) for t in (0.02, 0.06, 0.1, 0.15, 0.3)]
    assert by_threshold == sorted(by_threshold, reverse=True)
    by_variability = [miss_probability(EIGHT, 100.0, 0.15, v) for v in (0.5, 1.0, 2.0, 4.0)]
    assert by_variability == sorted(by_variability)


def test_a_threshold_below_the_service_time_is_unattainable() -> None:
    assert utilization_limit(ONE, ratio=0.99, threshold_s=0.04, variability=1.0) is None


@pytest.mark.parametrize(
    ("times", "threshold_s", "ratio"),
    [
        pytest.param(ONE, 0.3, 0.99, id="no batching"),
        pytest.param(ServiceTimes(batch_s=(0.05,), instances=4), 0.3, 0.99, id="four instances"),
        pytest.param(TWO, 0.3, 0.99, id="two at once"),
        pytest.param(TWO, 0.2, 0.95, id="two at once, tight"),
        pytest.param(EIGHT, 0.15, 0.99, id="eight at once"),
        pytest.param(EIGHT, 0.15, 0.95, id="eight at once, 95 %"),
        pytest.param(
            ServiceTimes(batch_s=tuple(0.01 + 0.01 * b for b in range(1, 9))),
            0.3,
            0.95,
            id="dear items",
        ),
        pytest.param(
            replace(EIGHT, max_queue_delay_s=0.001), 0.15, 0.99, id="eight, closed while it is busy"
        ),
        pytest.param(
            replace(EIGHT, max_queue_delay_s=0.001, instances=2), 0.15, 0.99, id="and two instances"
        ),
        pytest.param(
            replace(TWO, max_queue_delay_s=0.001), 0.22, 0.95, id="two, closed while it is busy"
        ),
    ],
)
def test_the_limit_agrees_with_simulation(
    times: ServiceTimes, threshold_s: float, ratio: float
) -> None:
    limit = utilization_limit(times, ratio=ratio, threshold_s=threshold_s, variability=1.0)
    assert limit is not None
    allowed = 1.0 - ratio
    # At the limit half of what is allowed may miss; a tenth more load must already cost clearly more than at the limit.
    assert simulated_misses(times, limit / times.work_s, threshold_s) <= allowed
    assert simulated_misses(times, 0.9 * limit / times.work_s, threshold_s) <= 0.6 * allowed
    assert simulated_misses(times, 1.1 * limit / times.work_s, threshold_s) > 0.5 * allowed


def simulated_misses(times: ServiceTimes, rate: float, threshold_s: float) -> float:
    """Share of 150,000 Poisson arrivals at one server that took longer than the threshold."""
    from autoscaler.simulation.serving import ServingModel, ServingPool

    arrivals_s = np.cumsum(np.random.default_rng(7).exponential(1.0 / rate, 150_000))
    pool = ServingPool(
        ServingModel(
            max_batch_size=times.max_batch_size,
            instances=times.instances,
            batch_service_s=times.batch_s,
            max_queue_delay_s=times.max_queue_delay_s,
        ),
        arrivals_s,
        max_servers=1,
    )
    pool.add_server(0.0)
    pool.run_until(float(arrivals_s[-1]) + 60.0)
    return float((np.asarray(pool.latencies_s)[10_000:] > threshold_s).mean())
