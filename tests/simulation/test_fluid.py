"""The fluid model beside the request-level simulator: the same rules, the same luck, nearly the same figures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autoscaler.simulation.cluster import ModelledCluster
from autoscaler.simulation.fluid import FluidModel
from autoscaler.simulation.fluid_kernel import missed_between, water_level
from autoscaler.simulation.fluid_servers import steady_wait_s
from autoscaler.simulation.peers.catalog import RULES
from autoscaler.simulation.peers.rule import Known, RulePolicy
from autoscaler.simulation.run import run
from autoscaler.simulation.scenario import Demand, Scenario
from autoscaler.simulation.serving import ServingModel
from autoscaler.simulation.shapes import steps
from autoscaler.simulation.startup import Startup
from tests.simulation.worlds import scenario

# One request at a time, a tenth of a second each: 10 a second.
SERVER = ServingModel(max_batch_size=1, batch_service_s=(0.1,), service_cv=0.3)
KNOWN = Known(
    min_replicas=1,
    max_replicas=100,
    capacity_rps=8.0,
    service_s=0.1,
    request_s=0.1,
    threshold_s=1.1,
)


def world(*levels: tuple[float, float], hours: float = 2.0, replicas: int = 8) -> Scenario:
    return scenario(
        threshold_s=1.1,
        server=SERVER,
        demand=Demand(name="steps", rates_rps=steps(*levels).sample(hours * 3600.0)),
        startup=Startup(median_s=100.0, seed=1),
        first_replicas=replicas,
    )


RISE = world((0.0, 50.0), (1800.0, 150.0), (5400.0, 50.0))


@pytest.mark.parametrize(
    ("name", "headroom"),
    [("static", 12.0), ("keda", 0.7), ("hpa-gpu", 0.75), ("dynamo-throughput", 0.9), ("kpa", 0.8)],
)
def test_it_agrees_with_the_request_level_simulator(name: str, headroom: float) -> None:
    due = RISE.demand.arrivals(1)
    fluid = FluidModel(RISE, due, KNOWN).run(RULES[name], headroom)
    replicas = int(headroom) if name == "static" else None
    cluster = ModelledCluster(RISE, due, replicas=replicas)
    peer = RulePolicy(RULES[name], KNOWN, headroom=headroom)
    exact = run(peer, cluster, duration_s=RISE.demand.duration_s)
    assert fluid.attainment_ratio == pytest.approx(exact.attainment_ratio, abs=0.04)
    assert fluid.gpu_hours == pytest.approx(exact.gpu_hours, rel=0.1)


def test_more_headroom_attains_more_and_costs_more() -> None:
    model = FluidModel(RISE, RISE.demand.arrivals(1), KNOWN)
    found = [model.run(RULES["hpa-gpu"], busy) for busy in (0.9, 0.7, 0.5, 0.3)]
    attained = [score.attainment_ratio for score in found]
    hours = [score.gpu_hours for score in found]
    assert attained == sorted(attained)
    assert hours == sorted(hours)
    assert attained[-1] > 0.99 > attained[0]


def test_a_static_number_pays_what_it_holds() -> None:
    found = FluidModel(RISE, RISE.demand.arrivals(1), KNOWN).run(RULES["static"], 20.0)
    assert (found.gpu_hours, found.changes, found.attainment_ratio) == (40.0, 0, 1.0)


def test_half_of_what_is_needed_serves_half() -> None:
    told = world((0.0, 200.0), hours=1.0, replicas=10)
    found = FluidModel(told, told.demand.arrivals(1), KNOWN).run(RULES["static"], 10.0)
    # From the first seconds on everything waits for more than a second.
    assert found.attainment_ratio < 0.01
    assert found.good_windows_ratio == 0.0


def test_nobody_is_served_until_the_first_is_ready() -> None:
    told = world((0.0, 20.0), hours=0.5, replicas=1)
    model = FluidModel(told, told.demand.arrivals(1), KNOWN)
    assert model.run(RULES["keda"], 0.7).attainment_ratio < 1.0


@pytest.mark.parametrize(
    ("queues", "came", "level"),
    [
        pytest.param([0.0, 0.0], 4.0, 2.0, id="evenly"),
        pytest.param([3.0, 0.0], 2.0, 2.0, id="to the shorter"),
        pytest.param([3.0, 0.0], 5.0, 4.0, id="and then to both"),
        pytest.param([9.0, 1.0, 0.0], 3.0, 2.0, id="the longest gets none"),
        pytest.param([2.0, 2.0], 0.0, 2.0, id="nothing came"),
    ],
)
def test_requests_fill_the_shortest_queues(queues: list[float], came: float, level: float) -> None:
    serving = np.ones(len(queues), np.bool_)
    assert water_level(np.array(queues), len(queues), serving, came) == pytest.approx(level)


def test_the_wait_of_one_server_is_pollaczek_khinchines() -> None:
    # M/G/1 at 80 %: 0.8 / 0.2 x (1 + cv²) / 2 service times.
    assert steady_wait_s(0.8, 1, 0.1, 0.09) == pytest.approx(0.1 * 4.0 * 1.09 / 2.0)
    assert steady_wait_s(0.8, 20, 0.1, 0.09) < 0.01 < steady_wait_s(0.97, 20, 0.1, 0.09)
    assert steady_wait_s(0.0, 3, 0.1, 0.09) == 0.0


@pytest.mark.parametrize(
    ("first_s", "last_s", "steady_s", "missed"),
    [
        pytest.param(0.0, 0.5, 0.0, 0.0, id="all in time"),
        pytest.param(1.5, 2.0, 0.1, 1.0, id="all late"),
        pytest.param(0.5, 1.5, 0.0, 0.5, id="the later half"),
        pytest.param(0.0, 0.0, 0.5, math.exp(-2.0), id="chance alone"),
    ],
)
def test_who_misses(first_s: float, last_s: float, steady_s: float, missed: float) -> None:
    assert missed_between(first_s, last_s, steady_s, 0.0, 1.0) == pytest.approx(missed)
