"""Workloads that name `forescale.io/slice-shapes`: what keeps their template from being changed, before it is tried."""

from __future__ import annotations

from collections.abc import Sequence

from autoscaler.config import Settings
from autoscaler.controller.doctor.diagnosis import Diagnosis, ok, warning
from autoscaler.controller.ports import ObservedWorkload
from autoscaler.core.slices.settings import TemplatesMode
from autoscaler.core.slices.template import unavailable

TEMPLATES = "slice shapes"


def check(settings: Settings, workloads: Sequence[ObservedWorkload]) -> list[Diagnosis]:
    """Nothing where no workload names any."""
    asking = [item for item in workloads if item.spec.slice_shapes]
    if not asking:
        return []
    mode = settings.engine.slices.templates
    if mode is TemplatesMode.OFF:
        names = ", ".join(str(item.spec.id) for item in asking)
        text = f"{names}: slices are named, and engine.slices.templates is off"
        return [warning(TEMPLATES, text, "set it to recommend, or take the annotation away")]
    found = [one for item in asking for one in _profiles(settings, item)]
    if mode is TemplatesMode.AUTO:
        found += [one for item in asking for one in _changeable(item)]
    return found or [ok(TEMPLATES, f"{len(asking)} Deployments, {mode.value}")]


def _profiles(settings: Settings, item: ObservedWorkload) -> list[Diagnosis]:
    named = {one.shape for one in settings.engine.priors if one.workload == str(item.spec.id)}
    now = item.template.shape if item.template is not None else ""
    lacking = [one for one in item.spec.slice_shapes if one != now and one not in named]
    if not lacking:
        return []
    text = f"{item.spec.id}: what it does on {', '.join(lacking)} is not known before it runs there"
    remedy = f"profile it there, and name the file as profiles: {item.spec.id}@{lacking[0]}"
    return [warning(TEMPLATES, text, remedy)]


def _changeable(item: ObservedWorkload) -> list[Diagnosis]:
    status, name = item.template, item.spec.id
    if status is None:
        return []
    found = []
    if status.owner is not None:
        remedy = "change it there when the Event ShapeCheaper says so"
        text = f"{name}: it is not changed, only recommended: {status.owner}"
        found.append(warning(TEMPLATES, text, remedy))
    if status.unrollable is not None:
        text = f"{name}: {status.unrollable}"
        found.append(warning(TEMPLATES, text, "take that out of the way, or the annotation"))
    elif unavailable(status, max(item.replicas.desired, 4)) != 0:
        text = f"{name}: maxUnavailable {status.max_unavailable} may take a replica that is needed"
        found.append(warning(TEMPLATES, text, "set maxUnavailable to 0 and maxSurge to 1 or more"))
    return found
