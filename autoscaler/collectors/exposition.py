"""Puts Prometheus' series together into samples of pods. Pure: series in, samples out.

Of two series that differ only in who scraped them one is kept - adding them up would double the demand - and the
doubling is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoscaler.clients.prometheus import Series
from autoscaler.collectors.presets import NAMESPACE_LABELS, POD_LABELS, Preset
from autoscaler.core.types import ModelCounters, PodGpus, PodSample

PodKey = tuple[str, str]
ModelKey = tuple[str, str, str]
Curve = tuple[tuple[float, float], ...]

# Series of one counter that differ in these are parts of a whole and add up: Triton's reasons and versions, vLLM's
# reasons and its engines, of which a data-parallel server has several.
PARTS = ("reason", "version", "finished_reason", "engine")
TIMES = ("request_s", "queue_s", "compute_s", "token_s")
# Shares of a whole: of several parts the fullest counts.
SHARES = ("cache_ratio",)
COUNTERS = (
    *("success", "failure", "inferences", "executions", "pending", "running"),
    *(*SHARES, *TIMES),
)
BUCKETS = ("latency_buckets", "ttft_buckets", "tpot_buckets")


@dataclass(slots=True)
class Table:
    """One signal's values by pod and model."""

    values: dict[ModelKey, float | None] = field(default_factory=dict)
    doubled: set[PodKey] = field(default_factory=set)


def pod_of(labels: Mapping[str, str], preset: Preset) -> PodKey | None:
    """(namespace, pod) by the labels that the query set names, else by the usual ones."""
    namespaces = (preset.queries.namespace_label, *NAMESPACE_LABELS)
    pods = (preset.queries.pod_label, *POD_LABELS)
    namespace = next((labels[label] for label in namespaces if label in labels), None)
    pod = next((labels[label] for label in pods if label in labels), None)
    return (namespace, pod) if namespace and pod else None


def counter_table(
    series: Sequence[Series], preset: Preset, *, scale: float = 1.0, highest: bool = False
) -> Table:
    """Sums over parts, or their highest; the larger of two doubles: a counter that is behind was scraped earlier."""
    parts: dict[ModelKey, dict[tuple[str, ...], float | None]] = {}
    table = Table()
    for entry in series:
        pod = pod_of(entry.labels, preset)
        if pod is None:
            continue
        key = (*pod, _model(entry.labels, preset))
        part = tuple(entry.labels.get(label, "") for label in PARTS)
        known = parts.setdefault(key, {})
        value = None if entry.value is None else entry.value * scale
        if part in known:
            table.doubled.add(pod)
            other = known[part]
            value = other if value is None else value if other is None else max(value, other)
        known[part] = value
    for key, found in parts.items():
        numbers = [value for value in found.values() if value is not None]
        whole = (max(numbers) if highest else sum(numbers)) if numbers else None
        table.values[key] = whole if len(numbers) == len(found) else None
    return table


def curve_table(
    series: Sequence[Series],
    preset: Preset,
    *,
    label: str,
    x_scale: float,
    y_scale: float,
    add: bool = False,
) -> dict[ModelKey, Curve]:
    """Quantiles or buckets: (x from the label, value), ascending; of doubles the first.

    `add`: parts of a whole add up, as a histogram's do and quantiles do not.
    """
    curves: dict[ModelKey, dict[float, dict[tuple[str, ...], float]]] = {}
    for entry in series:
        pod = pod_of(entry.labels, preset)
        if pod is None or entry.value is None or label not in entry.labels:
            continue
        try:
            x = float(entry.labels[label])
        except ValueError:
            continue
        x = 1e308 if x == float("inf") else x * x_scale
        part = tuple(entry.labels.get(name, "") for name in PARTS) if add else ()
        curve = curves.setdefault((*pod, _model(entry.labels, preset)), {})
        curve.setdefault(x, {}).setdefault(part, entry.value * y_scale)
    return {
        key: tuple((x, sum(parts.values())) for x, parts in sorted(points.items()))
        for key, points in curves.items()
    }


def _model(labels: Mapping[str, str], preset: Preset) -> str:
    label = preset.queries.model_label
    return labels.get(label, "") if label else ""


def samples(
    counters: Mapping[str, Table],
    quantiles: Mapping[ModelKey, Curve],
    buckets: Mapping[str, Mapping[ModelKey, Curve]],
    times: Mapping[PodKey, float],
    busy: Mapping[PodKey, float],
    *,
    engine: str = "",
) -> dict[PodKey, PodSample]:
    """One sample for each pod whose scrape time is known; a pod without one can't be told from a stale one.

    `buckets` holds each of `BUCKETS` that was told.
    """
    models: dict[PodKey, dict[str, ModelCounters]] = {}
    keys = {key for table in counters.values() for key in table.values}
    for namespace, pod, model in sorted(keys):
        key = (namespace, pod, model)
        told: dict[str, Any] = {name: table.values.get(key) for name, table in counters.items()}
        told |= {name: table.get(key, ()) for name, table in buckets.items()}
        models.setdefault((namespace, pod), {})[model] = ModelCounters(
            model=model, latency_quantiles=quantiles.get(key, ()), **told
        )
    return {
        pod: PodSample(
            pod=pod[1],
            sampled_at_s=times[pod],
            models=tuple(by_name.values()),
            gpu_busy_ratio=busy.get(pod),
            engine=engine,
        )
        for pod, by_name in models.items()
        if pod in times
    }


def busy_ratios(series: Sequence[Series]) -> dict[PodKey, float]:
    """Mean GPU activity of each pod's devices, 0 to 1."""
    return {
        pod: sum(min(max(value, 0.0), 1.0) for value in values) / len(values)
        for pod, values in _by_holder(series).items()
    }


def gpu_errors(series: Sequence[Series]) -> dict[PodKey, PodGpus]:
    """The last error code of each pod's devices that have had one."""
    return {
        key: PodGpus(pod=key[1], xids=tuple(sorted({round(value) for value in values} - {0})))
        for key, values in _by_holder(series).items()
    }


def _by_holder(series: Sequence[Series]) -> dict[PodKey, list[float]]:
    """DCGM's values by the pod that holds the device. With honorLabels off that is `exported_pod`."""
    found: dict[PodKey, list[float]] = {}
    for entry in series:
        labels = entry.labels
        namespace = labels.get("exported_namespace") or labels.get("namespace")
        pod = labels.get("exported_pod") or labels.get("pod")
        if namespace and pod and entry.value is not None:
            found.setdefault((namespace, pod), []).append(entry.value)
    return found


def scrape_times(series: Sequence[Series], preset: Preset) -> dict[PodKey, float]:
    """The newest scrape of each pod."""
    times: dict[PodKey, float] = {}
    for entry in series:
        pod = pod_of(entry.labels, preset)
        if pod is not None and entry.value is not None:
            times[pod] = max(entry.value, times.get(pod, 0.0))
    return times
