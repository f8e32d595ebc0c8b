"""Servers that batch in the fluid model, beside the request-level simulator at steady loads and through a rise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autoscaler.simulation.arrivals import poisson_arrivals
from autoscaler.simulation.cluster import ModelledCluster
from autoscaler.simulation.fluid import FluidModel
from autoscaler.simulation.fluid_kernel import missed_ratio
from autoscaler.simulation.fluid_servers import LOADS, batch_of, plant_of, spread_of, steady_of
from autoscaler.simulation.peers.catalog import RULES
from autoscaler.simulation.peers.rule import RulePolicy, known_of
from autoscaler.simulation.run import run
from autoscaler.simulation.scenario import Demand
from autoscaler.simulation.serving import ServingModel, ServingPool
from autoscaler.simulation.shapes import steps
from autoscaler.simulation.startup import Startup
from tests.simulation.worlds import scenario

# 100 ms for one request, 296 ms for eight: 27 a second.
SERVER = ServingModel(
    max_batch_size=8,
    batch_service_s=tuple(0.072 + 0.028 * size for size in range(1, 9)),
    service_cv=0.3,
)
THRESHOLD_S = 1.1


@pytest.mark.parametrize(
    ("load", "size"),
    [
        pytest.param(0.3, 1.0, id="8.1 a second: none comes while one is served"),
        # 13.5 a second: 0.072 x 13.5 / (1 - 0.028 x 13.5)
        pytest.param(0.5, 1.56, id="half"),
        pytest.param(0.9, 5.49, id="nine tenths"),
        pytest.param(1.0, 8.0, id="all"),
    ],
)
def test_a_batch_is_as_many_as_come_while_one_is_served(load: float, size: float) -> None:
    plant = plant_of(SERVER)
    assert plant.each_rps == pytest.approx(8.0 / 0.296)
    assert plant.sizes[round(load * LOADS)] == pytest.approx(size, abs=0.03)


@pytest.mark.parametrize("servers", [5, 20])
@pytest.mark.parametrize("load", [0.2, 0.5, 0.7, 0.8, 0.9, 0.95])
def test_steady_loads_are_those_of_the_request_level_simulator(servers: int, load: float) -> None:
    """Mean batch within 4 %, request's compute time within 6 %, queue within 30 % or 12 ms, misses within 0.01."""
    plant = plant_of(SERVER)
    rate_rps, seconds = load * servers * plant.each_rps, 1000
    due = poisson_arrivals(np.full(seconds, rate_rps), np.random.default_rng(1))
    pool = ServingPool(SERVER, due, max_servers=servers)
    for _ in range(servers):
        pool.add_server(0.0)
    pool.run_until(2.0 * seconds)
    exact = pool.scrape(range(servers))
    done = exact.success.sum()
    size, compute_s, forming_s = batch_of(load, servers, plant)
    steady_s = steady_of(rate_rps, servers, plant)
    assert size == pytest.approx(exact.inferences.sum() / exact.executions.sum(), rel=0.04)
    assert compute_s == pytest.approx(exact.compute_s.sum() / done, rel=0.06)
    queue_s = exact.queue_s.sum() / done
    assert forming_s + steady_s == pytest.approx(queue_s, rel=0.3, abs=0.012)
    spare_s = THRESHOLD_S - compute_s - forming_s
    missed = missed_ratio(0.0, steady_s, spread_of(compute_s, forming_s, plant), spare_s)
    assert missed == pytest.approx(float((pool.latencies_s > THRESHOLD_S).mean()), abs=0.01)


# 4 replicas' worth, then 12, then 4 again.
RISE = scenario(
    threshold_s=THRESHOLD_S,
    server=SERVER,
    demand=Demand(
        name="steps",
        rates_rps=steps((0.0, 110.0), (1800.0, 330.0), (5400.0, 110.0)).sample(7200.0),
    ),
    startup=Startup(median_s=100.0, seed=1),
    first_replicas=8,
)
KNOWN = known_of(RISE, capacity_rps=22.0)


@pytest.mark.parametrize(
    ("name", "headroom"),
    [
        ("static", 14.0),
        ("static", 12.0),
        ("keda", 0.7),
        ("keda", 1.0),
        ("hpa-gpu", 0.75),
        ("hpa-queue", 0.3),
        ("kpa", 8.0),
        ("ray", 6.0),
        ("aibrix", 5.0),
        ("llm-d", 0.55),
        ("dynamo-throughput", 0.9),
        ("dynamo-load", 0.5),
    ],
)
def test_peers_see_what_real_servers_would_show(name: str, headroom: float) -> None:
    """Attainment within 0.04, GPU-hours within 10 %."""
    due = RISE.demand.arrivals(1)
    fluid = FluidModel(RISE, due, KNOWN).run(RULES[name], headroom)
    replicas = int(headroom) if name == "static" else None
    cluster = ModelledCluster(RISE, due, replicas=replicas)
    peer = RulePolicy(RULES[name], KNOWN, headroom=headroom)
    exact = run(peer, cluster, duration_s=RISE.demand.duration_s)
    assert fluid.attainment_ratio == pytest.approx(exact.attainment_ratio, abs=0.04)
    assert fluid.gpu_hours == pytest.approx(exact.gpu_hours, rel=0.1)


def test_a_batch_of_one_is_the_server_without_batches() -> None:
    single = ServingModel(max_batch_size=1, batch_service_s=(0.1,), service_cv=0.3)
    told = replace(RISE, server=single)
    found = batch_of(0.7, 5, plant_of(told.batching))
    assert found == (1.0, 0.1, 0.0)
    # Whoever shows a peer this server says the same twice: one more request, one more service time.
    known = known_of(told, capacity_rps=8.0)
    assert (known.service_s, known.request_s) == (0.1, 0.1)
