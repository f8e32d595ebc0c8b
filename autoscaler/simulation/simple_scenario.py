"""The scenario of a demand about which nothing else is told: one request at a time on each replica."""

from __future__ import annotations

import math

from autoscaler.core.slo import parse_slo
from autoscaler.core.types import Slo, WorkloadId, WorkloadSpec
from autoscaler.errors import ConfigError, Problem
from autoscaler.simulation.scenario import MOST_REPLICAS, Demand, Scenario
from autoscaler.simulation.scenario_file import goal_of, of_tokens
from autoscaler.simulation.serving_model import (
    LEAST_SERVICE_S,
    MOST_SERVICE_S,
    SERVICE_ALLOWED,
    ServingModel,
)
from autoscaler.simulation.startup import Startup


def simple_scenario(demand: Demand, *, slo: str, service_s: float) -> Scenario:
    """A workload that begins with what its first hour needs at 70 %, as a running one would.

    Raises ConfigError for an SLO that can't be read, and ValueError for more demand than replicas carry.
    """
    found = parse_slo(slo, "--slo")
    if not isinstance(found, Slo):
        raise ConfigError(found)
    if said := of_tokens(found):
        raise ConfigError((Problem("--slo", said, "needs a scenario file with server.continuous"),))
    if not LEAST_SERVICE_S <= service_s <= MOST_SERVICE_S:
        raise ConfigError((Problem("--service-s", f"{service_s:g}", SERVICE_ALLOWED),))
    busy = float(demand.rates_rps.mean()) * service_s
    if busy > MOST_REPLICAS:
        raise ValueError(
            f"{demand.name} keeps {busy:,.0f} replicas busy at {service_s:g} s a request, at most {MOST_REPLICAS} "
            "are run: scale it down by peak_rps, or write a scenario file with workload.max_replicas"
        )
    first = math.ceil(float(demand.rates_rps[:3600].mean()) * service_s / 0.7)
    return Scenario(
        name=demand.name,
        spec=WorkloadSpec(id=WorkloadId(namespace="simulated", name="model"), slo=found),
        server=ServingModel(max_batch_size=1, batch_service_s=(service_s,), service_cv=0.3),
        demand=demand,
        startup=Startup(median_s=100.0),
        goal_ratio=goal_of(found),
        first_replicas=min(max(1, first), MOST_REPLICAS),
    )
