"""Prometheus, and whether it has what every workload is sized by."""

from __future__ import annotations

from collections.abc import Sequence

from autoscaler.controller.doctor.diagnosis import Diagnosis, error, ok, warning
from autoscaler.controller.ports import Measured, ObservedWorkload
from autoscaler.core.untold import remedy as remedy_of
from autoscaler.core.untold import told_of, untold

PROMETHEUS = "Prometheus"
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
    missing = untold(item.spec, samples, measured.gateway.get(key, ()))
    if missing:
        return warning(check, told_of(missing), remedy_of(item.spec, missing))
    return ok(check, f"{item.spec.engine}, {len(seen)} pods")
