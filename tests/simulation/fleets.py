"""A small fleet that tests share: two models on four GPUs that are cut, and one on GPUs that an autoscaler brings."""

from __future__ import annotations

from typing import Any

import numpy as np

from autoscaler.simulation.fleet.scenario import FleetPool, FleetScenario, FleetWorkload, Shape
from autoscaler.simulation.nodes import NodeSettings
from autoscaler.simulation.scenario import Demand
from autoscaler.simulation.serving import ServingModel
from autoscaler.simulation.startup import Startup
from tests.simulation.worlds import scenario, spec

# 40 ms on a whole GPU: 25 a second at most.
MODEL = ServingModel(max_batch_size=1, batch_service_s=(0.04,))
# On a seventh of it five times as long, on a half twice.
SMALL = Shape(name="1g.10gb", slowdown_ratios=(5.0,))
LARGE = Shape(name="3g.40gb", slowdown_ratios=(2.0,))
CUT = FleetPool(
    name="cut",
    settings=NodeSettings(gpus=1),
    layouts={"small": "7x1g.10gb", "large": "2x3g.40gb"},
    begins={"small": 2, "large": 2},
)


def workload(name: str, rates_rps: list[float], *shapes: Shape, **given: Any) -> FleetWorkload:
    """With a rate for each ten minutes."""
    told = spec(threshold_s=1.1)
    alone = scenario(
        name=name,
        spec=type(told)(id=type(told.id)(namespace="team", name=name), slo=told.slo),
        server=MODEL,
        demand=Demand(name=name, rates_rps=np.repeat(rates_rps, 600)),
        startup=Startup(median_s=20.0),
        **given,
    )
    return FleetWorkload(alone=alone, shapes=shapes)


def fleet(*workloads: FleetWorkload, **given: Any) -> FleetScenario:
    told: dict[str, Any] = {"name": "small", "gpu": "A100-80GB", "pools": (CUT,)}
    return FleetScenario(workloads=workloads, **(told | given))
