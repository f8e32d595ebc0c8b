"""From Kubernetes' raw JSON to what headroom needs of nodes, node claims, GPU pods and events. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoscaler.clients.objects import requests, whole
from autoscaler.collectors.node_needs import taints
from autoscaler.collectors.projection import seconds
from autoscaler.core.nodes.observed import DIGEST_ANNOTATION, HEADROOM_LABEL
from autoscaler.core.nodes.placement import LEAVING_TAINTS, Taint

Object = Mapping[str, Any]
INSUFFICIENT = "InsufficientCapacityError"
CLUSTER_EVENTS = "default"
TROUBLES = frozenset(
    {("ReadyForProvisioning", "False"), ("LimitedByQuotas", "True"), ("ReplicaFailure", "True")}
)
"""Conditions of a CapacityBuffer or a Deployment that brings no node: a quota, a webhook, a template that is wrong."""
# What cloud providers call it in a NodeClaim's condition: InsufficientCapacity, InsufficientInstanceCapacity,
# QuotaExceeded, ZonalAllocationFailed ...
REFUSALS = ("insufficient", "quota", "outofcapacity", "allocationfailed", "limitexceeded")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A node."""

    name: str
    labels: Mapping[str, str]
    created_s: float
    ready_s: float | None
    """Since when it is ready."""
    first_ready_s: float | None
    allocatable: Mapping[str, int]
    """Extended resources only."""
    usable_s: Mapping[str, float]
    """By extended resource, when the node was first seen ready with any of it."""
    taints: tuple[Taint, ...]
    found: frozenset[str]
    """Resources of which it was of use when first seen: since when is not known."""
    leaving: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimView:
    """Karpenter's request for a node."""

    name: str
    labels: Mapping[str, str]
    requested_s: float
    registered_s: float | None
    node: str
    """Its node's name, once it is registered."""
    leaving: bool
    starting: bool
    """Karpenter waits for its startup taints to go, or for its resources: no pod is there yet."""
    refused: tuple[float, str] | None
    """(when, in whose words) it could not be launched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePoolView:
    """What a NodePool of Karpenter's may have at most."""

    name: str
    limits: Mapping[str, int]
    """Of nodes, and of extended resources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuPodView:
    """A pod that holds extended resources of a node."""

    owner: tuple[str, str]
    """What owns it, by namespace and uid."""
    node: str
    resources: Mapping[str, int]
    headroom: str
    """The pool for which it is a placeholder; empty: it is none."""
    gate: str
    """What holds it back from being scheduled, such as Kueue; empty: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalView:
    """An event that says that a node claim could not be had."""

    claim: str
    at_s: float
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadroomView:
    """One of our own objects: how much it asks for, and of what form."""

    name: str
    pool: str
    replicas: int
    digest: str
    trouble: str | None = None
    """Why it asks for nothing, as its status says; None: it says nothing of the kind."""


def node(raw: Object, before: NodeView | None, now_s: float) -> NodeView | None:
    """`before` keeps what was first seen when; the API server does not tell when a GPU became allocatable."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    created_s = seconds(metadata.get("creationTimestamp"))
    if created_s is None:
        return None
    ready_s = _since(status, "Ready")
    allocatable = extended(status.get("allocatable"))
    usable = {name for name, count in allocatable.items() if count and ready_s is not None}
    known = before.usable_s if before else {}
    seen_s = now_s if before else ready_s or now_s
    return NodeView(
        name=metadata["name"],
        labels=metadata.get("labels") or {},
        created_s=created_s,
        ready_s=ready_s,
        first_ready_s=(before.first_ready_s if before else None) or ready_s,
        allocatable=allocatable,
        # Other device plugins, of network cards for one, are there before the GPU's: each resource has its own time.
        usable_s={**dict.fromkeys(usable, seen_s), **known},
        taints=taints(spec),
        found=before.found if before else frozenset(usable),
        leaving=bool(spec.get("unschedulable")) or goes(raw),
    )


def goes(raw: Object) -> bool:
    """Whether a node is being deleted, or about to be taken by its autoscaler or its cloud."""
    taints_ = (raw.get("spec") or {}).get("taints") or ()
    told = any(str(taint.get("key")).startswith(LEAVING_TAINTS) for taint in taints_)
    return told or bool(raw["metadata"].get("deletionTimestamp"))


def claim(raw: Object, _: ClaimView | None = None) -> ClaimView | None:
    """A NodeClaim of karpenter.sh/v1."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    requested_s = seconds(metadata.get("creationTimestamp"))
    if requested_s is None:
        return None
    return ClaimView(
        name=metadata["name"],
        labels=metadata.get("labels") or {},
        requested_s=requested_s,
        registered_s=_since(status, "Registered"),
        node=str(status.get("nodeName") or ""),
        leaving=bool(metadata.get("deletionTimestamp")),
        starting=_not_yet(status, "Initialized"),
        refused=_refused(status),
    )


def node_pool(raw: Object) -> NodePoolView:
    """A NodePool of karpenter.sh/v1. Limits on processors and memory tell no number of nodes."""
    limits = (raw.get("spec") or {}).get("limits") or {}
    counts = ((name, whole(amount)) for name, amount in limits.items())
    told = {k: v for k, v in counts if v is not None and (k == "nodes" or "/" in k)}
    return NodePoolView(name=raw["metadata"]["name"], limits=told)


def gpu_pod(raw: Object, resources: frozenset[str], own_namespace: str) -> GpuPodView | None:
    """None: it holds none of `resources`, or it has ended. `own_namespace` is where placeholders are."""
    spec, status, metadata = raw["spec"], raw.get("status") or {}, raw["metadata"]
    held = {k: v for k, v in requests(spec).items() if k in resources}
    if not held or status.get("phase") in ("Succeeded", "Failed"):
        return None
    owners = [o for o in metadata.get("ownerReferences") or () if o.get("controller")]
    # Anybody may write the label: elsewhere it is believed of what does give way, as another forescale's placeholders.
    gives_way = metadata.get("namespace") == own_namespace or int(spec.get("priority") or 0) < 0
    headroom = (metadata.get("labels") or {}).get(HEADROOM_LABEL, "") if gives_way else ""
    return GpuPodView(
        owner=(str(metadata.get("namespace")), str(owners[0]["uid"]) if owners else ""),
        node=str(spec.get("nodeName") or ""),
        resources=held,
        headroom=str(headroom),
        gate=next((str(one.get("name")) for one in spec.get("schedulingGates") or ()), ""),
    )


def refusal(raw: Object) -> RefusalView | None:
    """A core/v1 Event at a NodeClaim. Those of what is in no namespace are in `default`: one in another is a tenant's
    own doing, and says nothing of nodes."""
    about = raw.get("involvedObject") or {}
    when = raw.get("lastTimestamp") or raw.get("eventTime") or raw["metadata"]["creationTimestamp"]
    at_s = seconds(when)
    elsewhere = raw["metadata"].get("namespace") != CLUSTER_EVENTS
    if about.get("kind") != "NodeClaim" or at_s is None or elsewhere:
        return None
    return RefusalView(claim=str(about.get("name")), at_s=at_s, message=str(raw.get("message")))


def headroom(raw: Object) -> HeadroomView | None:
    """A Deployment or CapacityBuffer of ours."""
    metadata, spec = raw["metadata"], raw.get("spec") or {}
    pool = (metadata.get("labels") or {}).get(HEADROOM_LABEL)
    if not pool:
        return None
    trouble = _trouble(raw.get("status") or {})
    template = (spec.get("podTemplateRef") or {"name": metadata["name"]}).get("name")
    intact = template == metadata["name"] and not _lacks_template(trouble or "")
    digest = (metadata.get("annotations") or {}).get(DIGEST_ANNOTATION, "")
    return HeadroomView(
        name=metadata["name"],
        pool=pool,
        replicas=int(spec.get("replicas") or 0),
        # Without its template a buffer is written anew with it, as one of another form is.
        digest=str(digest) if intact else "",
        trouble=trouble,
    )


def extended(resources: Mapping[str, Any] | None) -> dict[str, int]:
    """Resources with a domain, such as nvidia.com/gpu."""
    counts = ((name, whole(amount)) for name, amount in (resources or {}).items() if "/" in name)
    return {name: count for name, count in counts if count is not None}


def carries(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """All of `wanted` are there."""
    return all(labels.get(key) == value for key, value in wanted.items())


def _trouble(status: Object) -> str | None:
    for condition in status.get("conditions") or ():
        kind = str(condition.get("type"))
        if (kind, condition.get("status")) in TROUBLES:
            told = [str(condition[key]) for key in ("reason", "message") if condition.get(key)]
            return ": ".join([kind, *told])
    return None


def _lacks_template(trouble: str) -> bool:
    """Whether a buffer says that its PodTemplate is gone: Karpenter's reason, and the cluster-autoscaler's message."""
    told = trouble.lower().replace(" ", "")
    return "template" in told and "notfound" in told


def _since(status: Object, kind: str) -> float | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == kind and condition.get("status") == "True":
            return seconds(condition.get("lastTransitionTime"))
    return None


def _not_yet(status: Object, kind: str) -> bool:
    """A condition that is told and is not true."""
    conditions = status.get("conditions") or ()
    return any(one.get("type") == kind and one.get("status") != "True" for one in conditions)


def _refused(status: Object) -> tuple[float, str] | None:
    for condition in status.get("conditions") or ():
        reason = str(condition.get("reason", ""))
        if condition.get("type") != "Launched" or condition.get("status") == "True":
            continue
        at_s = seconds(condition.get("lastTransitionTime"))
        text = f"{reason}: {condition.get('message', '')}"
        if at_s is not None and any(word in text.lower().replace(" ", "") for word in REFUSALS):
            return at_s, text
    return None
