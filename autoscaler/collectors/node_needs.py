"""What a pod template asks of a node: which GPU or slice, how many, and on which nodes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.clients.objects import requests
from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.nodes.placement import (
    HOST_LABEL,
    NODE_NAME,
    ZONE_LABEL,
    Placement,
    Requirement,
    SpreadRule,
    Taint,
    Term,
    Toleration,
    lasting,
    selects,
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
        placement=Placement(
            terms=terms,
            tolerations=tolerations(spec),
            spreads=_spreads(template),
            alone=_alone(template),
        ),
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
            _requirement(one)
            for part in ("matchExpressions", "matchFields")
            for one in term.get(part) or ()
        )
        for term in required.get("nodeSelectorTerms") or ()
    )


def _spreads(template: Object) -> tuple[SpreadRule, ...]:
    """Constraints over a node or a zone that are enforced and that count the template's own pods."""
    found = set()
    for one in (template.get("spec") or {}).get("topologySpreadConstraints") or ():
        enforced = one.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule"
        key = str(one.get("topologyKey"))
        if enforced and key in (HOST_LABEL, ZONE_LABEL) and _counts_itself(template, one):
            found.add(SpreadRule(key=key, max_skew=max(1, int(one.get("maxSkew") or 1))))
    return tuple(sorted(found))


def _alone(template: Object) -> bool:
    affinity = ((template.get("spec") or {}).get("affinity") or {}).get("podAntiAffinity") or {}
    return any(
        one.get("topologyKey") == HOST_LABEL and _counts_itself(template, one)
        for one in affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    )


def _counts_itself(template: Object, rule: Object) -> bool:
    """Whether a rule's label selector selects the template's own pods; without a selector it selects none."""
    selector = rule.get("labelSelector")
    if selector is None:
        return False
    exact = {str(k): str(v) for k, v in (selector.get("matchLabels") or {}).items()}
    wanted = [Requirement(key=k, operator="In", values=(v,)) for k, v in exact.items()]
    wanted += [_requirement(one) for one in selector.get("matchExpressions") or ()]
    return selects(tuple(wanted), (template.get("metadata") or {}).get("labels") or {})


def _requirement(raw: Object) -> Requirement:
    return Requirement(
        key=str(raw.get("key")),
        operator=str(raw.get("operator")),
        values=tuple(str(value) for value in raw.get("values") or ()),
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
