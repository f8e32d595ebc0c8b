"""Which PromQL tells which signal, for each serving engine: data, not code.

One query answers for every pod of every workload. Counters are read as they are: the engine takes the differences
itself, over its own ticks, and so sees resets, gaps and stale series that a `rate` would smooth over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.config import QuerySet

# Labels that name the pod in the field's usual scrape configurations, most specific first.
NAMESPACE_LABELS = ("namespace", "exported_namespace", "kubernetes_namespace")
POD_LABELS = ("pod", "exported_pod", "kubernetes_pod_name", "pod_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A set of queries and the units of their answers."""

    queries: QuerySet
    seconds_per_le: float = 1.0
    """Of a histogram's `le` label."""
    backfill: str | None = None
    """Counter of inferences whose rate is the demand of the past."""


TRITON = Preset(
    queries=QuerySet(
        success="nv_inference_request_success",
        failure="nv_inference_request_failure",
        inferences="nv_inference_count",
        executions="nv_inference_exec_count",
        pending="nv_inference_pending_request_count",
        request_s="nv_inference_request_duration_us",
        queue_s="nv_inference_queue_duration_us",
        compute_s="nv_inference_compute_infer_duration_us",
        latency_quantiles="nv_inference_request_summary_us",
        latency_buckets="nv_inference_first_response_histogram_ms_bucket",
        seconds_per_unit=1e-6,
    ),
    seconds_per_le=1e-3,
    backfill="nv_inference_count",
)

# Names of both generations of DCGM, per slice where MIG is on. Secondary only: on mixed geometries it is wrong.
GPU_BUSY = "DCGM_FI_PROF_GR_ENGINE_ACTIVE or DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO"


def presets(custom: Mapping[str, QuerySet]) -> dict[str, Preset]:
    """The built-in presets and the SRE's own, by the name that `forescale.io/engine` gives."""
    own = {
        name: Preset(
            queries=queries, seconds_per_le=queries.seconds_per_unit, backfill=queries.inferences
        )
        for name, queries in custom.items()
    }
    return {"triton": TRITON, **own}


def is_per_workload(promql: str) -> bool:
    """Whether a query has to be asked for each workload by itself."""
    return "$namespace" in promql or "$name" in promql
