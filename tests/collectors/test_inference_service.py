"""Who scales an InferenceService, by its mode, its class and what KServe made of it: given, told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.actuators.kserve import patch
from autoscaler.collectors import inference_service
from autoscaler.collectors.inference_service import CLASS, MODE, InferenceServiceView
from autoscaler.collectors.kserve import STOP, Resolved
from autoscaler.core.reasons import Reason
from autoscaler.core.types import SetReplicas, WorkloadId

VIEW = InferenceServiceView(
    uid="u",
    namespace="team",
    name="bert",
    version="41",
    api_version="serving.kserve.io/v1beta1",
    annotations={"forescale.io/slo": "99% < 300ms"},
    mode_given="Standard",
    class_given="external",
    max_replicas=None,
    multi_node=False,
)
SCALE = "/apis/apps/v1/namespaces/team/deployments/bert-predictor/scale"
SERVICE = "/apis/serving.kserve.io/v1beta1/namespaces/team/inferenceservices/bert"
REVISION = "/apis/serving.knative.dev/v1/namespaces/team/revisions/bert-predictor-00002"


def resolved(
    *,
    deployment: str | None = "bert-predictor",
    revision: str | None = None,
    knative_follows: bool = False,
    holder: str | None = None,
    **changes: Any,
) -> Resolved:
    return inference_service.resolve(
        replace(VIEW, **changes),
        deployment=deployment,
        revision=revision,
        knative_follows=knative_follows,
        holder=holder,
    )


@pytest.mark.parametrize(
    ("told", "path"),
    [
        pytest.param(resolved(), SCALE, id="external"),
        pytest.param(resolved(class_given="External"), SCALE, id="in whatever case"),
        pytest.param(resolved(mode_given="RawDeployment"), SCALE, id="the mode's older name"),
        pytest.param(resolved(mode_given=None), SCALE, id="KServe owns the Deployment: Standard"),
        pytest.param(resolved(class_given="none"), SERVICE, id="none"),
        pytest.param(
            resolved(mode_given="Knative", revision="bert-predictor-00002", knative_follows=True),
            REVISION,
            id="Knative that follows its Revision",
        ),
        pytest.param(
            resolved(mode_given=None, revision="bert-predictor-00002", knative_follows=True),
            REVISION,
            id="a Revision owns the Deployment: Knative",
        ),
    ],
)
def test_where_replicas_are_written(told: Resolved, path: str) -> None:
    assert told.write is not None
    assert told.write.path == path


@pytest.mark.parametrize(
    ("told", "by", "hand_over"),
    [
        (resolved(class_given=None), "KServe's own autoscaler (hpa, by default)", f"set {CLASS}: external"),
        (resolved(class_given="hpa"), f"KServe's own autoscaler (hpa, by {CLASS}: hpa)", f"set {CLASS}: external"),
        (resolved(class_given="keda"), f"KServe's own autoscaler (keda, by {CLASS}: keda)", f"set {CLASS}: external"),
        (
            resolved(mode_given="Serverless", revision="r-1"),
            "Knative's autoscaler (Revision r-1)",
            "with Knative 1.21 or newer set kserve.patch_revisions in the policy",
        ),
        (resolved(holder="ScaledObject team/x"), "ScaledObject team/x", "delete it"),
        (resolved(class_given="none", holder="ScaledObject team/x"), "ScaledObject team/x", "delete it"),
        (
            resolved(class_given="hpa", holder="HorizontalPodAutoscaler team/bert-predictor"),
            f"KServe's own autoscaler (hpa, by {CLASS}: hpa)",
            f"set {CLASS}: external",
        ),
        (resolved(stopped=True, deployment=None), f"KServe ({STOP}: true)", f"take {STOP} off"),
    ],
)  # fmt: skip
def test_who_holds_it_and_how_it_is_handed_over(told: Resolved, by: str, hand_over: str) -> None:
    assert (told.write, told.held_by, told.hand_over) == (None, by, hand_over)


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (
            resolved(multi_node=True),
            "team/inferenceservice/bert spec.predictor.workerSpec: is set, multi-node services are not scaled: "
            "a replica is a group of pods on several nodes",
        ),
        (
            resolved(mode_given="ModelMesh"),
            f"team/inferenceservice/bert {MODE}: 'ModelMesh', Standard or Knative is needed",
        ),
        (
            resolved(mode_given=None, deployment=None),
            f"team/inferenceservice/bert {MODE}: is not set, Standard or Knative is needed",
        ),
        (
            resolved(deployment=None),
            "team/inferenceservice/bert Deployment of the predictor: is not there, one whose ownerReferences",
        ),
        (
            resolved(class_given="kpa"),
            f"team/inferenceservice/bert {CLASS}: 'kpa', external or none lets forescale scale it",
        ),
        (
            resolved(mode_given="Knative"),
            "team/inferenceservice/bert label serving.knative.dev/revision: is on none of its Deployments",
        ),
    ],
)
def test_what_can_not_be_worked_out_names_the_fields_that_decide(
    told: Resolved, problem: str
) -> None:
    assert told.write is None
    assert told.held_by is None
    assert problem in str(told.problem)


def action(replicas: int) -> SetReplicas:
    return SetReplicas(
        workload=WorkloadId(namespace="team", name="bert", kind="InferenceService"),
        api_version=inference_service.API_VERSION,
        observed=2,
        replicas=replicas,
        reason=Reason.DEMAND_RISING,
        message="",
    )


@pytest.mark.parametrize(
    ("told", "steps"),
    [
        (resolved(), [("test", "/spec/replicas", 2), ("add", "/spec/replicas", 5)]),
        (
            resolved(class_given="none"),
            [("test", "/metadata/resourceVersion", "41"), ("add", "/spec/predictor/minReplicas", 5)],
        ),
        (
            resolved(mode_given="Knative", revision="bert-predictor-00002", knative_follows=True),
            [
                ("add", "/metadata/annotations/autoscaling.knative.dev~1min-scale", "5"),
                ("add", "/metadata/annotations/autoscaling.knative.dev~1max-scale", "5"),
            ],
        ),
    ],
)  # fmt: skip
def test_what_is_written(told: Resolved, steps: list[tuple[str, str, object]]) -> None:
    assert told.write is not None
    done = patch(told.write, action(5))
    assert [(step["op"], step["path"], step["value"]) for step in done] == steps


def test_a_service_is_read_with_what_decides_about_it() -> None:
    raw = {
        "metadata": {
            "uid": "u",
            "namespace": "team",
            "name": "bert",
            "resourceVersion": "41",
            "annotations": {**VIEW.annotations, CLASS: "external", "other": "x"},
        },
        "spec": {"predictor": {"minReplicas": 1, "maxReplicas": 0}},
        "status": {"deploymentMode": "Standard"},
    }
    assert inference_service.service(raw) == VIEW
    raw["spec"] = {"predictor": {"maxReplicas": 4, "workerSpec": {}}}
    told = inference_service.service(raw)
    assert told is not None
    assert (told.max_replicas, told.multi_node) == (4, True)
    raw["metadata"] = {**raw["metadata"], "annotations": {**VIEW.annotations, STOP: "true"}}  # type: ignore[dict-item]
    told = inference_service.service(raw)
    assert told is not None
    assert told.stopped
    raw["metadata"] = {**raw["metadata"], "annotations": {CLASS: "external"}}  # type: ignore[dict-item]
    assert inference_service.service(raw) is None
