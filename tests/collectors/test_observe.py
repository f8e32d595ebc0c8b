"""What the collector makes of a cluster: engines by their templates, InferenceServices by their owners."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.collectors.kubernetes import KubernetesCollector
from autoscaler.collectors.seen import Seen
from autoscaler.core.annotations import Defaults
from autoscaler.core.nodes.placement import Toleration
from autoscaler.core.reasons import Reason
from autoscaler.core.types import WorkloadId
from tests.fakes.clock import FakeClock
from tests.fakes.cluster_api import ClusterApi, deployment, put_pods

APPS = "/apis/apps/v1/namespaces/team/deployments"
SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/team/inferenceservices"
BERT = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "name": "bert",
    "uid": f"{SERVICES}/bert",
    "controller": True,
}


async def looked(
    api: ClusterApi, folder: Path, *, needs: bool = False, allowed: bool = True
) -> tuple[tuple[Seen, ...], KubernetesCollector]:
    """One look."""
    async with api.serving():
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
            "contexts: [{name: c, context: {cluster: c, user: u}}]\n"
            f"clusters: [{{name: c, cluster: {{server: '{api.url}'}}}}]\n"
            "users: [{name: u, user: {}}]\n"
        )
        client = await KubernetesClient.connect(
            kubeconfig=str(kubeconfig), context=None, timeout_s=5.0
        )
        try:
            defaults = Defaults(engines=("kserve", "triton", "vllm")) if allowed else None
            collector = KubernetesCollector(
                client, FakeClock(), defaults=lambda _: defaults, node_needs=needs
            )
            await collector.read_once()
            return collector.observe(), collector
        finally:
            await client.close()


def of_image(name: str, image: str, **annotations: str) -> dict[str, Any]:
    made = deployment(name, 1, {"slo": "99% < 300ms", **annotations})
    made["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return made


async def test_the_engine_is_told_by_the_annotation_else_by_the_template(tmp_path: Path) -> None:
    api = ClusterApi()
    for name, image, own in (
        ("a", "nvcr.io/nvidia/tritonserver:25.06", {}),
        ("b", "vllm/vllm-openai:v0.11.0", {}),
        ("c", "vllm/vllm-openai:v0.11.0", {"engine": "triton"}),
        ("d", "mine:1", {}),
    ):
        api.put(f"{APPS}/{name}", of_image(name, image, **own))
        answering(api, name)
    seen, collector = await looked(api, tmp_path)
    told = {item.id.name: (item.spec.engine, item.spec.engine_from) for item in seen if item.spec}
    assert told == {
        "a": ("triton", "image nvcr.io/nvidia/tritonserver:25.06"),
        "b": ("vllm", "image vllm/vllm-openai:v0.11.0"),
        "c": ("triton", "annotation"),
        "d": ("triton", "assumed"),
    }
    # vLLM listens on port 8000 too, and is not asked for Triton's statistics.
    assert sorted(e.workload.name for e in collector.endpoints()) == ["a", "c", "d"]


def answering(api: ClusterApi, name: str) -> None:
    """A pod with an address."""
    put_pods(api, name, 1)
    path = f"/api/v1/namespaces/team/pods/{name}-0"
    pod = api.objects[path]
    pod["status"]["podIP"] = "127.0.0.9"
    api.put(path, pod)


async def test_pods_of_what_is_left_alone_are_other_tenants(tmp_path: Path) -> None:
    """They hold GPUs that no demand of ours stands for."""
    api = ClusterApi()
    for name, own in (("fine", {}), ("odd", {"min-replicas": "many"})):
        api.put(f"{APPS}/{name}", of_image(name, "tritonserver:1", **own))
        answering(api, name)
    _, collector = await looked(api, tmp_path)
    made = "/apis/apps/v1/namespaces/team/replicasets"
    assert set(collector.decided_owners()) == {
        ("team", f"{APPS}/fine"),
        ("team", f"{made}/fine-h1"),
    }


async def test_what_was_meant_for_forescale_is_told_and_left_alone(tmp_path: Path) -> None:
    """A misspelt prefix, alone or beside others; annotations at a pod template that is a person's."""
    api = ClusterApi()
    misspelt, unsafe = deployment("a", 1, {}), deployment("b", 1, {"slo": "99% < 300ms"})
    misspelt["metadata"]["annotations"] = {"forscale.io/slo": "99% < 300ms"}
    unsafe["metadata"]["annotations"]["forescale.com/max-replicas"] = "4"
    below, copied = deployment("c", 1, {}), deployment("d", 1, {})
    for made in (below, copied):
        given = {"annotations": {"forescale.io/slo": "99% < 300ms"}}
        made["spec"]["template"]["metadata"] = given
    copied["metadata"]["ownerReferences"] = [{"kind": "Llm", "uid": "u", "controller": True}]
    other = deployment("e", 1, {})
    other["metadata"]["annotations"] = {"example.com/slo": "99%", "autoscaling.io/mode": "off"}
    for made in (misspelt, unsafe, below, copied, other):
        api.put(f"{APPS}/{made['metadata']['name']}", made)
    answering(api, "a")
    service = {"namespace": "team", "name": "s", "annotations": {"forescale.i/slo": "default"}}
    api.put(f"{SERVICES}/s", {"metadata": service, "spec": {"predictor": {}}})
    seen, collector = await looked(api, tmp_path)
    assert [str(problem) for item in seen for problem in item.problems] == [
        "team/a forscale.io/slo: is no annotation of forescale, did you mean forescale.io/slo?",
        "team/b forescale.com/max-replicas: is no annotation of forescale, did you mean forescale.io/max-replicas?",
        "team/c: has forescale.io annotations at its pod template, where nobody reads them, "
        "they belong to the metadata of the Deployment itself",
        "team/inferenceservice/s forescale.i/slo: is no annotation of forescale, did you mean forescale.io/slo?",
    ]
    assert {item.spec for item in seen} == {None}
    assert {item.reason for item in seen} == {Reason.INVALID_ANNOTATION}
    assert collector.endpoints() == ()


async def test_what_another_namespace_makes_out_to_be_its_own_is_not(tmp_path: Path) -> None:
    """Kubernetes' garbage collector takes such objects away, unless a finalizer keeps them."""
    api = ClusterApi()
    api.put(f"{APPS}/a", of_image("a", "tritonserver:1"))
    answering(api, "a")
    for path in (
        "/apis/apps/v1/namespaces/team/replicasets/a-h1",
        "/api/v1/namespaces/team/pods/a-0",
    ):
        forged = copy.deepcopy(api.objects[path])
        forged["metadata"] |= {"namespace": "other", "uid": "forged"}
        forged["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "99"}
        forged["metadata"]["labels"] = {"pod-template-hash": "h2"}
        api.put(path.replace("/team/", "/other/"), forged)
    (seen,), collector = await looked(api, tmp_path)
    assert ([pod.name for pod in seen.pods], seen.replicas.template_hash) == (["a-0"], "h1")
    assert [endpoint.template_hash for endpoint in collector.endpoints()] == ["h1"]


async def test_where_annotations_have_no_effect_no_pod_is_asked(tmp_path: Path) -> None:
    api = ClusterApi()
    api.put(f"{APPS}/a", of_image("a", "tritonserver:1"))
    answering(api, "a")
    _, collector = await looked(api, tmp_path)
    assert [endpoint.pod for endpoint in collector.endpoints()] == ["a-0"]
    seen, collector = await looked(api, tmp_path, allowed=False)
    assert (seen, collector.endpoints(), set(collector.decided_owners())) == ((), (), set())


async def test_what_kserve_made_is_managed_once_by_its_service(tmp_path: Path) -> None:
    api = ClusterApi()
    api.put(
        f"{SERVICES}/bert",
        {
            "metadata": {
                "namespace": "team",
                "name": "bert",
                "annotations": {
                    "forescale.io/slo": "99% < 300ms",
                    "serving.kserve.io/autoscalerClass": "external",
                },
            },
            "spec": {"predictor": {"maxReplicas": 7}},
        },
    )
    made = of_image("bert-predictor", "nvcr.io/nvidia/tritonserver:25.06")
    made["metadata"]["ownerReferences"] = [BERT]
    api.put(f"{APPS}/bert-predictor", made)
    put_pods(api, "bert-predictor", 2)
    (seen,), collector = await looked(api, tmp_path)
    assert seen.id == WorkloadId(namespace="team", name="bert", kind="InferenceService")
    assert seen.spec is not None
    assert (seen.spec.pods_of, seen.spec.max_replicas) == ("bert-predictor", 7)
    assert [pod.name for pod in seen.pods] == ["bert-predictor-0", "bert-predictor-1"]
    assert seen.replicas.template_hash == "h1"
    write = collector.write_of(seen.id)
    assert write is not None
    assert write.path == f"{APPS}/bert-predictor/scale"
    assert collector.uid(seen.id) == f"{SERVICES}/bert"


async def test_an_autoscaler_of_somebodys_own_holds_the_deployment_of_a_service(
    tmp_path: Path,
) -> None:
    """`external` says that somebody else than KServe scales it: that may be KEDA."""
    api = ClusterApi()
    annotations = {
        "forescale.io/slo": "99% < 300ms",
        "serving.kserve.io/autoscalerClass": "external",
    }
    service = {"namespace": "team", "name": "bert", "annotations": annotations}
    api.put(f"{SERVICES}/bert", {"metadata": service, "spec": {"predictor": {}}})
    made = of_image("bert-predictor", "nvcr.io/nvidia/tritonserver:25.06")
    made["metadata"]["ownerReferences"] = [BERT]
    api.put(f"{APPS}/bert-predictor", made)
    api.put(
        "/apis/autoscaling/v2/namespaces/team/horizontalpodautoscalers/keda-hpa-bert",
        {
            "metadata": {
                "namespace": "team",
                "name": "keda-hpa-bert",
                "ownerReferences": [{"kind": "ScaledObject", "name": "bert"}],
            },
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "bert-predictor"}},
        },
    )
    (seen,), collector = await looked(api, tmp_path)
    assert seen.replicas.held_by == "ScaledObject team/bert"
    assert collector.write_of(seen.id) is None


@pytest.mark.parametrize("broken", ["/api/v1/pods", "/apis/apps/v1/replicasets"])
async def test_pods_are_known_only_while_they_and_their_owners_are_watched(
    broken: str, tmp_path: Path
) -> None:
    """Pods of a ReplicaSet that was made since are nobody's."""
    api = ClusterApi()
    api.put(f"{APPS}/a", of_image("a", "mine:1"))
    put_pods(api, "a", 1)
    (seen,), collector = await looked(api, tmp_path)
    assert seen.pods_known
    (mirror,) = [mirror for mirror in collector.mirrors if mirror.path == broken]
    mirror.error = "status 403"
    assert [item.pods_known for item in collector.observe()] == [False]


async def test_a_copy_without_its_service_is_left_alone(tmp_path: Path) -> None:
    """The service lost its annotation; KServe has not yet taken it off the Deployment."""
    api = ClusterApi()
    made = of_image("bert-predictor", "nvcr.io/nvidia/tritonserver:25.06")
    made["metadata"]["ownerReferences"] = [BERT]
    api.put(f"{APPS}/bert-predictor", made)
    seen, _ = await looked(api, tmp_path)
    assert seen == ()


async def test_a_gpu_beside_a_slice_is_refused_and_the_group_knows_its_members(
    tmp_path: Path,
) -> None:
    api = ClusterApi()
    for name, limits in (
        ("gpu", {"nvidia.com/gpu": "1"}),
        ("slice", {"nvidia.com/mig-1g.10gb": "1"}),
        ("both", {"nvidia.com/gpu": "1", "nvidia.com/mig-1g.10gb": "1"}),
        ("two", {"nvidia.com/mig-1g.10gb": "2"}),
    ):
        made = deployment(name, 1, {"slo": "99% < 300ms", "variant-group": "bert"})
        made["spec"]["template"]["metadata"] = {"labels": {"app": name}}
        made["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": limits}
        api.put(f"{APPS}/{name}", made)
    seen, collector = await looked(api, tmp_path)
    refused = {item.id.name: item for item in seen if item.problems}
    assert sorted(refused) == ["both", "two"]
    assert refused["both"].spec is None
    assert refused["both"].reason is Reason.UNSUPPORTED
    assert str(refused["both"].problems[0]) == (
        "team/both: nvidia.com/gpu: 1, nvidia.com/mig-1g.10gb: 1, one kind of GPU or slice is allowed: "
        "remove the others"
    )
    members = collector.groups()["team", "bert"]
    assert members["team/slice"] == {"app": "slice"}
    assert {item.spec.variant_group for item in seen if item.spec} == {"bert"}


async def test_a_template_must_ask_for_one_of_the_slices_that_it_may_have(tmp_path: Path) -> None:
    api = ClusterApi()
    for name, limits in (
        ("fine", {"nvidia.com/mig-2g.20gb": "1"}),
        ("third", {"nvidia.com/mig-3g.40gb": "1"}),
        ("whole", {"nvidia.com/gpu": "1"}),
        ("none", {}),
    ):
        made = deployment(name, 1, {"slo": "99% < 300ms", "slice-shapes": "1g.10gb, 2g.20gb"})
        made["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": limits}
        api.put(f"{APPS}/{name}", made)
    seen, _ = await looked(api, tmp_path)
    told = {item.id.name: [str(problem) for problem in item.problems] for item in seen}
    where = "forescale.io/slice-shapes: beside a template that asks for"
    one = "one slice in one container is allowed, of those that it names"
    assert told == {
        "fine": [],
        "third": [f"team/third {where} 3g.40gb, 1g.10gb, 2g.20gb are allowed"],
        "whole": [f"team/whole {where} nvidia.com/gpu, {one}"],
        "none": [f"team/none {where} no GPU, {one}"],
    }
    templates = {item.id.name: item.template for item in seen}
    assert templates["fine"] is not None
    assert templates["fine"].shape == "2g.20gb"


async def test_pods_tolerate_what_the_template_says_and_what_admission_added(
    tmp_path: Path,
) -> None:
    """GKE's admission adds the GPU taint's toleration to the pod; no template shows it. Without a pod it is assumed."""
    api = ClusterApi()
    made = deployment("a", 1, {"slo": "99% < 300ms"})
    spec = made["spec"]["template"]["spec"]
    spec["containers"][0]["resources"] = {"limits": {"nvidia.com/mig-1g.10gb": "1"}}
    spec["nodeSelector"] = {"disk": "ssd"}
    spec["tolerations"] = [{"key": "spot", "operator": "Exists"}]
    api.put(f"{APPS}/a", made)
    seen, collector = await looked(api, tmp_path, needs=True)
    assert collector.asked_labels() == {"disk"}
    spot = Toleration(key="spot", operator="Exists")
    added = Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")
    assumed = [
        Toleration(key=key, operator="Exists")
        for key in ("nvidia.com/gpu", "nvidia.com/mig-1g.10gb")
    ]
    assert _tolerations(seen) == (*assumed, spot)
    put_pods(api, "a", 1)
    pod = api.objects["/api/v1/namespaces/team/pods/a-0"]
    pod["spec"] = {
        "tolerations": [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 300},
        ]
    }
    api.put("/api/v1/namespaces/team/pods/a-0", pod)
    seen, _ = await looked(api, tmp_path, needs=True)
    assert _tolerations(seen) == (added, spot)


def _tolerations(seen: tuple[Seen, ...]) -> tuple[Toleration, ...]:
    (item,) = seen
    assert item.spec is not None
    assert item.spec.node_needs is not None
    return item.spec.node_needs.placement.tolerations


async def test_where_pods_may_be_is_told_of_what_is_to_survive_a_loss_without_any_pool(
    tmp_path: Path,
) -> None:
    api = ClusterApi()
    for name, own in (("a", {}), ("b", {"survive": "node"})):
        made = of_image(name, "mine:1", **own)
        pod = made["spec"]["template"]["spec"]
        pod["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
        api.put(f"{APPS}/{name}", made)
    seen, _ = await looked(api, tmp_path)
    known = {
        item.id.name: item.spec is not None and item.spec.node_needs is not None for item in seen
    }
    assert known == {"a": False, "b": True}
