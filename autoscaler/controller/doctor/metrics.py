"""Prometheus, and whether it has what every workload is sized by."""

from __future__ import annotations

from collections.abc import Sequence

from autoscaler.controller.doctor.diagnosis import Diagnosis, error, ok, warning
from autoscaler.controller.ports import Measured, ObservedWorkload
from autoscaler.core.latency import buckets_of, is_exact
from autoscaler.core.slo import objective_text
from autoscaler.core.types import PodSample, WorkloadSpec
from autoscaler.core.untold import remedy as remedy_of
from autoscaler.core.untold import told_of, unserved, untold

PROMETHEUS = "Prometheus"
# What `+Inf` is read as is above it.
INFINITE_S = 1e300
NO_WORKLOAD = "no workload is annotated with forescale.io/slo"


def check(url: str, measured: Measured, workloads: Sequence[ObservedWorkload]) -> list[Diagnosis]:
    """One finding for Prometheus and one for each workload."""
    found = [reached(url, measured)]
    if measured.error is not None:
        return found
    if not workloads:
        found.append(ok("metrics", NO_WORKLOAD))
    for item in workloads:
        found.append(_of(item, measured))
    return found


def reached(url: str, measured: Measured) -> Diagnosis:
    """Whether Prometheus answers."""
    if measured.error is None:
        return ok(PROMETHEUS, f"answers at {url}")
    said = measured.error.removeprefix(f"{url}: ")
    remedy = "set prometheus.url, give --prometheus-url, or look at what it says"
    return error(PROMETHEUS, f"{url}: {said}", remedy)


def _of(item: ObservedWorkload, measured: Measured) -> Diagnosis:
    key, check = item.spec.id, f"metrics of {item.spec.id}"
    told = measured.errors.get(key)
    if told is not None:
        return error(
            check,
            told,
            "correct forescale.io/engine or the policy's queries, or look at Prometheus' stores",
        )
    ready = [pod.name for pod in item.pods if pod.ready_s is not None and pod.deleted_s is None]
    seen = [name for name in ready if (key.namespace, name) in measured.samples]
    if not ready:
        return ok(check, "no pod is ready, so none is expected")
    if not seen:
        text = f"Prometheus has none of its {len(ready)} ready pods"
        remedy = (
            f"scrape its pods with the labels namespace and pod ({item.spec.engine}'s metrics port)"
        )
        return error(check, text, item.spec.silent or remedy)
    if len(seen) < len(ready):
        text = f"Prometheus has {len(seen)} of its {len(ready)} ready pods"
        return warning(check, text, "look at the targets of those that are missing")
    samples = [measured.samples[key.namespace, name] for name in seen]
    absent = unserved(item.spec, samples)
    if absent is not None:
        return error(check, absent, "correct forescale.io/model, or load the model")
    gateway = measured.gateway.get(key, ())
    missing = untold(item.spec, samples, gateway)
    if missing:
        return warning(check, told_of(missing), remedy_of(item.spec, missing))
    coarse = [] if gateway else _coarse(item.spec, samples)
    if coarse:
        return warning(check, "; ".join(coarse), "set the threshold to where a bucket ends")
    engines = sorted({sample.engine or item.spec.engine for sample in samples})
    return ok(check, f"{', '.join(engines)}, {len(seen)} pods")


def _coarse(spec: WorkloadSpec, samples: Sequence[PodSample]) -> list[str]:
    """Objectives whose misses are known between bounds alone, for no bucket ends at the threshold."""
    told = []
    models = [model for sample in samples for model in sample.models]
    for objective in spec.slo.objectives:
        bounds = sorted({s for model in models for s, _ in buckets_of(model, objective.signal)})
        if not bounds or any(is_exact(model, objective) for model in models):
            continue
        near = [max((s for s in bounds if s < objective.threshold_s), default=None)]
        near += [min((s for s in bounds if objective.threshold_s < s < INFINITE_S), default=None)]
        nearest = " and ".join(f"{s * 1000:g} ms" for s in near if s is not None)
        told.append(
            f"no bucket ends at the threshold of {objective_text(objective)}, so that its misses are an estimate; "
            f"the nearest end at {nearest}"
        )
    return told
