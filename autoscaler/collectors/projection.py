"""From Kubernetes' raw JSON to the few fields that a decision needs. Pure; one function for each kind of object."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from autoscaler.clients.objects import requests
from autoscaler.clients.templates import template_status
from autoscaler.collectors.detect import Detected, detect
from autoscaler.collectors.kserve import (
    LLM_INFERENCE_SERVICE,
    REVISION_LABEL,
    Made,
    field_owner,
    made_for,
)
from autoscaler.collectors.node_needs import node_needs, tolerations
from autoscaler.core.annotations import PREFIX, slips
from autoscaler.core.mig.choice import shape_of_requests
from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.nodes.placement import Toleration
from autoscaler.core.slices.template import SHAPE_ANNOTATION, TemplateStatus
from autoscaler.core.types import PodStatus, WorkloadId
from autoscaler.errors import Problem

Object = Mapping[str, Any]
MIG = re.compile(r"^nvidia\.com/mig-(\d+)g\.")
# What LeaderWorkerSet puts on the pods of its leaders and workers.
GROUP_LABEL = "leaderworkerset.sigs.k8s.io/name"
# Compute slices of a whole GPU.
SLICES = 7
# What a kubelet says of a container that it is about to start.
ORDINARY_WAITS = frozenset({"ContainerCreating", "PodInitializing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetView:
    """A Deployment or StatefulSet that carries an annotation of forescale, or one that was to be."""

    uid: str
    namespace: str
    name: str
    kind: str
    api_version: str
    annotations: Mapping[str, str]
    desired: int
    rolling: bool
    update_revision: str
    """A StatefulSet's newest template; a Deployment's is its newest ReplicaSet's."""
    gpus_per_replica: float
    blocked: str | None
    engine: Detected | None = None
    """As the pod template tells."""
    needs: NodeNeeds | None = None
    """What a pod asks of a node."""
    unusable: Problem | None = None
    """Why no pod of it could use what it asks for."""
    template: TemplateStatus | None = None
    """Of a Deployment whose template may ask for several slices."""
    pod_labels: Mapping[str, str] = field(default_factory=dict)
    made: Made | None = None
    """For which service KServe made it: that is managed, and not this."""
    revision: str | None = None
    """The Knative Revision that it runs."""
    slips: tuple[Problem, ...] = ()
    """Annotations that were meant for forescale, and are none."""
    replicas_set_by: str | None = None
    """Who last changed spec.replicas; None: it is not told, or several own it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSetView:
    """Which Deployment a ReplicaSet belongs to, and the template that it stands for."""

    uid: str
    namespace: str
    owner_uid: str
    template_hash: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """A pod that belongs to some controller."""

    uid: str
    namespace: str
    owner_uid: str
    ip: str
    status: PodStatus
    tolerations: tuple[Toleration, ...] = ()
    held_up: bool = False
    """It was failing before it was first ready: when it is, that tells nothing of how long a start takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderView:
    """An autoscaler and the object that it scales."""

    uid: str
    name: str
    """As people know it: `HorizontalPodAutoscaler ns/name`, or the ScaledObject that made it."""
    target: tuple[str, str, str]
    """(namespace, kind, name)."""


def seconds(text: str | None) -> float | None:
    """Kubernetes' time as seconds since the epoch; None: absent or unreadable."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def target(raw: Object, kind: str) -> TargetView | None:
    """None: it carries no annotation of forescale."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    own = {k: v for k, v in (metadata.get("annotations") or {}).items() if k.startswith(PREFIX)}
    labels = metadata.get("labels") or {}
    made = made_for(metadata)
    wrong = (
        _slips(metadata, spec.get("template") or {}, kind)
        if made is None
        else _strays(own, made, metadata["name"])
    )
    if not own and made is None and not wrong:
        return None
    return TargetView(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        kind=kind,
        api_version="apps/v1",
        annotations=own,
        desired=1 if spec.get("replicas") is None else int(spec["replicas"]),
        rolling=_rolling(raw),
        update_revision=str(status.get("updateRevision") or ""),
        gpus_per_replica=gpus(spec.get("template") or {}),
        blocked=_blocked(status),
        engine=detect(spec.get("template") or {}),
        needs=node_needs(spec.get("template") or {}),
        unusable=_unusable(metadata, spec.get("template") or {}),
        template=_template(raw, kind, own),
        pod_labels=((spec.get("template") or {}).get("metadata") or {}).get("labels") or {},
        made=made,
        revision=labels.get(REVISION_LABEL),
        slips=wrong,
        replicas_set_by=field_owner(metadata, "spec", "replicas"),
    )


def _slips(metadata: Object, template: Object, kind: str) -> tuple[Problem, ...]:
    """What another controller has put into the template of an object that it made is not for its owner to mend here."""
    made = any(owner.get("controller") for owner in metadata.get("ownerReferences") or ())
    at_template = {} if made else (template.get("metadata") or {}).get("annotations") or {}
    where = str(WorkloadId(namespace=metadata["namespace"], name=metadata["name"], kind=kind))
    return slips(where, kind, metadata.get("annotations") or {}, at_template)


def _strays(own: Collection[str], made: Made, name: str) -> tuple[Problem, ...]:
    """KServe copies an InferenceService's annotations. Of an LLMInferenceService it copies none of forescale's, so here
    a person wrote them, and its next update of the Deployment takes them away."""
    if made.service.kind != LLM_INFERENCE_SERVICE or not own:
        return ()
    return (
        Problem(
            f"{made.service.namespace}/{name}",
            f"has forescale.io annotations, and KServe made it for {made.service.kind} {made.service.name}",
            "they belong to the metadata of that: remove them here",
        ),
    )


def _rolling(raw: Object) -> bool:
    """Whether replicas of an old template are about to go, or the last change of the spec was not yet looked at.

    Those that stay until a person says so - a paused rollout's, below a partition, with OnDelete - are as many as they
    will be for days.
    """
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    if int(metadata.get("generation") or 0) > int(status.get("observedGeneration") or 0):
        return True
    strategy = spec.get("updateStrategy") or {}
    if spec.get("paused") or strategy.get("type") == "OnDelete":
        return False
    staying = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    old = int(status.get("replicas") or 0) - int(status.get("updatedReplicas") or 0)
    return old > staying


def _unusable(metadata: Object, template: Object) -> Problem | None:
    """A group of pods; a whole GPU beside a slice, slices of two kinds, or several: no pod can use them."""
    where = f"{metadata['namespace']}/{metadata['name']}"
    if (group := _group_of(metadata, template)) is not None:
        given = f"is made by the LeaderWorkerSet {group}, whose replica is a group of pods"
        return Problem(where, given, "workloads are allowed whose replica is one pod")
    shape = shape_of_requests(where, requests(template.get("spec") or {}))
    return shape if isinstance(shape, Problem) else None


def _group_of(metadata: Object, template: Object) -> str | None:
    """The LeaderWorkerSet that made it; each of its replicas is a leader with workers on other nodes."""
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("kind") == "LeaderWorkerSet":
            return str(owner.get("name"))
    labels = (template.get("metadata") or {}).get("labels") or {}
    return labels.get(GROUP_LABEL)


def _template(raw: Object, kind: str, own: Mapping[str, str]) -> TemplateStatus | None:
    """Where it is asked for, or a change of it has begun."""
    marked = SHAPE_ANNOTATION in (raw["metadata"].get("annotations") or {})
    asked = f"{PREFIX}slice-shapes" in own or marked
    return template_status(raw) if asked and kind == "Deployment" else None


def _blocked(status: Object) -> str | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return f"{condition.get('reason', 'FailedCreate')}: {condition.get('message', '')}"
    return None


def gpus(template: Object) -> float:
    """GPUs that one pod of the template holds; a slice counts as its share of seven. 1 where it asks for none."""
    total = 0.0
    for name, amount in requests(template.get("spec") or {}).items():
        if name == "nvidia.com/gpu":
            total += amount
        elif (slices := MIG.match(name)) is not None:
            total += amount * int(slices[1]) / SLICES
    return total or 1.0


def replica_set(raw: Object) -> ReplicaSetView | None:
    """From metadata alone. None: no Deployment owns it."""
    metadata = raw["metadata"]
    owner = _owner(metadata, "Deployment")
    if owner is None:
        return None
    annotations = metadata.get("annotations") or {}
    revision = str(annotations.get("deployment.kubernetes.io/revision", "0"))
    return ReplicaSetView(
        uid=metadata["uid"],
        namespace=str(metadata.get("namespace", "")),
        owner_uid=owner,
        template_hash=(metadata.get("labels") or {}).get("pod-template-hash", ""),
        revision=int(revision) if revision.isdigit() else 0,
    )


def pod(raw: Object, before: PodView | None = None) -> PodView | None:
    """None: no controller owns it, or it has ended. `before` keeps when it was first ready."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    owner = _owner(metadata, "ReplicaSet") or _owner(metadata, "StatefulSet")
    created_s = seconds(metadata.get("creationTimestamp"))
    if owner is None or created_s is None or status.get("phase") in ("Succeeded", "Failed"):
        return None
    labels = metadata.get("labels") or {}
    ready_s = _condition_since(status, "Ready")
    restarts = sum(int(c.get("restartCount") or 0) for c in status.get("containerStatuses") or ())
    first_ready_s = before.status.first_ready_s if before else None
    failing = None if ready_s is not None else _failing(status)
    held_up = failing is not None or (before is not None and before.held_up)
    if first_ready_s is None and restarts == 0 and not held_up:
        first_ready_s = ready_s
    return PodView(
        uid=metadata["uid"],
        namespace=str(metadata.get("namespace", "")),
        owner_uid=owner,
        ip=str(status.get("podIP") or ""),
        status=PodStatus(
            name=metadata["name"],
            template_hash=labels.get("pod-template-hash")
            or labels.get("controller-revision-hash", ""),
            created_s=created_s,
            ready_s=ready_s,
            first_ready_s=first_ready_s,
            scheduled_s=_condition_since(status, "PodScheduled"),
            deleted_s=seconds(metadata.get("deletionTimestamp")),
            restarts=restarts,
            unschedulable=_not_scheduled(status, "Unschedulable"),
            node=(raw.get("spec") or {}).get("nodeName") or None,
            gated=_not_scheduled(status, "SchedulingGated"),
            failing=failing,
        ),
        tolerations=tolerations(raw.get("spec") or {}),
        held_up=held_up,
    )


def _failing(status: Object) -> str | None:
    """What a container waits for that is no step of an ordinary start; of a crash loop also how it last ended."""
    for key in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(key) or ():
            waits = ((container.get("state") or {}).get("waiting") or {}).get("reason")
            if waits and waits not in ORDINARY_WAITS:
                ended = ((container.get("lastState") or {}).get("terminated") or {}).get("reason")
                after = f" after {ended}" if ended else ""
                return f"{waits} of container {container.get('name')}{after}"
    return None


def _condition_since(status: Object, kind: str) -> float | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == kind and condition.get("status") == "True":
            return seconds(condition.get("lastTransitionTime"))
    return None


def _not_scheduled(status: Object, reason: str) -> bool:
    return any(
        condition.get("type") == "PodScheduled" and condition.get("reason") == reason
        for condition in status.get("conditions") or ()
    )


def holder(raw: Object) -> HolderView | None:
    """A HorizontalPodAutoscaler; one that KEDA made is named after its ScaledObject."""
    metadata = raw["metadata"]
    reference = (raw.get("spec") or {}).get("scaleTargetRef") or {}
    namespace, name = (
        metadata["namespace"],
        f"HorizontalPodAutoscaler {metadata['namespace']}/{metadata['name']}",
    )
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("kind") == "ScaledObject":
            name = f"ScaledObject {namespace}/{owner.get('name')}"
    if not reference.get("name"):
        return None
    return HolderView(
        uid=metadata["uid"],
        name=name,
        target=(namespace, str(reference.get("kind")), str(reference["name"])),
    )


def _owner(metadata: Object, kind: str) -> str | None:
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") == kind:
            return str(owner["uid"])
    return None
