"""What a pod template asks of a node: which GPU or slice, how many, and on nodes with which labels. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.clients.objects import requests
from autoscaler.core.nodes.observed import NodeNeeds

Object = Mapping[str, Any]


def node_needs(template: Object) -> NodeNeeds | None:
    """What a pod template asks of a node; None: no extended resource. Of several, the first by name counts."""
    spec = template.get("spec") or {}
    held = {k: v for k, v in requests(spec).items() if v > 0 and "/" in k}
    gpus = sorted(k for k in held if "gpu" in k or "/mig-" in k)
    if not gpus:
        return None
    selector = {str(k): str(v) for k, v in (spec.get("nodeSelector") or {}).items()}
    selector |= _required(spec)
    return NodeNeeds(
        resource=gpus[0], count=held[gpus[0]], selector=tuple(sorted(selector.items()))
    )


def _required(spec: Object) -> dict[str, str]:
    """Labels that a required node affinity leaves one value for."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms: list[Object] = required.get("nodeSelectorTerms") or []
    if len(terms) != 1:
        return {}
    return {
        str(one["key"]): str(one["values"][0])
        for one in terms[0].get("matchExpressions") or ()
        if one.get("operator") == "In" and len(one.get("values") or ()) == 1
    }
