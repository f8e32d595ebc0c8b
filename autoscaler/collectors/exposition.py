"""Puts Prometheus' series together into samples of pods. Pure: series in, samples out.

Of two series that differ only in who scraped them one is kept - adding them up would double the demand - and the
doubling is reported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoscaler.clients.prometheus import Series
from autoscaler.collectors.presets import NAMESPACE_LABELS, POD_LABELS, Preset
from autoscaler.core.types import ModelCounters, PodGpus, PodSample

OF_TARGETS = "kubernetes_namespace"

PodKey = tuple[str, str]
ModelKey = tuple[str, str, str]
Parts = Mapping[ModelKey, frozenset[tuple[str, ...]]]
"""Of sums that have or had more than one, which parts they are made of."""
Curve = tuple[tuple[float, float], ...]

# Series of one counter that differ in these are parts of a whole and add up: Triton's reasons and versions, vLLM's
# reasons and its engines, of which a data-parallel server has several, as SGLang's has ranks; its requests by priority.
PARTS = (
    *("reason", "version", "finished_reason", "engine"),
    *("dp_rank", "priority", "is_streaming"),
)
TIMES = ("request_s", "queue_s", "compute_s", "token_s")
# Shares of a whole: of several parts the fullest counts.
SHARES = ("cache_ratio",)
# How many requests a server has at this moment. More than a billion it can't hold: at 100 bytes each they are 100 GB.
PRESENT = ("pending", "running")
MOST_PRESENT = 1e9
COUNTERS = (
    *("success", "failure", "inferences", "executions"),
    *(*PRESENT, *SHARES, *TIMES),
)
BUCKETS = ("latency_buckets", "ttft_buckets", "tpot_buckets")


@dataclass(slots=True)
class Table:
    """One signal's values by pod and model."""

    values: dict[ModelKey, float | None] = field(default_factory=dict)
    doubled: set[PodKey] = field(default_factory=set)
    parts: dict[ModelKey, dict[tuple[str, ...], float | None]] = field(default_factory=dict)

    def compared(self, before: Parts) -> Parts:
        """What its sums are made of. One that is made of others than in the answer before is unknown once.

        An answer may lack some of a pod's series, as Thanos' does while a store of it is down. Their sum falls then,
        which is taken for a restart, and comes back by all that was ever counted, which would be taken for demand.
        """
        alike: dict[frozenset[tuple[str, ...]], frozenset[tuple[str, ...]]] = {}
        now: dict[ModelKey, frozenset[tuple[str, ...]]] = {}
        for key, found in self.parts.items():
            known = before.get(key)
            if len(found) == 1 and known is None:
                continue
            made_of = frozenset(found)
            now[key] = alike.setdefault(made_of, made_of)
            if known is not None and known != made_of:
                self.values[key] = None
        return now


class PodLabels:
    """Who a series is of: by the labels that the query set names, else by the usual ones.

    Where targets are labelled `kubernetes_namespace`, a pod may export a `namespace` of its own, which Prometheus
    leaves as it is: a series with two that differ is nobody's, or a team would speak for another's servers.
    """

    def __init__(self, preset: Preset) -> None:
        self._usual = preset.queries.namespace_label in NAMESPACE_LABELS
        self._namespaces = (preset.queries.namespace_label, *NAMESPACE_LABELS)
        self._pods = (preset.queries.pod_label, *POD_LABELS)
        self._model = preset.queries.model_label

    def pod(self, labels: Mapping[str, str]) -> PodKey | None:
        """(namespace, pod)."""
        namespace, pod = _first(labels, self._namespaces), _first(labels, self._pods)
        if not namespace or not pod:
            return None
        if self._usual and labels.get(OF_TARGETS, namespace) != namespace:
            return None
        return namespace, pod

    def model(self, labels: Mapping[str, str]) -> ModelKey | None:
        """(namespace, pod, model); the model is empty where none is told."""
        found = self.pod(labels)
        if found is None:
            return None
        return (*found, labels.get(self._model, "") if self._model else "")


def _first(labels: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    # No generator: there are hundreds of thousands of series.
    for name in names:
        if name in labels:
            return labels[name]
    return None


def _part(labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple([labels.get(name, "") for name in PARTS])


def counter_table(
    series: Sequence[Series],
    preset: Preset,
    *,
    scale: float = 1.0,
    highest: bool = False,
    most: float = math.inf,
) -> Table:
    """Sums over parts, or their highest; the larger of two doubles: a counter that is behind was scraped earlier.

    What is above `most` can't be true, and is unknown.
    """
    parts: dict[ModelKey, dict[tuple[str, ...], float | None]] = {}
    table, named = Table(), PodLabels(preset)
    for entry in series:
        key = named.model(entry.labels)
        if key is None:
            continue
        part, told = _part(entry.labels), entry.value
        known = parts.setdefault(key, {})
        value = None if told is None else told * scale
        if part in known:
            table.doubled.add(key[:2])
            other = known[part]
            value = other if value is None else value if other is None else max(value, other)
        known[part] = value
    for key, found in parts.items():
        numbers = [value for value in found.values() if value is not None]
        whole = (max(numbers) if highest else sum(numbers)) if numbers else None
        known_whole = len(numbers) == len(found) and whole is not None and whole <= most
        table.values[key] = whole if known_whole else None
    table.parts = parts
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
    """Quantiles or buckets: (x from the label, value), ascending; of doubles the first. Empty where none has a value.

    `add`: parts of a whole add up, as a histogram's do and quantiles do not.
    """
    curves: dict[ModelKey, dict[float, dict[tuple[str, ...], float]]] = {}
    named = PodLabels(preset)
    bounds: dict[str | None, float | None] = {None: None}
    for entry in series:
        text, told = entry.labels.get(label), entry.value
        if text not in bounds:
            bounds[text] = _bound(text, x_scale)
        x, key = bounds[text], named.model(entry.labels)
        if key is None or x is None:
            continue
        curve = curves.setdefault(key, {})
        if told is not None:
            part = _part(entry.labels) if add else ()
            curve.setdefault(x, {}).setdefault(part, told * y_scale)
    return {
        key: tuple((x, sum(parts.values())) for x, parts in sorted(points.items()))
        for key, points in curves.items()
    }


def _bound(text: str | None, scale: float) -> float | None:
    try:
        x = float(text or "")
    except ValueError:
        return None
    return 1e308 if x == float("inf") else x * scale


def samples(
    counters: Mapping[str, Table],
    quantiles: Mapping[ModelKey, Curve],
    buckets: Mapping[str, Mapping[ModelKey, Curve]],
    times: Mapping[PodKey, float],
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
            model=model,
            latency_quantiles=quantiles.get(key, ()),
            summarised=key in quantiles,
            **told,
        )
    return {
        pod: PodSample(
            pod=pod[1],
            sampled_at_s=times[pod],
            models=tuple(by_name.values()),
            engine=engine,
        )
        for pod, by_name in models.items()
        if pod in times
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
    named = PodLabels(preset)
    for entry in series:
        pod = named.pod(entry.labels)
        if pod is not None and entry.value is not None:
            times[pod] = max(entry.value, times.get(pod, 0.0))
    return times
