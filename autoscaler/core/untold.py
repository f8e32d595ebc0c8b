"""Objectives that nothing tells the misses of: the servers answer, and export no latency that could be judged.

Sizing goes on by what a replica carries; but no miss is seen, no growth follows from one, and no budget is accounted.
"""

from __future__ import annotations

from collections.abc import Iterable

from autoscaler.core.annotations import ASSUMED
from autoscaler.core.gateway import judges
from autoscaler.core.latency import buckets_of
from autoscaler.core.slo import objective_text
from autoscaler.core.types import LatencyObjective, ModelCounters, PodSample, WorkloadSpec

# Quantiles and buckets come with the first requests; after so many their absence is no chance.
FEW_ANSWERS = 10.0
MODELS_SHOWN = 5
# The engines of collectors/presets.py: those that tell a time between tokens, and the others.
TOKEN_ENGINES = ("vllm", "sglang")
WITHOUT_TOKENS = ("triton", "kserve")
_LATENCY_OF = {
    "triton": "start Triton with --metrics-config histogram_latencies=true and a bucket at the threshold, or with "
    "summary_latencies=true for an estimate",
}
_TOKENS = (
    "only engines that generate tokens, as vLLM, tell ttft and tpot: "
    "write the objective on latency, or name the engine"
)


def untold(
    spec: WorkloadSpec, samples: Iterable[PodSample], gateway: Iterable[PodSample]
) -> tuple[LatencyObjective, ...]:
    """Those of its objectives; none while too few requests were answered to say so."""
    busy = [
        counters
        for sample in samples
        for counters in sample.models
        if spec.model in (None, counters.model) and (counters.success or 0.0) >= FEW_ANSWERS
    ]
    if not busy:
        return ()
    instances = tuple(gateway)
    return tuple(
        objective
        for objective in spec.slo.objectives
        if not any(_tells(counters, objective) for counters in busy)
        and not any(judges(sample, objective) for sample in instances)
    )


def never_told(spec: WorkloadSpec) -> tuple[LatencyObjective, ...]:
    """Those that its engine can't tell, whatever it serves; none while the engine is assumed."""
    if spec.engine not in WITHOUT_TOKENS or spec.engine_from == ASSUMED:
        return ()
    return tuple(one for one in spec.slo.objectives if one.signal != "latency")


def unserved(spec: WorkloadSpec, samples: Iterable[PodSample]) -> str | None:
    """Why nothing is seen of the model that is to count, where its servers serve others; None: that is not so."""
    served = sorted({one.model for sample in samples for one in sample.models if one.model})
    if spec.model is None or not served or spec.model in served:
        return None
    shown = ", ".join(served[:MODELS_SHOWN]) + (", ..." if len(served) > MODELS_SHOWN else "")
    return (
        f"no pod serves the model {spec.model!r} that forescale.io/model names; they serve {shown}"
    )


def told_of(missing: tuple[LatencyObjective, ...]) -> str:
    """For a person: what is not seen."""
    texts = " and ".join(objective_text(objective) for objective in missing)
    return f"nothing tells how many requests miss {texts}"


def remedy(spec: WorkloadSpec, missing: tuple[LatencyObjective, ...]) -> str:
    """What makes it known."""
    if spec.engine in WITHOUT_TOKENS and any(one.signal != "latency" for one in missing):
        return _TOKENS
    return _LATENCY_OF.get(spec.engine, "let the engine or a gateway export a histogram of it")


def _tells(counters: ModelCounters, objective: LatencyObjective) -> bool:
    summary = objective.signal == "latency" and (
        counters.summarised or bool(counters.latency_quantiles)
    )
    return summary or bool(buckets_of(counters, objective.signal))
