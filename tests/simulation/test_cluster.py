"""The modelled cluster seen as collectors see one: pods, samples, holes, and what replicas cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autoscaler.simulation.cluster import EPOCH_S, ModelledCluster
from autoscaler.simulation.nodes import NodeSettings, Span
from autoscaler.simulation.scenario import Failures
from autoscaler.simulation.scraped import Reads
from autoscaler.simulation.startup import Startup
from tests.simulation.worlds import arrivals, scenario


def cluster(rate_rps: float = 40.0, *, replicas: int = 2, **given: Any) -> ModelledCluster:
    told = scenario(startup=Startup(median_s=40.0), **given)
    return ModelledCluster(told, arrivals(rate_rps, 600.0), replicas=replicas)


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
    world = cluster(outages=(Span(start_s=20.0, end_s=40.0),))
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


def test_pods_that_were_there_tell_their_start_ups_and_are_paid_from_the_run_s_start_on() -> None:
    world = cluster()
    world.advance(60.0)
    pods = world.tick_input().workloads[0].pods
    startup = Startup(median_s=40.0)
    for number, pod in enumerate(pods):
        assert pod.first_ready_s == EPOCH_S
        took_s = pod.first_ready_s - pod.created_s
        assert 0.0 <= took_s - startup.draw_s(number) < 5.0
        assert pod.scheduled_s == pod.created_s
    assert world.gpu_hours == pytest.approx(2 * 60.0 / 3600.0)


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
    world = cluster(outages=(Span(start_s=20.0, end_s=40.0),))
    world.advance(30.0)
    (given,) = world.tick_input().workloads
    assert given.samples == ()
    assert given.profiles[0].models[0].batch_times[0].batch_size == 1


def test_counters_are_sums_over_requests_in_seconds() -> None:
    world = cluster(rate_rps=10.0)
    world.advance(300.0)
    samples = world.tick_input().workloads[0].samples
    assert len(samples) == world.replicas
    for sample in samples:
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


def test_sums_are_over_all_pods_and_go_on_when_one_goes() -> None:
    world = cluster(replicas=3)
    world.advance(60.0, reads=Reads.LATENCY)
    before = world.totals()
    assert before is not None
    assert (before.at_s, before.scraped) == (59.0, 3)
    assert before.done == pytest.approx(40.0 * 59.0, rel=0.1)
    assert 0.0 < before.busy_s < 3 * 59.0
    assert before.latency_p90_s is not None
    assert 0.052 <= before.latency_p90_s < 0.2
    world.set_replicas(2)
    world.advance(120.0, reads=Reads.TOTALS)
    after = world.totals()
    assert after is not None
    assert (after.scraped, after.latency_p90_s) == (2, None)
    assert after.done == pytest.approx(40.0 * 119.0, rel=0.1)
    assert [len(world.pods), after.queue_s > before.queue_s] == [2, True]


def test_no_sums_in_an_outage() -> None:
    world = cluster(outages=(Span(start_s=20.0, end_s=40.0),))
    world.advance(30.0, reads=Reads.TOTALS)
    assert world.totals() is None


def test_the_past_is_told_once() -> None:
    world = cluster(past_rps=np.array([3.0, 4.0]))
    world.advance(10.0)
    told = world.tick_input().workloads[0].backfill
    assert [(p.minute_s - EPOCH_S, p.offered_rps) for p in told] == [(-120.0, 3.0), (-60.0, 4.0)]
    world.advance(20.0)
    assert world.tick_input().workloads[0].backfill == ()


def test_a_pod_starts_on_a_node_once_it_has_booted() -> None:
    world = cluster(replicas=8, nodes=NodeSettings(boot_s=180.0), rate_rps=0.0)
    world.advance(10.0)
    world.set_replicas(9)
    world.advance(100.0)
    pod = world.tick_input().workloads[0].pods[-1]
    assert pod.unschedulable
    world.advance(600.0)
    pod = world.tick_input().workloads[0].pods[-1]
    assert not pod.unschedulable
    assert pod.first_ready_s is not None
    exact_s = 180.0 + Startup(median_s=40.0).draw_s(8)
    assert 0.0 <= pod.first_ready_s - pod.created_s - exact_s < 5.0
    # Eight of the first node for 600 s, eight of the second from 10 s on.
    assert world.node_gpu_hours == pytest.approx(8 * (600.0 + 590.0) / 3600.0)


def test_in_a_stock_out_a_pod_waits_for_a_node() -> None:
    stock_out = Span(start_s=0.0, end_s=300.0)
    nodes = NodeSettings(gpus=1, stock_outs=(stock_out,))
    world = cluster(replicas=0, nodes=nodes, rate_rps=0.0)
    world.advance(10.0)
    world.set_replicas(1)
    world.advance(290.0)
    (pod,) = world.tick_input().workloads[0].pods
    assert (pod.unschedulable, pod.ready_s) == (True, None)
    world.advance(600.0)
    (pod,) = world.tick_input().workloads[0].pods
    assert pod.ready_s is not None
    assert pod.ready_s >= EPOCH_S + 300.0
    # It is paid from the request on, the node from when it could be had.
    assert world.gpu_hours == pytest.approx(590.0 / 3600.0)
    assert world.node_gpu_hours == pytest.approx(300.0 / 3600.0, abs=5.0 / 3600.0)


def test_pods_fail_and_are_replaced() -> None:
    world = cluster(replicas=4, failures=Failures(pod_mean_between_s=200.0))
    world.advance(600.0)
    pods = world.tick_input().workloads[0].pods
    assert len([pod for pod in pods if pod.deleted_s is None]) == 4
    assert max(int(pod.name.removeprefix("pod-")) for pod in pods) > 4
    lost = np.isnan(world.answers_s).sum()
    assert 0 < lost < 600


def test_a_node_goes_with_its_pods() -> None:
    nodes = NodeSettings(gpus=2)
    world = cluster(replicas=4, nodes=nodes, failures=Failures(node_losses_s=(100.0,)))
    world.advance(110.0)
    pods = world.tick_input().workloads[0].pods
    assert [(pod.name, pod.ready_s is not None) for pod in pods] == [
        ("pod-2", True),
        ("pod-3", True),
        ("pod-4", False),
        ("pod-5", False),
    ]
    world.advance(600.0)
    assert world.node_gpu_hours == pytest.approx(2 * (100.0 + 600.0 + 500.0) / 3600.0)


def test_thousands_of_pods_one_after_the_other() -> None:
    world = cluster(replicas=1, rate_rps=1.0)
    for step in range(1, 2001):
        world.set_replicas(1 + step % 2)
        world.advance(6.0 * step, reads=None)
    assert len(world.pods) <= 3
