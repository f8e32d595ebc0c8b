"""Who scales an LLMInferenceService, by its fields and what KServe made of it: given, told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.actuators.kserve import patch
from autoscaler.collectors import llm_inference_service
from autoscaler.collectors.kserve import STOP, Resolved
from autoscaler.collectors.llm_inference_service import LlmServiceView
from autoscaler.core.reasons import Reason
from autoscaler.core.types import SetReplicas, WorkloadId

V1ALPHA1, V1ALPHA2 = "serving.kserve.io/v1alpha1", "serving.kserve.io/v1alpha2"
VIEW = LlmServiceView(
    uid="u",
    namespace="team",
    name="llama",
    version="41",
    api_version=V1ALPHA2,
    annotations={"forescale.io/slo": "p95 ttft < 2s"},
    replicas=None,
    scaling=None,
    max_replicas=None,
    multi_node=False,
    prefill=False,
    based=False,
)
WHERE = "team/llminferenceservice/llama"
SCALE = "/apis/apps/v1/namespaces/team/deployments/llama-kserve/scale"
SERVICE = f"/apis/{V1ALPHA2}/namespaces/team/llminferenceservices/llama"


def resolved(
    *,
    deployment: str | None = "llama-kserve",
    role: str | None = "both",
    holder: str | None = None,
    **changes: Any,
) -> Resolved:
    return llm_inference_service.resolve(
        replace(VIEW, **changes), deployment=deployment, role=role, holder=holder
    )


@pytest.mark.parametrize(
    ("told", "path"),
    [
        pytest.param(resolved(), SCALE, id="neither: KServe keeps the Deployment's"),
        pytest.param(resolved(role=None), SCALE, id="a role that is not told"),
        pytest.param(resolved(based=True), SCALE, id="what a base says is not seen"),
        pytest.param(resolved(replicas=2), SERVICE, id="replicas"),
        pytest.param(resolved(replicas=0), SERVICE, id="replicas, none of them"),
        pytest.param(
            resolved(replicas=2, api_version=V1ALPHA1),
            SERVICE.replace("v1alpha2", "v1alpha1"),
            id="replicas before 0.17",
        ),
    ],
)
def test_where_replicas_are_written(told: Resolved, path: str) -> None:
    assert told.write is not None
    assert told.write.path == path


@pytest.mark.parametrize(
    ("told", "by", "hand_over"),
    [
        (resolved(scaling="keda"), "KServe's own autoscaler (spec.scaling: keda)", "take spec.scaling out"),
        (
            resolved(scaling="wva, hpa", holder="HorizontalPodAutoscaler team/llama-kserve-hpa"),
            "KServe's own autoscaler (spec.scaling: wva, hpa)",
            "take spec.scaling out",
        ),
        (resolved(holder="ScaledObject team/x"), "ScaledObject team/x", "delete it"),
        (resolved(replicas=2, holder="ScaledObject team/x"), "ScaledObject team/x", "delete it"),
        (
            resolved(holder="HorizontalPodAutoscaler team/llama-kserve-hpa", based=True),
            "HorizontalPodAutoscaler team/llama-kserve-hpa",
            "delete it, or spec.scaling out of the base that brings it",
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
            resolved(multi_node=True, deployment=None),
            f"{WHERE} spec.worker: is set, multi-node services are not scaled: a replica is a group of pods on several "
            "nodes",
        ),
        (
            resolved(prefill=True),
            f"{WHERE} spec.prefill: is set, services are scaled whose pods both read prompts and decode: two "
            "Deployments need numbers of their own, which one set of annotations does not give; remove forescale's, or "
            "spec.prefill",
        ),
        (resolved(role="decode"), f"{WHERE} spec.prefill: is set by one of spec.baseRefs, services are scaled whose"),
        (
            resolved(deployment=None),
            f"{WHERE} Deployment of the model: is not there, one that KServe made for it, with "
            "app.kubernetes.io/component=llminferenceservice-workload, decides where the pods are",
        ),
        (
            resolved(api_version=V1ALPHA1),
            f"{WHERE} spec.replicas: is not set, a number is needed, which forescale writes then: a KServe before "
            "0.17, which serves v1alpha1 alone, sets the Deployment back to 1 without one",
        ),
    ],
)  # fmt: skip
def test_what_is_not_scaled_says_why_and_what_to_do(told: Resolved, problem: str) -> None:
    assert told.write is None
    assert told.held_by is None
    assert problem in str(told.problem)


@pytest.mark.parametrize(
    ("told", "steps"),
    [
        (resolved(), [("test", "/spec/replicas", 2), ("add", "/spec/replicas", 5)]),
        # KServe has not followed yet: the service's number is what must not have changed.
        (resolved(replicas=3), [("test", "/spec/replicas", 3), ("add", "/spec/replicas", 5)]),
        (resolved(replicas=0), [("test", "/spec/replicas", 0), ("add", "/spec/replicas", 5)]),
    ],
)
def test_what_is_written(told: Resolved, steps: list[tuple[str, str, object]]) -> None:
    assert told.write is not None
    action = SetReplicas(
        workload=WorkloadId(namespace="team", name="llama", kind="LLMInferenceService"),
        api_version=V1ALPHA2,
        observed=2,
        replicas=5,
        reason=Reason.DEMAND_RISING,
        message="",
    )
    done = patch(told.write, action)
    assert [(step["op"], step["path"], step["value"]) for step in done] == steps


def raw(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": V1ALPHA2,
        "kind": "LLMInferenceService",
        "metadata": {
            "uid": "u",
            "namespace": "team",
            "name": "llama",
            "resourceVersion": "41",
            "annotations": {**VIEW.annotations, "other": "x"},
        },
        "spec": spec,
    }


@pytest.mark.parametrize(
    ("spec", "changes"),
    [
        ({"model": {"uri": "hf://a/b"}}, {}),
        ({"replicas": 3}, {"replicas": 3}),
        ({"replicas": 0}, {"replicas": 0}),
        ({"worker": {}}, {"multi_node": True}),
        ({"prefill": {"replicas": 2}}, {"prefill": True}),
        ({"baseRefs": [{"name": "house"}]}, {"based": True}),
        ({"scaling": {"maxReplicas": 8, "keda": {}}}, {"scaling": "keda", "max_replicas": 8}),
        ({"scaling": {"maxReplicas": 8, "wva": {"hpa": {}}}}, {"scaling": "wva, hpa", "max_replicas": 8}),
        ({"scaling": {"maxReplicas": 8}}, {"scaling": "nothing", "max_replicas": 8}),
        ({"router": {"scheduler": {"replicas": 2}}}, {}),
    ],
)  # fmt: skip
def test_a_service_is_read_with_what_decides_about_it(
    spec: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert llm_inference_service.service(raw(**spec)) == replace(VIEW, **changes)


def test_a_service_without_annotations_is_nobodys() -> None:
    given = raw()
    given["metadata"]["annotations"] = {STOP: "true"}
    assert llm_inference_service.service(given) is None


def test_annotations_for_its_pods_are_not_for_forescale() -> None:
    given = raw(annotations={"forescale.io/slo": "p95 ttft < 2s"})
    given["metadata"]["annotations"] = {}
    told = llm_inference_service.service(given)
    assert told is not None
    assert [str(slip) for slip in told.slips] == [
        f"{WHERE}: has forescale.io annotations at its pod template, where nobody reads them, they belong to the "
        "metadata of the LLMInferenceService itself"
    ]


def test_a_stopped_service_and_an_older_version_are_seen() -> None:
    given = raw()
    given["apiVersion"] = V1ALPHA1
    given["metadata"]["annotations"][STOP] = "true"
    told = llm_inference_service.service(given)
    assert told is not None
    assert (told.stopped, told.keeps_scale) == (True, False)
