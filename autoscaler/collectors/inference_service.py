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

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from autoscaler.collectors.kserve import (
    GROUP,
    INFERENCE_SERVICE,
    REVISION_LABEL,
    Object,
    Resolved,
    ServiceView,
    common,
    refused,
    scale_of,
    several_nodes,
    stopped,
)
from autoscaler.core.writes import ReplicaWrite

KIND, PLURAL, API_VERSION = INFERENCE_SERVICE, "inferenceservices", f"{GROUP}/v1beta1"
CLASS = f"{GROUP}/autoscalerClass"
MODE = f"{GROUP}/deploymentMode"


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
class InferenceServiceView(ServiceView):
    """An InferenceService."""

    kind: ClassVar[str] = KIND
    mode_given: str | None
    """As the annotation or the status says; None: neither does."""
    class_given: str | None


def service(raw: Object, _: InferenceServiceView | None = None) -> InferenceServiceView | None:
    """None: it carries no annotation of forescale."""
    replicas_at = ("spec", "predictor", "minReplicas")
    found = common(raw, KIND, API_VERSION, replicas_at=replicas_at, at_pods=())
    if found is None:
        return None
    annotations = raw["metadata"].get("annotations") or {}
    predictor = (raw.get("spec") or {}).get("predictor") or {}
    highest = predictor.get("maxReplicas")
    status = raw.get("status") or {}
    return InferenceServiceView(
        **found,
        mode_given=annotations.get(MODE) or status.get("deploymentMode"),
        class_given=annotations.get(CLASS),
        # KServe's 0 stands for no limit.
        max_replicas=int(highest) if highest else None,
        multi_node=predictor.get("workerSpec") is not None,
    )


def resolve(
    view: InferenceServiceView,
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
        return several_nodes(view, "spec.predictor.workerSpec")
    if view.stopped:
        return stopped(view)
    mode = MODES.get((view.mode_given or "").lower())
    if view.mode_given is None and deployment is not None:
        # Who owns the Deployment tells: KServe itself, or a Revision of Knative's.
        mode = Deployed.STANDARD if revision is None else Deployed.KNATIVE
    if mode is None:
        given = "is not set" if view.mode_given is None else f"{view.mode_given!r}"
        return refused(
            f"{where} {MODE}",
            given,
            "Standard or Knative is needed, there or as status.deploymentMode: it decides what is scaled",
        )
    if deployment is None:
        return refused(
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


def _standard(view: InferenceServiceView, deployment: str) -> Resolved:
    class_ = (view.class_given or "hpa").lower()
    if class_ == "external":
        return Resolved(write=scale_of(view, deployment))
    if class_ == "none":
        path = f"/apis/{view.api_version}/namespaces/{view.namespace}/{PLURAL}/{view.name}"
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
    return refused(
        f"{view.id} {CLASS}",
        f"{view.class_given!r}",
        "external or none lets forescale scale it, hpa or keda is KServe's own",
    )


def _knative(view: InferenceServiceView, revision: str | None, knative_follows: bool) -> Resolved:
    if revision is None:
        return refused(
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
