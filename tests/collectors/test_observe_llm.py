"""What the collector makes of LLMInferenceServices, and of what people take for granted about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoscaler.collectors.seen import Seen
from autoscaler.core.reasons import Reason
from autoscaler.core.types import WorkloadId
from tests.collectors.test_observe import APPS, SERVICES, looked, of_image
from tests.fakes.cluster_api import ClusterApi, put_pods

V1ALPHA2 = "/apis/serving.kserve.io/v1alpha2/namespaces/team/llminferenceservices"
V1ALPHA1 = V1ALPHA2.replace("v1alpha2", "v1alpha1")
LLAMA = WorkloadId(namespace="team", name="llama", kind="LLMInferenceService")
SLO = {"forescale.io/slo": "p95 ttft < 2s, p95 tpot < 50ms"}
IMAGE = "ghcr.io/llm-d/llm-d-cuda:v0.6.0"


def put_service(
    api: ClusterApi,
    *,
    folder: str = V1ALPHA2,
    uid: str = "llama-1",
    annotations: dict[str, str] = SLO,
    manager: str | None = None,
    **spec: Any,
) -> None:
    """An LLMInferenceService `llama`."""
    fields: dict[str, Any] = {"fieldsV1": {"f:spec": {"f:replicas": {}}}, "manager": manager}
    api.put(
        f"{folder}/llama",
        {
            "apiVersion": "/".join(folder.split("/")[2:4]),
            "kind": "LLMInferenceService",
            "metadata": {
                "namespace": "team",
                "name": "llama",
                "uid": uid,
                "annotations": annotations,
                "managedFields": [fields] if manager else [],
            },
            "spec": {"model": {"uri": "hf://meta-llama/Llama-3.1-8B"}, **spec},
        },
    )


def put_made(
    api: ClusterApi,
    name: str = "llama-kserve",
    *,
    uid: str = "llama-1",
    component: str = "llminferenceservice-workload",
    pods: int = 1,
    image: str = IMAGE,
    annotations: dict[str, str] | None = None,
) -> None:
    """A Deployment that KServe made for it, with pods that answer."""
    made = of_image(name, image)
    made["metadata"]["annotations"] = annotations or {}
    labels = {"app.kubernetes.io/name": "llama", "app.kubernetes.io/component": component}
    made["metadata"]["labels"] = labels
    made["spec"]["template"]["metadata"] = {"labels": {**labels, "llm-d.ai/role": "both"}}
    made["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "serving.kserve.io/v1alpha2",
            "kind": "LLMInferenceService",
            "name": "llama",
            "uid": uid,
            "controller": True,
        }
    ]
    made["spec"]["replicas"] = pods
    api.put(f"{APPS}/{name}", made)
    put_pods(api, name, pods)
    for index in range(pods):
        path = f"/api/v1/namespaces/team/pods/{name}-{index}"
        pod = api.objects[path]
        pod["status"]["podIP"] = f"127.0.0.{index + 9}"
        api.put(path, pod)


def told(seen: tuple[Seen, ...]) -> dict[str, list[str]]:
    return {str(item.id): [str(problem) for problem in item.problems] for item in seen}


async def test_a_service_is_managed_and_what_else_kserve_made_for_it_is_not(tmp_path: Path) -> None:
    api = ClusterApi()
    put_service(api)
    put_made(api, pods=2)
    put_made(api, "llama-kserve-router-scheduler", component="llminferenceservice-router-scheduler")
    put_made(api, "llama-tokenizer", component="tokenizer", image="tokenizer:1")
    (seen,), collector = await looked(api, tmp_path)
    assert (seen.id, seen.api_version, seen.uid) == (
        LLAMA,
        "serving.kserve.io/v1alpha2",
        "llama-1",
    )
    assert seen.spec is not None
    assert (seen.spec.engine, seen.spec.pods_of) == ("vllm", "llama-kserve")
    assert [pod.name for pod in seen.pods] == ["llama-kserve-0", "llama-kserve-1"]
    assert (seen.replicas.desired, seen.replicas.template_hash) == (2, "h1")
    write = collector.write_of(LLAMA)
    assert write is not None
    assert write.path == f"{APPS}/llama-kserve/scale"
    assert collector.uid(LLAMA) == "llama-1"
    # Neither the scheduler nor the tokenizer is asked for Triton's statistics.
    assert collector.endpoints() == ()


async def test_what_kserve_made_for_a_service_that_is_not_annotated_is_left_alone(
    tmp_path: Path,
) -> None:
    api = ClusterApi()
    put_service(api, annotations={})
    put_made(api, image="mine:1")
    seen, collector = await looked(api, tmp_path)
    assert (seen, collector.endpoints(), set(collector.decided_owners())) == ((), (), set())


async def test_annotations_on_the_deployment_are_told_and_change_nothing(tmp_path: Path) -> None:
    """Alone they have no effect: KServe takes them away with its next update of it. Beside the service's neither."""
    api = ClusterApi()
    put_service(api, annotations={})
    put_made(api, annotations=SLO)
    seen, collector = await looked(api, tmp_path)
    stray = [
        "team/llama-kserve: has forescale.io annotations, and KServe made it for LLMInferenceService llama, "
        "they belong to the metadata of that: remove them here"
    ]
    assert told(seen) == {"team/llama-kserve": stray}
    assert seen[0].reason is Reason.INVALID_ANNOTATION
    assert collector.uid(seen[0].id) == f"{APPS}/llama-kserve"
    put_service(api)
    seen, collector = await looked(api, tmp_path)
    assert told(seen) == {"team/llama-kserve": stray, "team/llminferenceservice/llama": []}
    assert collector.write_of(LLAMA) is not None


async def test_two_kinds_of_one_name_are_two_workloads(tmp_path: Path) -> None:
    api = ClusterApi()
    put_service(api)
    put_made(api, pods=2)
    external = {"serving.kserve.io/autoscalerClass": "external"}
    metadata = {"namespace": "team", "name": "llama", "annotations": {**SLO, **external}}
    api.put(f"{SERVICES}/llama", {"metadata": metadata, "spec": {"predictor": {}}})
    made = of_image("llama-predictor", "vllm/vllm-openai:v0.11.0")
    made["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "name": "llama",
            "uid": f"{SERVICES}/llama",
            "controller": True,
        }
    ]
    api.put(f"{APPS}/llama-predictor", made)
    put_pods(api, "llama-predictor", 1)
    seen, collector = await looked(api, tmp_path)
    assert [(str(item.id), [pod.name for pod in item.pods]) for item in seen] == [
        ("team/inferenceservice/llama", ["llama-predictor-0"]),
        ("team/llminferenceservice/llama", ["llama-kserve-0", "llama-kserve-1"]),
    ]
    paths = [write.path for item in seen if (write := collector.write_of(item.id)) is not None]
    assert paths == [f"{APPS}/llama-predictor/scale", f"{APPS}/llama-kserve/scale"]


async def test_what_a_deleted_service_of_that_name_left_behind_is_not_this_ones(
    tmp_path: Path,
) -> None:
    """`kubectl delete --cascade=orphan`, or the garbage collector has not come by yet."""
    api = ClusterApi()
    put_service(api, uid="llama-2")
    put_made(api, uid="llama-1", pods=3)
    (seen,), collector = await looked(api, tmp_path)
    assert (seen.spec, seen.pods, seen.reason) == (None, (), Reason.UNSUPPORTED)
    assert "Deployment of the model: is not there" in str(seen.problems[0])
    assert collector.write_of(LLAMA) is None
    put_made(api, uid="llama-2", pods=1)
    (seen,), collector = await looked(api, tmp_path)
    assert (seen.replicas.desired, seen.uid) == (1, "llama-2")
    assert collector.write_of(LLAMA) is not None


async def test_more_replicas_than_max_replicas_are_written_where_kserve_reads_them(
    tmp_path: Path,
) -> None:
    """The annotation says how many forescale may write, the field how many there are."""
    api = ClusterApi()
    put_service(api, annotations={**SLO, "forescale.io/max-replicas": "4"}, replicas=8)
    put_made(api, pods=8)
    (seen,), collector = await looked(api, tmp_path)
    assert seen.spec is not None
    assert (seen.replicas.desired, seen.spec.max_replicas) == (8, 4)
    write = collector.write_of(LLAMA)
    assert write is not None
    assert write.path == f"{V1ALPHA2}/llama"


@pytest.mark.parametrize(
    ("replicas", "set_by"),
    [
        pytest.param(2, "argocd-controller", id="at the service, where it is written"),
        pytest.param(None, "kubectl", id="at the Deployment"),
    ],
)
async def test_who_edited_is_known_where_forescale_writes(
    replicas: int | None, set_by: str, tmp_path: Path
) -> None:
    api = ClusterApi()
    put_service(api, manager="argocd-controller", replicas=replicas)
    put_made(api, pods=2)
    made = api.objects[f"{APPS}/llama-kserve"]
    made["metadata"]["managedFields"] = [
        {"manager": "kubectl", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    ]
    api.put(f"{APPS}/llama-kserve", made)
    (seen,), _ = await looked(api, tmp_path)
    assert (seen.replicas.set_by, seen.replicas.set_by_itself) == (set_by, False)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"worker": {}}, "spec.worker: is set"),
        ({"prefill": {"replicas": 2}}, "spec.prefill: is set"),
    ],
)
async def test_what_is_not_one_deployment_is_refused(
    spec: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    api = ClusterApi()
    put_service(api, **spec)
    put_made(api)
    (seen,), collector = await looked(api, tmp_path)
    assert (seen.spec, seen.reason) == (None, Reason.UNSUPPORTED)
    assert reason in str(seen.problems[0])
    assert collector.write_of(LLAMA) is None


async def test_a_stopped_service_is_at_zero_and_nothing_to_mend(tmp_path: Path) -> None:
    api = ClusterApi()
    put_service(api, annotations={**SLO, "serving.kserve.io/stop": "true"})
    (seen,), collector = await looked(api, tmp_path)
    assert (seen.problems, seen.replicas.desired) == ((), 0)
    assert seen.replicas.held_by == "KServe (serving.kserve.io/stop: true)"
    assert collector.write_of(LLAMA) is None


async def test_the_newest_version_that_is_served_is_read(tmp_path: Path) -> None:
    """A KServe before 0.17 serves one alone, and sets a Deployment back to 1."""
    api = ClusterApi()
    put_service(api, folder=V1ALPHA1)
    put_made(api, pods=2)
    (seen,), _ = await looked(api, tmp_path)
    assert "spec.replicas: is not set, a number is needed" in str(seen.problems[0])
    put_service(api, folder=V1ALPHA1, replicas=2)
    (seen,), collector = await looked(api, tmp_path)
    assert (seen.problems, seen.api_version) == ((), "serving.kserve.io/v1alpha1")
    write = collector.write_of(LLAMA)
    assert write is not None
    assert write.path == f"{V1ALPHA1}/llama"
    # Upgraded since: the same object in both.
    put_service(api, replicas=2)
    (seen,), collector = await looked(api, tmp_path)
    assert seen.api_version == "serving.kserve.io/v1alpha2"
