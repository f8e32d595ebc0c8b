"""What forescale would have learned of an engine: its own collector and decisions over what the engine showed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from autoscaler.clients.prometheus import PrometheusClient
from autoscaler.collectors.prometheus import PrometheusCollector
from autoscaler.core.service_time import service_times
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slo import parse_slo
from autoscaler.core.types import (
    PodStatus,
    ReplicaStatus,
    Slo,
    TickInput,
    WorkloadId,
    WorkloadInput,
    WorkloadSpec,
)
from autoscaler.engine import DecisionEngine
from loadtests.validate.gpu.scraped import NAMESPACE, POD, ScrapedText
from loadtests.validate.gpu.tokens.recording import LevelRecord, Look

TEMPLATE = "t"
# The engine was ready, and warm, long before the first level.
READY_FOR_S = 3600.0


def full_step_s(levels: Sequence[LevelRecord]) -> float | None:
    """How long it takes a step of a full batch to be, having seen these levels, one after the other. None: unknown."""
    engine = DecisionEngine(EngineConfig())
    spec = _spec()
    first_s = levels[0].looks[0].at_s
    for level in levels:
        for look in level.looks:
            engine.tick(_input(look, spec, first_s - READY_FOR_S))
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


def _input(look: Look, spec: WorkloadSpec, ready_s: float) -> TickInput:
    client = cast(PrometheusClient, ScrapedText(look.metrics, look.at_s))
    found = asyncio.run(PrometheusCollector(client).collect(look.at_s, (spec,)))
    pod = PodStatus(
        name=POD,
        template_hash=TEMPLATE,
        created_s=ready_s,
        ready_s=ready_s,
        first_ready_s=ready_s,
    )
    given = WorkloadInput(
        spec=spec,
        replicas=ReplicaStatus(desired=1, template_hash=TEMPLATE),
        pods=(pod,),
        samples=tuple(found.samples.values()),
    )
    return TickInput(now_s=look.at_s, workloads=(given,))
