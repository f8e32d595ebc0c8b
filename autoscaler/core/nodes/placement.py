"""On which nodes pods may run: labels and required node affinity, taints and tolerations, as the scheduler judges.

Source: the Kubernetes documentation, *Assigning Pods to Nodes* and *Taints and Tolerations*. What can't be judged keeps
pods away, in words: room that is not counted on is only not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NODE_NAME = "metadata.name"
"""The one field that `matchFields` may name; beside labels it is one more of them."""
HARD_EFFECTS = frozenset({"NoSchedule", "NoExecute"})
LEAVING_TAINTS = (
    "ToBeDeletedByClusterAutoscaler",
    "karpenter.sh/disrupt",
    "aws-node-termination-handler/",
    "cloud.google.com/impending-node-termination",
)
"""Beginnings of keys of a node that its autoscaler or its cloud is about to take, as a spot instance that is called
back."""
TRANSIENT_TAINTS = (
    *LEAVING_TAINTS,
    "node.kubernetes.io/",
    "node.cloudprovider.kubernetes.io/",
    "karpenter.sh/unregistered",
    "startup-taint.cluster-autoscaler.kubernetes.io/",
    "ignore-taint.cluster-autoscaler.kubernetes.io/",
    "status-taint.cluster-autoscaler.kubernetes.io/",
)
"""Beginnings of keys that say what state a node is in, not whom it is for; that state is read elsewhere."""

NODEPOOL_LABEL = "karpenter.sh/nodepool"
ZONE_LABEL = "topology.kubernetes.io/zone"
HOST_LABEL = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Requirement:
    """One expression over a label, as in `matchExpressions`."""

    key: str
    operator: str
    """`In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt` or `Lt`; another is not judged."""
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        values = f" {', '.join(self.values)}" if self.values else ""
        return f"{self.key} {self.operator}{values}"


Term = tuple[Requirement, ...]
"""All of it must hold. Without a requirement it matches no node."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Taint:
    """Of a node: pods that do not tolerate it stay away."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"

    def __str__(self) -> str:
        return (
            f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"
        )


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Toleration:
    """Of a pod: which taints do not keep it away."""

    key: str = ""
    """Empty: any key, with `Exists`."""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    """Empty: any effect."""

    def covers(self, taint: Taint) -> bool:
        """An operator that is not known covers nothing."""
        if self.effect not in ("", taint.effect):
            return False
        if self.operator == "Exists":
            return self.key in ("", taint.key)
        return self.operator == "Equal" and (self.key, self.value) == (taint.key, taint.value)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SpreadRule:
    """A topology spread constraint (`DoNotSchedule`) over a pod's own kind."""

    key: str
    """The node label whose values are the domains."""
    max_skew: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What a pod template says of nodes beside its node selector."""

    terms: tuple[Term, ...] | None = None
    """Required node affinity: one of them must match; None: there is none."""
    tolerations: tuple[Toleration, ...] = ()
    spreads: tuple[SpreadRule, ...] = ()
    alone: bool = False
    """Required anti-affinity to its own kind on a node: one there at most."""

    def skew(self, key: str) -> int | None:
        """The most by which it lets the values of a label differ; None: it is not spread over them."""
        return min((rule.max_skew for rule in self.spreads if rule.key == key), default=None)


def selects(selector: Term, labels: Mapping[str, str]) -> bool:
    """Whether all requirements hold for these labels; without one they do."""
    return all(_holds(one, labels.get(one.key)) for one in selector)


def kept_from_labels(
    placement: Placement,
    selector: tuple[tuple[str, str], ...],
    labels: Mapping[str, str],
    *,
    complete: bool,
) -> str | None:
    """Why pods may not go to a node with these labels; None: nothing of what is known keeps them away.

    `complete`: a label that is not among them is not there. Otherwise they are those that a whole pool is known by, and
    what they do not tell keeps nobody away.
    """
    for key, value in selector:
        found = labels.get(key)
        if found != value and (complete or found is not None):
            return f"{key} is {found or 'missing'}, {value} is asked for"
    if placement.terms is None:
        return None
    unmet = [_unmet(term, labels, complete=complete) for term in placement.terms]
    if not unmet:
        return "the required node affinity has no term"
    return None if any(one is None for one in unmet) else next(filter(None, unmet))


def kept_by_taint(placement: Placement, taints: tuple[Taint, ...]) -> str | None:
    """The first taint that pods do not tolerate, in words; None: there is none."""
    for taint in taints:
        if not any(toleration.covers(taint) for toleration in placement.tolerations):
            return f"the taint {taint} is not tolerated"
    return None


def lasting(taints: tuple[Taint, ...]) -> tuple[Taint, ...]:
    """Taints that say whom a node is for, each once, in order."""
    return tuple(
        sorted(
            {
                taint
                for taint in taints
                if taint.effect in HARD_EFFECTS and not taint.key.startswith(TRANSIENT_TAINTS)
            }
        )
    )


def _unmet(term: Term, labels: Mapping[str, str], *, complete: bool) -> str | None:
    if not term:
        return "an empty term of the required node affinity matches no node"
    for one in term:
        if one.key not in labels and not complete:
            continue
        if not _holds(one, labels.get(one.key)):
            return f"{one} is asked for, {one.key} is {labels.get(one.key) or 'missing'}"
    return None


def _holds(one: Requirement, found: str | None) -> bool:
    match one.operator:
        case "In":
            return found in one.values
        case "NotIn":
            return found not in one.values
        case "Exists":
            return found is not None
        case "DoesNotExist":
            return found is None
        case "Gt" | "Lt":
            return _compares(one, found)
    return False


def _compares(one: Requirement, found: str | None) -> bool:
    try:
        (limit,) = one.values
        number, limit_number = int(found or ""), int(limit)
    except ValueError:
        return False
    return number > limit_number if one.operator == "Gt" else number < limit_number
