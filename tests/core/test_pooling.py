"""As how many replicas with one queue those behind a balancer are, and what that lets them be busy for."""

from __future__ import annotations

import numpy as np
import pytest

from autoscaler.core.pooling import Pooling, learn
from autoscaler.core.queueing import mean_wait_s, miss_probability, utilization_limit
from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.window import Window
from autoscaler.simulation.serving import Routing, ServingModel, ServingPool
from tests.core.story import Pod, Story, slo, spec

ONE = ServiceTimes(batch_s=(0.1,))
FOUR = ServiceTimes(batch_s=(0.1, 0.12, 0.14, 0.16))


def served(
    times: ServiceTimes,
    replicas: int,
    rate: float,
    routing: Routing = Routing.LEAST_OUTSTANDING,
    service_cv: float = 0.0,
) -> tuple[np.ndarray, float]:
    """(latencies, mean wait) of 60,000 Poisson arrivals, `rate` a second for each replica."""
    between_s = np.random.default_rng(7).exponential(1.0 / (rate * replicas), 60_000)
    pool = ServingPool(
        ServingModel(
            max_batch_size=times.max_batch_size,
            batch_service_s=times.batch_s,
            service_cv=service_cv,
        ),
        np.cumsum(between_s),
        routing=routing,
        max_servers=replicas,
    )
    for _ in range(replicas):
        pool.add_server(0.0)
    pool.run_until(float(between_s.sum()) + 60.0)
    queue_s = float(pool.scrape(range(replicas)).queue_s.sum()) / between_s.size
    return np.asarray(pool.latencies_s)[5000:], queue_s


def learned(
    busy: float,
    queue_s: float,
    replicas: int,
    *,
    requests: float = 1e6,
    known: Pooling | None = None,
) -> Pooling:
    window = Window(rate=busy / ONE.work_s, requests=requests, queue_s=queue_s)
    return learn(known or Pooling(), ONE, [window], replicas=replicas)


@pytest.mark.parametrize(
    ("replicas", "busy", "cv", "routing", "together"),
    [
        pytest.param(2, 0.5, 0.0, Routing.LEAST_OUTSTANDING, 2.0, id="two"),
        pytest.param(4, 0.5, 0.0, Routing.LEAST_OUTSTANDING, 4.0, id="four, half busy"),
        pytest.param(4, 0.9, 0.0, Routing.LEAST_OUTSTANDING, 4.0, id="four, busy"),
        pytest.param(10, 0.7, 0.0, Routing.LEAST_OUTSTANDING, 9.8, id="ten"),
        pytest.param(10, 0.7, 0.3, Routing.LEAST_OUTSTANDING, 7.5, id="ten, of some spread"),
        pytest.param(30, 0.8, 0.0, Routing.LEAST_OUTSTANDING, 25.0, id="thirty"),
        pytest.param(10, 0.7, 0.0, Routing.TWO_CHOICES, 2.6, id="two choices"),
        pytest.param(10, 0.7, 0.0, Routing.RANDOM, 1.0, id="at random"),
    ],
)
def test_the_mean_wait_tells_how_nearly_replicas_are_one_queue(
    replicas: int, busy: float, cv: float, routing: Routing, together: float
) -> None:
    _, queue_s = served(ONE, replicas, busy / ONE.work_s, routing, cv)
    found = learned(busy, queue_s, replicas, requests=2000.0).together
    assert found == pytest.approx(together, rel=0.15)


@pytest.mark.parametrize(
    ("times", "threshold_s", "replicas", "alone", "together"),
    [
        pytest.param(ONE, 0.13, 3, 0.035, 0.27, id="1.3 services, three"),
        pytest.param(ONE, 0.13, 10, 0.035, 0.65, id="1.3 services, ten"),
        pytest.param(ONE, 0.18, 10, 0.098, 0.82, id="1.8 services, ten"),
        pytest.param(ONE, 0.3, 3, 0.417, 0.75, id="three services, three"),
        pytest.param(FOUR, 0.18, 10, 0.049, 0.23, id="1.8 of servers that could batch, ten"),
        pytest.param(ONE, 1.1, 10, 0.832, 0.95, id="eleven services: nearly as alone"),
    ],
)
def test_what_they_may_be_busy_for_holds_in_simulation(
    times: ServiceTimes, threshold_s: float, replicas: int, alone: float, together: float
) -> None:
    def limit(pooled: float) -> float:
        found = utilization_limit(
            times, ratio=0.95, threshold_s=threshold_s, variability=1.0, together=pooled
        )
        assert found is not None
        return found

    assert limit(1.0) == pytest.approx(alone, abs=0.005)
    known = Pooling()
    for _ in range(8):
        rate = limit(known.together) / times.work_s
        _, queue_s = served(times, replicas, rate)
        window = Window(rate=rate, requests=3000.0, queue_s=queue_s)
        known = learn(known, times, [window], replicas=replicas)
    assert limit(known.together) == pytest.approx(together, abs=0.03)
    latencies_s, _ = served(times, replicas, limit(known.together) / times.work_s)
    # 5 % may miss, of which steady operation is planned to use half.
    assert float((latencies_s > threshold_s).mean()) <= 0.04


def test_requests_that_never_wait_are_believed_in_steps() -> None:
    """At 4 % of full load hardly any would wait at one alone either."""
    assert learned(0.04, 0.0, 10, requests=100.0).together == pytest.approx(1.2, abs=0.1)
    assert learned(0.04, 0.0, 10, requests=2000.0).together == pytest.approx(2.0, abs=0.2)
    assert learned(0.3, 0.0, 10, requests=2000.0).together == pytest.approx(7.2, abs=0.3)
    assert learned(0.6, 0.0, 10, requests=2000.0).together == 10.0


def test_as_long_a_wait_as_at_one_alone_is_no_sharing() -> None:
    assert learned(0.5, sum(mean_wait_s(ONE, 5.0, 1.0, batch=1.0)), 10).together == 1.0
    assert learned(0.5, 60.0, 10).together == 1.0
    assert learned(0.5, 0.0, 1).together == 1.0


@pytest.mark.parametrize(
    ("busy", "requests"), [(0.5, 0.0), (0.0, 100.0), (0.95, 100.0), (1.5, 100.0)]
)
def test_loads_at_which_nothing_can_be_told_teach_nothing(busy: float, requests: float) -> None:
    assert learned(busy, 0.0, 10, requests=requests) == Pooling()


def test_a_balancer_that_has_become_worse_is_noticed_within_the_short_memory() -> None:
    known = Pooling()
    for _ in range(200):
        known = learned(0.6, 0.0, 10, requests=100.0, known=known)
    assert known.together == 10.0
    alone_s = sum(mean_wait_s(ONE, 6.0, 1.0, batch=1.0))
    for _ in range(20):
        known = learned(0.6, alone_s, 10, requests=100.0, known=known)
    assert known.together == pytest.approx(1.4, abs=0.1)


@pytest.mark.parametrize(
    ("together", "shared_by", "replicas", "told"),
    [
        pytest.param(10.0, 10.0, 10, 10.0, id="as many"),
        pytest.param(10.0, 10.0, 4, 4.0, id="fewer make as good use of each other"),
        pytest.param(5.0, 10.0, 3, 1.0 + 8.0 / 9.0, id="and as bad"),
        pytest.param(10.0, 10.0, 1, 1.0, id="one alone shares with nobody"),
        pytest.param(10.0, 10.0, 0, 1.0, id="nor does the first"),
        pytest.param(3.0, 4.0, 20, 3.0, id="more were never seen"),
        pytest.param(1.0, 10.0, 20, 1.0, id="a balancer that looks at nothing"),
    ],
)
def test_of_fewer_it_is_told_in_proportion(
    together: float, shared_by: float, replicas: int, told: float
) -> None:
    known = Pooling(together=together, shared_by=shared_by)
    assert known.of(replicas) == pytest.approx(told)
    assert 0.9 * told <= known.rounded(replicas) <= told + 1e-9


def test_more_load_more_misses_and_more_that_share_fewer() -> None:
    for times in (ONE, FOUR):
        rates = [load / times.work_s for load in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)]
        missed = [miss_probability(times, rate, 0.17, 1.0, together=5.0) for rate in rates]
        assert missed == sorted(missed)
        shared = [
            miss_probability(times, 0.2 / times.work_s, 0.17, 1.0, together=m) for m in (1, 2, 5, 9)
        ]
        assert shared == sorted(shared, reverse=True)
    assert miss_probability(ONE, 1.0, 0.09, 1.0, together=9.0) == 1.0


class Shared(Story):
    """Requests wait a fiftieth as long as each replica alone would make them wait: a balancer finds the idle ones."""

    def serve(self, pod: Pod, rate: float, seconds: float) -> None:
        before_s = pod.queue_s
        super().serve(pod, rate, seconds)
        pod.queue_s = before_s + 0.02 * (pod.queue_s - before_s)


@pytest.mark.parametrize(
    ("story", "replicas"),
    [
        pytest.param(Shared, 10, id="40 % busy: of ten hardly any request finds none idle"),
        pytest.param(Story, 100, id="each by itself may be 4 % busy: all that there may be"),
    ],
)
def test_a_threshold_just_above_the_service_is_sized_by_how_well_replicas_share(
    story: type[Story], replicas: int
) -> None:
    """40 requests a second of 100 ms each, which four replicas could just do, `95% < 130ms`."""
    told = story(times=ONE, replicas=10, spec=spec(slo=slo(0.95, 0.13), max_replicas=100))
    assert told.run(1800, rate_rps=40).target == replicas
