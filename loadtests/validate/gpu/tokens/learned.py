"""What forescale would have learned of an engine: its own collector and decisions over what the engine showed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoscaler.core.service_time import service_times
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slo import parse_slo
from autoscaler.core.types import (
    Slo,
    WorkloadId,
    WorkloadSpec,
)
from autoscaler.engine import DecisionEngine
from loadtests.validate.gpu.scraped import NAMESPACE, tick_input
from loadtests.validate.gpu.tokens.recording import LevelRecord


def full_step_s(levels: Sequence[LevelRecord]) -> float | None:
    """How long it takes a step of a full batch to be, having seen these levels, one after the other. None: unknown."""
    engine = DecisionEngine(EngineConfig())
    spec = _spec()
    first_s = levels[0].looks[0].at_s
    for level in levels:
        for look in level.looks:
            engine.tick(
                tick_input(
                    spec, look.metrics, scraped_s=look.at_s, began_s=first_s, now_s=look.at_s
                )
            )
    known = engine.snapshot().workloads[0].templates
    if not known or not known[-1].models:
        return None
    most = levels[0].mix.max_sequences
    steps = service_times(replace(known[-1].models[0].service, max_batch_size=most))
    return None if steps is None else steps.batch_s[most - 1]


def _spec() -> WorkloadSpec:
    slo = parse_slo("p95 tpot < 100ms", "slo")
    assert isinstance(slo, Slo)
    return WorkloadSpec(id=WorkloadId(namespace=NAMESPACE, name="m"), slo=slo, engine="vllm")
