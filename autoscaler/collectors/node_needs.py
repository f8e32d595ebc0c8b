"""What a pod template asks of a node: which GPU or slice, how many, and on which nodes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.clients.objects import requests
from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.nodes.placement import (
    NODE_NAME,
    Placement,
    Requirement,
    Taint,
    Term,
    Toleration,
    lasting,
)

Object = Mapping[str, Any]


def node_needs(template: Object) -> NodeNeeds | None:
    """What a pod template asks of a node; None: no extended resource. Of several, the first by name counts."""
    spec = template.get("spec") or {}
    held = {k: v for k, v in requests(spec).items() if v > 0 and "/" in k}
    gpus = sorted(k for k in held if "gpu" in k or "/mig-" in k)
    if not gpus:
        return None
    terms = _terms(spec)
    selector = {str(k): str(v) for k, v in (spec.get("nodeSelector") or {}).items()}
    selector |= _single(terms)
    return NodeNeeds(
        resource=gpus[0],
        count=held[gpus[0]],
        selector=tuple(sorted(selector.items())),
        placement=Placement(terms=terms, tolerations=tolerations(spec)),
    )


def tolerations(spec: Object) -> tuple[Toleration, ...]:
    """Of a pod's spec, each once, in order. One that ends after a time is none: the pod would be evicted then."""
    return tuple(
        sorted(
            {
                Toleration(
                    key=str(one.get("key") or ""),
                    operator=str(one.get("operator") or "Equal"),
                    value=str(one.get("value") or ""),
                    effect=str(one.get("effect") or ""),
                )
                for one in spec.get("tolerations") or ()
                if one.get("tolerationSeconds") is None
            }
        )
    )


def taints(spec: Object) -> tuple[Taint, ...]:
    """Of a node's spec, those that say whom it is for."""
    return lasting(
        tuple(
            Taint(
                key=str(one.get("key")),
                value=str(one.get("value") or ""),
                effect=str(one.get("effect")),
            )
            for one in spec.get("taints") or ()
        )
    )


def _terms(spec: Object) -> tuple[Term, ...] | None:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return None
    return tuple(
        tuple(
            Requirement(
                key=str(one.get("key")),
                operator=str(one.get("operator")),
                values=tuple(str(value) for value in one.get("values") or ()),
            )
            for part in ("matchExpressions", "matchFields")
            for one in term.get(part) or ()
        )
        for term in required.get("nodeSelectorTerms") or ()
    )


def _single(terms: tuple[Term, ...] | None) -> dict[str, str]:
    """Labels that the only term leaves one value for: as good as a node selector."""
    if terms is None or len(terms) != 1:
        return {}
    return {
        one.key: one.values[0]
        for one in terms[0]
        if one.operator == "In" and len(one.values) == 1 and one.key != NODE_NAME
    }
