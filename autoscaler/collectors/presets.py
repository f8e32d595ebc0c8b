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
    scraped: str | None = None
    """A series that every server exports from its start, by whose time a scrape is known; None: `success`. A plain
    selector, since timestamp() of any other expression is the time of the query."""


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


# Newer versions of Python's client (seen: 0.26) write a colon as an underscore where Prometheus takes OpenMetrics.
_COLON = "[:_]"


def _vllm(name: str, labels: str = "") -> str:
    """vLLM's own name, or the one that KServe's LLMInferenceService gives it; one selector, not `or`."""
    return f'{{__name__=~"(kserve_)?vllm{_COLON}{name}"{labels}}}'


VLLM = Preset(
    queries=QuerySet(
        success=_vllm("request_success_total", ',finished_reason!~"abort|error"'),
        failure=_vllm("request_success_total", ',finished_reason=~"abort|error"'),
        # The demand is tokens: answers differ in length a thousandfold, tokens cost about the same.
        inferences=_vllm("generation_tokens_total"),
        pending=_vllm("num_requests_waiting"),
        # What a queue lengthens is the time to the first token; the answer goes on at the pace of the batch.
        request_s=_vllm("time_to_first_token_seconds_sum"),
        queue_s=_vllm("request_queue_time_seconds_sum"),
        latency_buckets=_vllm("e2e_request_latency_seconds_bucket"),
        ttft_buckets=_vllm("time_to_first_token_seconds_bucket"),
        # Each request's own mean, where there is one: the objective is about requests, not about tokens.
        tpot_buckets=(
            f"{_vllm('request_time_per_output_token_seconds_bucket')} or "
            f"{_vllm('time_per_output_token_seconds_bucket')}"
        ),
        token_s=(
            f"{_vllm('inter_token_latency_seconds_sum')} or "
            f"{_vllm('time_per_output_token_seconds_sum')}"
        ),
        running=_vllm("num_requests_running"),
        cache_ratio=_vllm("(kv|gpu)_cache_usage_perc"),
        model_label="model_name",
    ),
    backfill=_vllm("generation_tokens_total"),
    scraped=_vllm("num_requests_running"),
)


def _ranks(selector: str) -> str:
    """Ranks of one replica tell the same, and only some of them unless they are all asked to."""
    return f"max without (tp_rank, pp_rank, moe_ep_rank) ({selector})"


def _sglang(name: str, labels: str = "") -> str:
    return f'{{__name__=~"sglang{_COLON}{name}"{labels}}}'


def _scheduler(name: str) -> str:
    # With priorities there is one more series for each, beside the sum over all, whose label is empty.
    return _ranks(_sglang(name, ',priority=""'))


# The first token of each answer, and those after it. `sglang:generation_tokens_total` counts an answer's tokens when it
# is over, and these as they come: 1,000 tokens that took 40 s would else arrive in one tick.
_SGLANG_FIRST = f"sum without (is_streaming) ({_sglang('time_to_first_token_seconds_count')})"
_SGLANG_LATER = _sglang("inter_token_latency_seconds_count")
_SGLANG_TOKENS = f"({_SGLANG_LATER} + {_SGLANG_FIRST}) or {_SGLANG_FIRST}"

SGLANG = Preset(
    queries=QuerySet(
        success=_sglang("num_requests_total"),
        failure=_sglang("num_aborted_requests_total"),
        inferences=_SGLANG_TOKENS,
        pending=_scheduler("num_queue_reqs"),
        request_s=_sglang("time_to_first_token_seconds_sum"),
        queue_s=_ranks(_sglang("queue_time_seconds_sum")),
        latency_buckets=_sglang("e2e_request_latency_seconds_bucket"),
        ttft_buckets=_sglang("time_to_first_token_seconds_bucket"),
        # Of all tokens: there is none of each request's mean.
        tpot_buckets=_sglang("inter_token_latency_seconds_bucket"),
        token_s=_sglang("inter_token_latency_seconds_sum"),
        running=_scheduler("num_running_reqs"),
        cache_ratio=_scheduler("token_usage"),
        model_label="model_name",
    ),
    backfill=_sglang("generation_tokens_total"),
    scraped=_sglang("num_running_reqs"),
)

# KServe's Python server: one prediction at a time in each pod, timed without the wait for its turn. Requests that raise
# are timed like the others, so failures show at the gateway only.
KSERVE = Preset(
    queries=QuerySet(
        success="request_predict_seconds_count",
        executions="request_predict_seconds_count",
        compute_s="request_predict_seconds_sum",
        latency_buckets="request_predict_seconds_bucket",
        model_label="model_name",
    ),
    backfill="request_predict_seconds_count",
)

BUILT_IN: Mapping[str, Preset] = {
    "triton": TRITON,
    "vllm": VLLM,
    "sglang": SGLANG,
    "kserve": KSERVE,
}

# Names of both generations of DCGM. A gauge whose value is the last error code, 0 where there was none.
GPU_XID = "DCGM_FI_DEV_XID_ERRORS or DCGM_FI_DEV_XID_ERROR"


def presets(custom: Mapping[str, QuerySet]) -> dict[str, Preset]:
    """The built-in presets and the SRE's own, by the name that `forescale.io/engine` gives."""
    own = {
        name: Preset(
            queries=queries, seconds_per_le=queries.seconds_per_unit, backfill=queries.inferences
        )
        for name, queries in custom.items()
    }
    return {**BUILT_IN, **own}


def is_per_workload(promql: str) -> bool:
    """Whether a query has to be asked for each workload by itself."""
    return "$namespace" in promql or "$name" in promql
