"""Small scenarios that tests share."""

from __future__ import annotations

from typing import Any

import numpy as np

from autoscaler.core.types import LatencyObjective, Slo, SloForm, WorkloadId, WorkloadSpec
from autoscaler.simulation.scenario import Demand, Scenario
from autoscaler.simulation.serving import ServingModel
from autoscaler.simulation.startup import Startup

# 52 ms for one inference, 64 ms for two: 31.25 a second at most.
MODEL = ServingModel(max_batch_size=2, batch_service_s=(0.052, 0.064))


def arrivals(rate_rps: float, seconds: float, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.sort(rng.uniform(0.0, seconds, rng.poisson(rate_rps * seconds)))


def spec(threshold_s: float = 0.4, signal: str = "latency") -> WorkloadSpec:
    objective = LatencyObjective(
        form=SloForm.REQUESTS, ratio=0.99, threshold_s=threshold_s, signal=signal
    )
    return WorkloadSpec(
        id=WorkloadId(namespace="team", name="model"), slo=Slo(objectives=(objective,))
    )


def scenario(
    *,
    threshold_s: float = 0.4,
    signal: str = "latency",
    past_rps: np.ndarray | None = None,
    **given: Any,
) -> Scenario:
    told: dict[str, Any] = {
        "name": "small",
        "spec": spec(threshold_s, signal),
        "server": MODEL,
        "demand": Demand(
            name="small",
            rates_rps=np.full(600, 40.0),
            past_rps=np.zeros(0) if past_rps is None else past_rps,
        ),
        "startup": Startup(median_s=1.0),
        "goal_ratio": 0.99,
    }
    return Scenario(**(told | given))
