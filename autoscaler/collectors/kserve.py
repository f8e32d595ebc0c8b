"""KServe's two kinds of services: what they have in common, and how what KServe made for one is known. Pure.

Who scales one is decided by the rules of its kind: inference_service.py, llm_inference_service.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from autoscaler.core.annotations import PREFIX, slips
from autoscaler.core.types import WorkloadId
from autoscaler.core.writes import ReplicaWrite
from autoscaler.errors import Problem

Object = Mapping[str, Any]
GROUP = "serving.kserve.io"
INFERENCE_SERVICE, LLM_INFERENCE_SERVICE = "InferenceService", "LLMInferenceService"
STOP = f"{GROUP}/stop"
SERVICE_LABEL = f"{GROUP}/inferenceservice"
REVISION_LABEL = "serving.knative.dev/revision"
COMPONENT_LABEL = "app.kubernetes.io/component"
MODEL_COMPONENT = "llminferenceservice-workload"
"""Of an LLMInferenceService's Deployments the one that runs the model; where prefill is apart, the one that decodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """A service of KServe's that carries an annotation of forescale, or one that was to be."""

    kind: ClassVar[str]
    uid: str
    namespace: str
    name: str
    version: str
    """resourceVersion."""
    api_version: str
    annotations: Mapping[str, str]
    max_replicas: int | None
    multi_node: bool
    stopped: bool = False
    """A person had KServe take its pods away."""
    set_by: str | None = None
    """Who last changed the number of replicas at the service itself; None: it is not told, or several own it."""
    slips: tuple[Problem, ...] = ()
    """Annotations that were meant for forescale, and are none."""

    @property
    def id(self) -> WorkloadId:
        return WorkloadId(namespace=self.namespace, name=self.name, kind=self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Who scales a service: forescale may (`write`), somebody else does (`held_by`), or nobody can say (`problem`)."""

    write: ReplicaWrite | None = None
    held_by: str | None = None
    hand_over: str = ""
    problem: Problem | None = None


def common(
    raw: Object,
    kind: str,
    api_version: str,
    *,
    replicas_at: tuple[str, ...],
    at_pods: Iterable[str],
) -> dict[str, Any] | None:
    """What a view has of either kind. None: it carries no annotation of forescale.

    `replicas_at` is where its number of replicas is; `at_pods` are keys of annotations that it gives to its pods.
    """
    metadata = raw["metadata"]
    annotations = metadata.get("annotations") or {}
    own = {k: v for k, v in annotations.items() if k.startswith(PREFIX)}
    where = WorkloadId(namespace=metadata["namespace"], name=metadata["name"], kind=kind)
    wrong = slips(str(where), kind, annotations, at_pods)
    if not own and not wrong:
        return None
    return {
        "uid": metadata["uid"],
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "version": str(metadata.get("resourceVersion") or ""),
        "api_version": str(raw.get("apiVersion") or api_version),
        "annotations": own,
        "stopped": str(annotations.get(STOP, "")).lower() == "true",
        "set_by": field_owner(metadata, *replicas_at),
        "slips": wrong,
    }


def field_owner(metadata: Object, *path: str) -> str | None:
    """Who last changed a field, such as ("spec", "replicas"); None: it is not told, or several own it.

    Whoever changes one, by a scale or otherwise, becomes its one owner; who repeats its value joins it.
    """
    owners = set()
    for entry in metadata.get("managedFields") or ():
        fields = entry.get("fieldsV1") or {}
        for part in path:
            fields = fields.get(f"f:{part}")
            if fields is None:
                break
        else:
            owners.add(str(entry.get("manager")))
    return owners.pop() if len(owners) == 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Whose an object is that KServe made, and what runs in it."""

    service: WorkloadId
    uid: str | None
    """The service's. None: a label names it, on what Knative made for it."""
    predictor: bool
    """It runs the model, not what goes before or after it, or shares requests out."""


def made_for(metadata: Object) -> Made | None:
    """None: KServe did not make it. It owns what it makes itself; what Knative makes for it has KServe's label."""
    labels = metadata.get("labels") or {}
    for owner in metadata.get("ownerReferences") or ():
        if not owner.get("controller"):
            continue
        kind, uid = str(owner.get("kind")), str(owner.get("uid"))
        group = str(owner.get("apiVersion")).partition("/")[0]
        name = str(owner.get("name"))
        if kind == "Revision" and SERVICE_LABEL in labels:
            kind, name, uid = INFERENCE_SERVICE, str(labels[SERVICE_LABEL]), ""
        elif group != GROUP or kind not in (INFERENCE_SERVICE, LLM_INFERENCE_SERVICE):
            continue
        return Made(
            service=WorkloadId(namespace=metadata["namespace"], name=name, kind=kind),
            uid=uid or None,
            predictor=_runs_the_model(kind, metadata["name"], labels),
        )
    return None


def _runs_the_model(kind: str, name: str, labels: Object) -> bool:
    if kind == LLM_INFERENCE_SERVICE:
        return bool(labels.get(COMPONENT_LABEL) == MODEL_COMPONENT)
    component = labels.get("component")
    return bool(component == "predictor") if component else "-predictor" in name


def scale_of(view: ServiceView, deployment: str) -> ReplicaWrite:
    """Of the Deployment that KServe made."""
    return ReplicaWrite(
        path=f"/apis/apps/v1/namespaces/{view.namespace}/deployments/{deployment}/scale",
        patch=(
            {"op": "test", "path": "/spec/replicas", "value": "observed"},
            {"op": "add", "path": "/spec/replicas", "value": None},
        ),
    )


def stopped(view: ServiceView) -> Resolved:
    """A person has switched it off, which is nothing to mend."""
    return Resolved(held_by=f"KServe ({STOP}: true)", hand_over=f"take {STOP} off")


def refused(where: str, given: str, allowed: str) -> Resolved:
    """Nobody can say who is to scale it."""
    return Resolved(problem=Problem(where, given, allowed))


def several_nodes(view: ServiceView, field: str) -> Resolved:
    """Refused: what counts replicas is another object."""
    return refused(
        f"{view.id} {field}",
        "is set",
        "multi-node services are not scaled: a replica is a group of pods on several nodes",
    )
