"""Readings of a Deployment's template that the collector and the actuator of slices share. Pure.

Who owns a field is told by `metadata.managedFields`, and by the labels and annotations that tools leave. A template
belongs to whoever applies it: what is written beside them is undone, or stands against what Git says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from autoscaler.core.mig.geometry import RESOURCE_PREFIX
from autoscaler.core.slices.observed import profile_of
from autoscaler.core.slices.template import (
    SHAPE_ANNOTATION,
    ShapeMark,
    ShapePhase,
    TemplateStatus,
)

Object = Mapping[str, Any]
OWN_MANAGER = "forescale"
BY_HAND = frozenset(
    {OWN_MANAGER, "kubectl-create", "kubectl-edit", "kubectl-set", "kubectl-patch", "kubectl-run"}
)
"""Field managers that leave nothing behind that would be applied again."""
TOOL_MARKS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "meta.helm.sh/release-name": "Helm",
    "objectset.rio.cattle.io/id": "Fleet",
    "configmanagement.gke.io/managed": "Config Sync",
    "kubectl.kubernetes.io/last-applied-configuration": "kubectl apply",
}
"""Labels and annotations that say who applies an object."""
MANAGED_BY = "app.kubernetes.io/managed-by"


def template_status(raw: Object) -> TemplateStatus | None:
    """None: not exactly one container asks for one slice."""
    spec, status = raw.get("spec") or {}, raw.get("status") or {}
    asking = [
        (container, name)
        for container in ((spec.get("template") or {}).get("spec") or {}).get("containers") or ()
        for name in _slices(container)
    ]
    if len(asking) != 1:
        return None
    container, resource = asking[0]
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    return TemplateStatus(
        container=str(container.get("name")),
        image=str(container.get("image") or ""),
        shape=profile_of(resource) or "",
        owner=owner(raw, str(container.get("name"))),
        unrollable=_unrollable(spec),
        max_unavailable=str(rolling.get("maxUnavailable", "25%")),
        max_surge=str(rolling.get("maxSurge", "25%")),
        stalled=_stalled(raw.get("metadata") or {}, status),
        mark=shape_mark(raw),
    )


def owner(raw: Object, container: str) -> str | None:
    """Who decides what that container asks for, in words; None: people, by hand."""
    metadata = raw.get("metadata") or {}
    for reference in metadata.get("ownerReferences") or ():
        if reference.get("controller"):
            return f"{reference.get('kind')} {reference.get('name')} made it and writes its template: change it there"
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if labels.get(MANAGED_BY):
        return f"it is managed by {labels[MANAGED_BY]}, as its label {MANAGED_BY} says: change it there"
    for key, tool in TOOL_MARKS.items():
        if key in labels or key in annotations:
            return f"{tool} applies it, as {key} says: change it there"
    managers = _managers(metadata, container)
    if not managers:
        return "who set its resources is not told (metadata.managedFields)"
    others = sorted(name for name, by_hand in managers.items() if not by_hand)
    if others:
        return f"{', '.join(others)} owns its resources (metadata.managedFields): change it there"
    return None


def shape_mark(raw: Object) -> ShapeMark | None:
    """What forescale wrote on a Deployment whose template it has changed; what can't be read is none of its own."""
    text = ((raw.get("metadata") or {}).get("annotations") or {}).get(SHAPE_ANNOTATION)
    if text is None:
        return None
    try:
        told = json.loads(text)
        return ShapeMark(
            before=str(told["before"]),
            after=str(told["after"]),
            container=str(told["container"]),
            image=str(told["image"]),
            replicas_before=int(told["replicas_before"]),
            replicas=int(told["replicas"]),
            phase=ShapePhase(told["phase"]),
            at_s=float(told["at_s"]),
            why=str(told.get("why", "")),
        )
    except (ValueError, KeyError, TypeError):
        return None


def mark_text(mark: ShapeMark) -> str:
    """As it is written on the Deployment."""
    return json.dumps(
        {
            "before": mark.before,
            "after": mark.after,
            "container": mark.container,
            "image": mark.image,
            "replicas_before": mark.replicas_before,
            "replicas": mark.replicas,
            "phase": mark.phase.value,
            "at_s": mark.at_s,
            "why": mark.why,
        }
    )


def _slices(container: Object) -> set[str]:
    resources = container.get("resources") or {}
    named = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name for name in named if name.startswith(RESOURCE_PREFIX)}


def _managers(metadata: Object, container: str) -> dict[str, bool]:
    """Who set anything under that container's resources, and whether by hand: not by an apply that is repeated."""
    key = "k:" + json.dumps({"name": container}, separators=(",", ":"))
    found: dict[str, bool] = {}
    for entry in metadata.get("managedFields") or ():
        place: Any = entry.get("fieldsV1") or {}
        for part in ("f:spec", "f:template", "f:spec", "f:containers", key, "f:resources"):
            place = place.get(part) if isinstance(place, Mapping) else None
        if place is None:
            continue
        name = str(entry.get("manager"))
        by_hand = name in BY_HAND and entry.get("operation") != "Apply"
        found[name] = found.get(name, True) and by_hand
    return found


def _unrollable(spec: Object) -> str | None:
    kind = (spec.get("strategy") or {}).get("type", "RollingUpdate")
    if kind != "RollingUpdate":
        return f"its strategy is {kind}: all old replicas would go first, set it to RollingUpdate"
    if spec.get("paused"):
        return "its rollouts are paused"
    return None


def _stalled(metadata: Object, status: Object) -> str | None:
    if int(metadata.get("generation") or 0) > int(status.get("observedGeneration") or 0):
        return None
    for condition in status.get("conditions") or ():
        if (
            condition.get("type") == "Progressing"
            and condition.get("status") == "False"
            and condition.get("reason") == "ProgressDeadlineExceeded"
        ):
            return f"ProgressDeadlineExceeded: {condition.get('message', '')}"
    return None
