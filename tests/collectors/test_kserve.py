"""What KServe made is known by its owner, and who last changed a field by what the API server keeps."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.collectors import kserve, projection
from autoscaler.collectors.kserve import (
    COMPONENT_LABEL,
    GROUP,
    INFERENCE_SERVICE,
    LLM_INFERENCE_SERVICE,
    MODEL_COMPONENT,
    SERVICE_LABEL,
    field_owner,
)
from autoscaler.core.types import WorkloadId

ISVC, LLM, REVISION = (
    {"apiVersion": f"{GROUP}/v1beta1", "kind": INFERENCE_SERVICE},
    {"apiVersion": f"{GROUP}/v1alpha2", "kind": LLM_INFERENCE_SERVICE},
    {"apiVersion": "serving.knative.dev/v1", "kind": "Revision"},
)
OLDER_LLM = {**LLM, "apiVersion": f"{GROUP}/v1alpha1"}


def owned(owner: dict[str, str], name: str, labels: dict[str, str]) -> dict[str, Any]:
    """A Deployment with annotations, of KServe or of Knative."""
    return {
        "metadata": {
            "uid": "d",
            "namespace": "team",
            "name": f"{name}-predictor",
            "annotations": {"forescale.io/slo": "99% < 300ms"},
            "labels": labels,
            "ownerReferences": [{**owner, "name": name, "uid": "o", "controller": True}],
        },
        "spec": {"replicas": 2},
    }


@pytest.mark.parametrize(
    ("owner", "labels", "kind", "uid", "predictor"),
    [
        (ISVC, {"component": "predictor"}, INFERENCE_SERVICE, "o", True),
        (ISVC, {"component": "transformer"}, INFERENCE_SERVICE, "o", False),
        (ISVC, {}, INFERENCE_SERVICE, "o", True),
        (REVISION, {SERVICE_LABEL: "bert"}, INFERENCE_SERVICE, None, True),
        (LLM, {COMPONENT_LABEL: MODEL_COMPONENT}, LLM_INFERENCE_SERVICE, "o", True),
        (OLDER_LLM, {COMPONENT_LABEL: MODEL_COMPONENT}, LLM_INFERENCE_SERVICE, "o", True),
        (LLM, {COMPONENT_LABEL: f"{MODEL_COMPONENT}-prefill"}, LLM_INFERENCE_SERVICE, "o", False),
        (LLM, {COMPONENT_LABEL: "llminferenceservice-router-scheduler"}, LLM_INFERENCE_SERVICE, "o", False),
        (LLM, {}, LLM_INFERENCE_SERVICE, "o", False),
    ],
)  # fmt: skip
def test_what_kserve_made_is_known_by_its_owner(
    owner: dict[str, str], labels: dict[str, str], kind: str, uid: str | None, predictor: bool
) -> None:
    view = projection.target(owned(owner, "bert", labels), "Deployment")
    assert view is not None
    assert view.made is not None
    assert view.made.service == WorkloadId(namespace="team", name="bert", kind=kind)
    assert (view.made.uid, view.made.predictor) == (uid, predictor)


@pytest.mark.parametrize(
    "owner",
    [
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"},
        # Another project's kind of the same name.
        {"apiVersion": "ome.io/v1beta1", "kind": INFERENCE_SERVICE},
        {"apiVersion": f"{GROUP}/v1alpha1", "kind": "InferenceGraph"},
        REVISION,
        {**LLM, "controller": ""},
    ],
)
def test_what_another_made_is_not_kserves(owner: dict[str, str]) -> None:
    raw = owned(owner, "bert", {})
    raw["metadata"]["ownerReferences"][0]["controller"] = "controller" not in owner
    view = projection.target(raw, "Deployment")
    assert view is not None
    assert view.made is None


def test_annotations_on_what_kserve_made_for_an_llm_are_strays() -> None:
    """KServe copies those of an InferenceService, and none of an LLMInferenceService."""
    model = owned(LLM, "llama", {COMPONENT_LABEL: MODEL_COMPONENT})
    view = projection.target(model, "Deployment")
    assert view is not None
    assert [str(slip) for slip in view.slips] == [
        "team/llama-predictor: has forescale.io annotations, and KServe made it for LLMInferenceService llama, "
        "they belong to the metadata of that: remove them here"
    ]
    del model["metadata"]["annotations"]
    view = projection.target(model, "Deployment")
    assert view is not None
    assert view.slips == ()
    copy = projection.target(owned(ISVC, "bert", {}), "Deployment")
    assert copy is not None
    assert copy.slips == ()


def entry(manager: str, *path: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for part in reversed(path):
        fields = {f"f:{part}": fields}
    return {"manager": manager, "fieldsV1": fields}


@pytest.mark.parametrize(
    ("entries", "owner"),
    [
        ([], None),
        ([entry("kubectl", "spec", "replicas"), entry("manager", "status", "url")], "kubectl"),
        ([entry("kubectl", "spec", "template"), entry("manager", "spec")], None),
        ([entry("kubectl", "spec", "replicas"), entry("helm", "spec", "replicas")], None),
        ([{"manager": "old"}, entry("helm", "spec", "replicas")], "helm"),
    ],
)
def test_who_last_changed_a_field(entries: list[dict[str, Any]], owner: str | None) -> None:
    metadata = {"managedFields": entries}
    assert field_owner(metadata, "spec", "replicas") == owner


def test_the_kinds_are_those_that_are_written_otherwise_than_by_their_scale() -> None:
    from autoscaler.core.writes import SERVICES

    assert {kserve.INFERENCE_SERVICE, kserve.LLM_INFERENCE_SERVICE} == SERVICES
