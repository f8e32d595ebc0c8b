"""KServe's InferenceServices: what is theirs, who scales them, and where a number of replicas is to be written. Pure.

KServe copies nearly all annotations of a service to the Deployment that it makes *and to its pod template*: so none is
ever written to a service, and a Deployment that has them from KServe is not managed a second time - its owner is.

| deployment mode | `serving.kserve.io/autoscalerClass` | written is |
|---|---|---|
| Standard (RawDeployment) | `external` | the Deployment's scale |
| | `none` | spec.predictor.minReplicas, to which KServe sets the Deployment |
| | `hpa` (KServe's default), `keda` | nothing: KServe's autoscaler holds it |
| Knative (Serverless) | | the live Revision's min-scale and max-scale, if the policy says that Knative follows |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from autoscaler.core.annotations import PREFIX, slips
from autoscaler.core.types import WorkloadId
from autoscaler.core.writes import ReplicaWrite
from autoscaler.errors import Problem

Object = Mapping[str, Any]
KIND, API_VERSION = "InferenceService", "serving.kserve.io/v1beta1"
CLASS = "serving.kserve.io/autoscalerClass"
MODE = "serving.kserve.io/deploymentMode"
SERVICE_LABEL = "serving.kserve.io/inferenceservice"
REVISION_LABEL = "serving.knative.dev/revision"


class Deployed(StrEnum):
    """How KServe runs a service."""

    STANDARD = "Standard"
    KNATIVE = "Knative"


MODES = {
    "standard": Deployed.STANDARD,
    "rawdeployment": Deployed.STANDARD,
    "knative": Deployed.KNATIVE,
    "serverless": Deployed.KNATIVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """An InferenceService that carries an annotation of forescale, or one that was to be."""

    uid: str
    namespace: str
    name: str
    version: str
    """resourceVersion: a write to the service itself is made only if it still has it."""
    annotations: Mapping[str, str]
    mode_given: str | None
    """As the annotation or the status says; None: neither does."""
    class_given: str | None
    max_replicas: int | None
    multi_node: bool
    slips: tuple[Problem, ...] = ()
    """Annotations that were meant for forescale, and are none."""

    @property
    def id(self) -> WorkloadId:
        return WorkloadId(namespace=self.namespace, name=self.name, kind=KIND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Who scales a service: forescale may (`write`), somebody else does (`held_by`), or nobody can say (`problem`)."""

    write: ReplicaWrite | None = None
    held_by: str | None = None
    hand_over: str = ""
    problem: Problem | None = None


def service(raw: Object, _: ServiceView | None = None) -> ServiceView | None:
    """None: it carries no annotation of forescale."""
    metadata, spec = raw["metadata"], raw.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    own = {k: v for k, v in annotations.items() if k.startswith(PREFIX)}
    where = str(WorkloadId(namespace=metadata["namespace"], name=metadata["name"], kind=KIND))
    wrong = slips(where, KIND, annotations, ())
    if not own and not wrong:
        return None
    predictor = spec.get("predictor") or {}
    highest = predictor.get("maxReplicas")
    status = raw.get("status") or {}
    return ServiceView(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        version=str(metadata.get("resourceVersion") or ""),
        annotations=own,
        mode_given=annotations.get(MODE) or status.get("deploymentMode"),
        class_given=annotations.get(CLASS),
        # KServe's 0 stands for no limit.
        max_replicas=int(highest) if highest else None,
        multi_node=predictor.get("workerSpec") is not None,
        slips=wrong,
    )


def resolve(
    view: ServiceView,
    *,
    deployment: str | None,
    revision: str | None,
    knative_follows: bool,
    holder: str | None = None,
) -> Resolved:
    """What may be written for a service whose predictor runs as `deployment`, of `revision` under Knative, if no
    `holder` of somebody's own scales that Deployment."""
    where = str(view.id)
    if view.multi_node:
        return _refused(
            f"{where} spec.predictor.workerSpec",
            "is set",
            "multi-node services are not scaled: a replica is a group of pods on several nodes",
        )
    mode = MODES.get((view.mode_given or "").lower())
    if view.mode_given is None and deployment is not None:
        # Who owns the Deployment tells: KServe itself, or a Revision of Knative's.
        mode = Deployed.STANDARD if revision is None else Deployed.KNATIVE
    if mode is None:
        given = "is not set" if view.mode_given is None else f"{view.mode_given!r}"
        return _refused(
            f"{where} {MODE}",
            given,
            "Standard or Knative is needed, there or as status.deploymentMode: it decides what is scaled",
        )
    if deployment is None:
        return _refused(
            f"{where} Deployment of the predictor",
            "is not there",
            "one whose ownerReferences lead to this InferenceService decides where the pods are",
        )
    if mode is Deployed.KNATIVE:
        return _knative(view, revision, knative_follows)
    resolved = _standard(view, deployment)
    if resolved.write is not None and holder is not None:
        return Resolved(held_by=holder, hand_over="delete it")
    return resolved


def _standard(view: ServiceView, deployment: str) -> Resolved:
    class_ = (view.class_given or "hpa").lower()
    if class_ == "external":
        path = f"/apis/apps/v1/namespaces/{view.namespace}/deployments/{deployment}/scale"
        return Resolved(
            write=ReplicaWrite(
                path=path,
                patch=(
                    {"op": "test", "path": "/spec/replicas", "value": "observed"},
                    {"op": "add", "path": "/spec/replicas", "value": None},
                ),
            )
        )
    if class_ == "none":
        path = f"/apis/{API_VERSION}/namespaces/{view.namespace}/inferenceservices/{view.name}"
        return Resolved(
            write=ReplicaWrite(
                path=path,
                patch=(
                    {"op": "test", "path": "/metadata/resourceVersion", "value": view.version},
                    {"op": "add", "path": "/spec/predictor/minReplicas", "value": None},
                ),
            )
        )
    if class_ in ("hpa", "keda"):
        by = "by default" if view.class_given is None else f"by {CLASS}: {class_}"
        return Resolved(
            held_by=f"KServe's own autoscaler ({class_}, {by})",
            hand_over=f"set {CLASS}: external",
        )
    return _refused(
        f"{view.id} {CLASS}",
        f"{view.class_given!r}",
        "external or none lets forescale scale it, hpa or keda is KServe's own",
    )


def _knative(view: ServiceView, revision: str | None, knative_follows: bool) -> Resolved:
    if revision is None:
        return _refused(
            f"{view.id} label {REVISION_LABEL}",
            "is on none of its Deployments",
            "it names the live Revision, which decides what is scaled",
        )
    if not knative_follows:
        return Resolved(
            held_by=f"Knative's autoscaler (Revision {revision})",
            hand_over="with Knative 1.21 or newer set kserve.patch_revisions in the policy",
        )
    path = f"/apis/serving.knative.dev/v1/namespaces/{view.namespace}/revisions/{revision}"
    annotation = "/metadata/annotations/autoscaling.knative.dev~1"
    return Resolved(
        write=ReplicaWrite(
            path=path,
            patch=(
                {"op": "add", "path": f"{annotation}min-scale", "value": None},
                {"op": "add", "path": f"{annotation}max-scale", "value": None},
            ),
            as_text=True,
        )
    )


def _refused(where: str, given: str, allowed: str) -> Resolved:
    return Resolved(problem=Problem(where, given, allowed))
