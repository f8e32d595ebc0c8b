"""All peers, by the names that the command line takes."""

from __future__ import annotations

from autoscaler.simulation.peers.aibrix import APA
from autoscaler.simulation.peers.dynamo import LOAD, THROUGHPUT
from autoscaler.simulation.peers.hpa import GPU_UTILISATION, KEDA_REQUESTS, QUEUE_COMPUTE
from autoscaler.simulation.peers.kpa import KPA
from autoscaler.simulation.peers.ray_serve import RAY_SERVE
from autoscaler.simulation.peers.rule import Rule
from autoscaler.simulation.peers.slo_aware import SLO_AWARE
from autoscaler.simulation.peers.static import STATIC

RULES: dict[str, Rule] = {
    "static": STATIC,
    "hpa-queue": QUEUE_COMPUTE,
    "hpa-gpu": GPU_UTILISATION,
    "keda": KEDA_REQUESTS,
    "kpa": KPA,
    "llm-d": SLO_AWARE,
    "dynamo-throughput": THROUGHPUT,
    "dynamo-load": LOAD,
    "ray": RAY_SERVE,
    "aibrix": APA,
}
FORESCALE = "forescale"
"""As it runs live: with its forecasts, whose models are really fitted."""
REACTIVE = "forescale-no-forecast"
OWN = (FORESCALE, REACTIVE)
