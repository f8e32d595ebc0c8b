"""What gateways and meshes count of each workload's requests: which ones are known, their queries, their samples.

Each instance is a sample of its own: counters of several instances added up would fall when one of them restarts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autoscaler.clients.prometheus import Series
from autoscaler.config import GatewayQueries
from autoscaler.core.types import ModelCounters, PodSample, WorkloadId, WorkloadSpec

BUILT_IN: Mapping[str, GatewayQueries] = {
    # As the caller's proxy saw it: connections that never reached the server are in it.
    "istio": GatewayQueries(
        metric="istio_request_duration_milliseconds_bucket",
        where='reporter="source"',
        seconds_per_le=1e-3,
    ),
    "linkerd": GatewayQueries(
        metric="response_latency_ms_bucket",
        where='direction="outbound"',
        namespace_label="dst_namespace",
        workload_label="dst_deployment",
        code_label="status_code",
        failed_codes="429|5..",
        seconds_per_le=1e-3,
    ),
}

# (namespace, name) of a workload, and the instance.
Key = tuple[str, str, str]


def selector(
    queries: GatewayQueries, workloads: Sequence[WorkloadSpec], *, only_le: str = ""
) -> str:
    """The series of these workloads; of one bucket where `only_le` names it."""
    namespaces = sorted({spec.id.namespace for spec in workloads})
    names = sorted({_name(spec).replace(".", "[.]") for spec in workloads})
    matchers = [
        queries.where,
        f'{queries.namespace_label}=~"{"|".join(namespaces)}"',
        f'{queries.workload_label}=~"{"|".join(names)}"',
        f'le="{only_le}"' if only_le else "",
    ]
    return f"{queries.metric}{{{','.join(filter(None, matchers))}}}"


@dataclass(slots=True)
class _Counts:
    """Cumulative counts of one instance for one workload."""

    good: dict[float, float] = field(default_factory=dict)
    failed: float = 0.0


def samples(
    series: Sequence[Series],
    times: Sequence[Series],
    queries: GatewayQueries,
    workloads: Sequence[WorkloadSpec],
) -> dict[WorkloadId, tuple[PodSample, ...]]:
    """One sample for each workload and instance whose scrape time is known."""
    failed = re.compile(queries.failed_codes)
    counts: dict[Key, _Counts] = {}
    for entry in series:
        key, bound = _key(entry, queries), _bound(entry, queries)
        if key is None or bound is None or entry.value is None:
            continue
        found = counts.setdefault(key, _Counts())
        if failed.fullmatch(entry.labels.get(queries.code_label, "")) is None:
            found.good[bound] = found.good.get(bound, 0.0) + entry.value
        elif bound == float("inf"):
            found.failed += entry.value
    scraped: dict[Key, float] = {}
    for entry in times:
        key = _key(entry, queries)
        if key is not None and entry.value is not None:
            scraped[key] = max(entry.value, scraped.get(key, 0.0))
    told: dict[tuple[str, str], list[PodSample]] = {}
    for key in sorted(counts.keys() & scraped.keys()):
        told.setdefault(key[:2], []).append(_sample(key, counts[key], scraped[key]))
    names = {spec.id: (spec.id.namespace, _name(spec)) for spec in workloads}
    return {key: tuple(told[name]) for key, name in names.items() if name in told}


def _name(spec: WorkloadSpec) -> str:
    """As a mesh knows the workload: by the Deployment that runs the pods."""
    return spec.pods_of or spec.id.name


def _sample(key: Key, counts: _Counts, at_s: float) -> PodSample:
    buckets = tuple(
        (1e308 if bound == float("inf") else bound, count)
        for bound, count in sorted(counts.good.items())
    )
    model = ModelCounters(
        model="",
        success=counts.good.get(float("inf"), 0.0),
        failure=counts.failed,
        latency_buckets=buckets,
    )
    return PodSample(pod=key[2], sampled_at_s=at_s, models=(model,))


def _key(entry: Series, queries: GatewayQueries) -> Key | None:
    labels = entry.labels
    namespace, name = labels.get(queries.namespace_label), labels.get(queries.workload_label)
    instance = labels.get(queries.instance_label) or labels.get("instance", "")
    return (namespace, name, instance) if namespace and name else None


def _bound(entry: Series, queries: GatewayQueries) -> float | None:
    try:
        # Rounded: 200 x 0.001 must be the 0.2 that an objective names.
        return round(float(entry.labels["le"]) * queries.seconds_per_le, 9)
    except (KeyError, ValueError):
        return None
