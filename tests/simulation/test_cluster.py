"""The modelled cluster seen as collectors see one: pods, samples, holes, and what replicas cost."""

from __future__ import annotations

import numpy as np
import pytest

from autoscaler.simulation import demo
from autoscaler.simulation.cluster import EPOCH_S, ModelledCluster, Outage, Startup
from autoscaler.simulation.serving import ServingModel

# 52 ms for one inference, 64 ms for two: 31.25 a second at most.
MODEL = ServingModel(max_batch_size=2, batch_service_s=(0.052, 0.064))


def arrivals(rate_rps: float, seconds: float, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.sort(rng.uniform(0.0, seconds, rng.poisson(rate_rps * seconds)))


def cluster(
    rate_rps: float = 40.0, *, replicas: int = 2, outages: tuple[Outage, ...] = ()
) -> ModelledCluster:
    return ModelledCluster(
        demo.spec(),
        MODEL,
        arrivals(rate_rps, 600.0),
        replicas=replicas,
        startup=Startup(median_s=40.0),
        outages=outages,
    )


def test_a_tick_shows_what_collectors_would() -> None:
    world = cluster()
    world.advance(30.0)
    (given,) = world.tick_input().workloads
    assert world.tick_input().now_s == EPOCH_S + 30.0
    assert [pod.ready_s for pod in given.pods] == [EPOCH_S, EPOCH_S]
    assert [sample.sampled_at_s for sample in given.samples] == [EPOCH_S + 29.0] * 2
    done = sum(sample.models[0].success or 0.0 for sample in given.samples)
    assert done == pytest.approx(40.0 * 29.0, rel=0.1)
    assert given.profiles[0].models[0].max_batch_size == 2


def test_an_outage_is_a_hole_with_a_reason() -> None:
    world = cluster(outages=(Outage(start_s=20.0, end_s=40.0),))
    world.advance(30.0)
    (given,) = world.tick_input().workloads
    assert (given.samples, given.samples_error) == ((), "no connection")
    world.advance(40.0)
    assert world.tick_input().workloads[0].samples_error is None


def test_a_replica_is_paid_from_its_request_until_it_is_gone() -> None:
    world = cluster(rate_rps=0.0)
    world.advance(3600.0)
    assert world.gpu_hours == pytest.approx(2.0)
    world.set_replicas(3)
    world.advance(7200.0)
    world.set_replicas(1)
    world.advance(7210.0)
    assert world.gpu_hours == pytest.approx(2.0 + 3.0 + 10.0 * 3 / 3600.0, abs=0.01)


def test_a_scale_down_takes_starting_pods_first_and_then_the_youngest() -> None:
    world = cluster()
    world.advance(10.0)
    world.set_replicas(3)
    world.advance(200.0)
    world.set_replicas(5)
    world.set_replicas(3)
    assert [pod.number for pod in world.pods if pod.deleted_s is None] == [0, 1, 2]
    world.set_replicas(2)
    assert [pod.number for pod in world.pods if pod.deleted_s is None] == [0, 1]


def test_startups_are_drawn_alike_for_every_policy_and_spread_as_said() -> None:
    draws = [Startup(median_s=100.0, seed=1).draw_s(n) for n in range(4000)]
    assert draws == [Startup(median_s=100.0, seed=1).draw_s(n) for n in range(4000)]
    assert np.median(draws) == pytest.approx(100.0, rel=0.03)
    assert np.quantile(draws, 0.99) == pytest.approx(230.0, rel=0.07)


def test_a_starting_pod_is_ready_on_the_probe_grid_and_tells_its_start_up() -> None:
    world = cluster()
    world.advance(12.0)
    world.set_replicas(3)
    world.advance(17.0)
    (given,) = world.tick_input().workloads
    assert given.replicas.desired == 3
    started = given.pods[-1]
    assert (started.created_s, started.ready_s) == (EPOCH_S + 12.0, None)
    assert len(given.samples) == 2, "what is not ready is not scraped"
    world.advance(300.0)
    started = world.tick_input().workloads[0].pods[-1]
    assert started.ready_s is not None
    assert started.first_ready_s == started.ready_s
    assert (started.ready_s - EPOCH_S) % 5.0 == 0.0
    exact_s = Startup(median_s=40.0).draw_s(2)
    assert 0.0 <= started.ready_s - started.created_s - exact_s < 5.0


def test_a_pod_that_goes_is_seen_until_it_has_finished_and_is_paid_alike_at_every_period() -> None:
    hours = []
    for period_s in (5.0, 15.0, 60.0):
        # 60 a second for two pods that carry 62: a backlog is there to be drained.
        world = cluster(rate_rps=60.0, replicas=3)
        world.advance(60.0)
        world.set_replicas(2)
        leaving = world.tick_input().workloads[0].pods[-1]
        assert leaving.deleted_s == EPOCH_S + 60.0
        while world.now_s < 120.0:
            world.advance(world.now_s + period_s)
        assert [pod.number for pod in world.pods] == [0, 1]
        hours.append(world.gpu_hours)
    assert hours == [hours[0]] * 3
    # Two for two minutes, and one for a minute and the next look at it.
    assert hours[0] == pytest.approx((2 * 120.0 + 65.0) / 3600.0)


def test_a_pod_that_is_taken_back_while_it_starts_is_paid_until_then() -> None:
    world = cluster(rate_rps=0.0)
    world.set_replicas(3)
    world.advance(20.0)
    world.set_replicas(2)
    world.advance(600.0)
    assert world.gpu_hours == pytest.approx((2 * 600.0 + 25.0) / 3600.0)


def test_triton_answers_while_prometheus_does_not() -> None:
    world = cluster(outages=(Outage(start_s=20.0, end_s=40.0),))
    world.advance(30.0)
    (given,) = world.tick_input().workloads
    assert given.samples == ()
    assert given.profiles[0].models[0].batch_times[0].batch_size == 1


def test_counters_are_sums_over_requests_in_seconds() -> None:
    world = cluster(rate_rps=10.0)
    world.advance(300.0)
    for sample in world.tick_input().workloads[0].samples:
        (model,) = sample.models
        assert model.success is not None
        assert model.compute_s is not None
        assert model.queue_s is not None
        assert model.request_s is not None
        assert 0.052 <= model.compute_s / model.success <= 0.064
        assert model.request_s >= model.queue_s + model.compute_s - 1e-3
        quantiles = [value for _, value in model.latency_quantiles]
        assert quantiles == sorted(quantiles)
        assert quantiles[0] >= 0.052
