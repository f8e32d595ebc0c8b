"""Every check against what a cluster may show: each fault is found and has a remedy; what is hidden is unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.config import Settings
from autoscaler.controller.doctor import autoscalers, gpus, metrics, workloads
from autoscaler.controller.doctor.cluster import Cluster
from autoscaler.controller.doctor.diagnosis import Diagnosis, Level
from autoscaler.controller.ports import ObservedWorkload, Samples
from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.nodes.placement import HOST_LABEL, ZONE_LABEL, Placement, SpreadRule
from autoscaler.core.nodes.settings import NodeSettings, PoolSettings
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.settings import SlicePoolSettings, SliceSettings, SlicesMode
from autoscaler.core.types import (
    ModelCounters,
    PodSample,
    PodStatus,
    ReplicaStatus,
    Survive,
    WorkloadId,
)
from tests.core.story import spec
from tests.core.test_ledger import slo

GPU = "nvidia.com/gpu"
POOL = PoolSettings(labels={"karpenter.sh/nodepool": "h100"}, max_headroom=8)
POOLED = Settings(engine=EngineConfig(nodes=NodeSettings(pools={"h100": POOL})))
GROUPED = Settings(
    engine=EngineConfig(
        nodes=NodeSettings(
            pools={"h100": PoolSettings(labels={"pool": "h"}, max_headroom=8, node_group="h100")}
        )
    )
)
ZONES = PoolSettings(labels={"pool": "h"}, max_headroom=8, node_groups=("gpu-a", "gpu-b", "gpu-c"))
ZONED = Settings(engine=EngineConfig(nodes=NodeSettings(pools={"h100": ZONES})))


def program(image: str, *args: str, **env: str) -> dict[str, Any]:
    container = {
        "name": "controller",
        "image": image,
        "args": list(args),
        "env": [{"name": k, "value": v} for k, v in env.items()],
    }
    return {
        "metadata": {"name": "x", "namespace": "kube-system"},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


def status(*groups: str) -> dict[str, Any]:
    told = ", ".join(f"{{name: {name}}}" for name in groups)
    return {"data": {"status": f"nodeGroups: [{told}]"}}


def node_pool(name: str, after: str = "300s") -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"disruption": {"consolidateAfter": after}}}


KARPENTER = program(
    "public.ecr.aws/karpenter/controller:1.14.1", FEATURE_GATES="CapacityBuffer=true"
)
BOTH_FLAGS = [f"--{flag}=true" for flag in autoscalers.BUFFER_FLAGS]
CA = "registry.k8s.io/autoscaling/cluster-autoscaler:v1.35.0"


def worst(found: list[Diagnosis]) -> list[tuple[str, str]]:
    """(level, found) of all that is not fine, each of which has a remedy."""
    wrong = [item for item in found if item.level is not Level.OK]
    assert all(item.remedy for item in wrong)
    return [(item.level.value, item.found) for item in wrong]


@pytest.mark.parametrize(
    ("settings", "cluster", "wrong"),
    [
        pytest.param(Settings(), Cluster(), [], id="no pool, nothing is asked"),
        pytest.param(
            POOLED,
            Cluster(),
            [("error", "neither Karpenter nor a cluster-autoscaler was found")],
            id="none",
        ),
        pytest.param(
            POOLED,
            Cluster(unreadable={"status": "status 403"}),
            [("unknown", "status 403")],
            id="hidden is not absent",
        ),
        pytest.param(
            POOLED,
            Cluster(found={"node pools": (node_pool("h100"),), "deployments": (KARPENTER,)}),
            [],
            id="Karpenter as it should be",
        ),
        pytest.param(
            POOLED,
            Cluster(
                found={
                    "node pools": (node_pool("h100", "0s"),),
                    "deployments": (program("karpenter/controller:1.14.1"),),
                }
            ),
            [
                ("warning", "NodePool h100 has consolidateAfter 0s"),
                ("warning", "Karpenter's gate CapacityBuffer is off"),
            ],
            id="Karpenter in a hurry and without the gate",
        ),
        pytest.param(
            POOLED,
            Cluster(found={"node pools": (node_pool("a100"),)}),
            [("error", "there is no NodePool h100")],
            id="a pool that is not there",
        ),
        pytest.param(
            POOLED,
            Cluster(
                found={
                    "node pools": (node_pool("h100"),),
                    "deployments": (KARPENTER, program(CA, "--bypassed-scheduler-names=x")),
                }
            ),
            [("warning", "Karpenter and a cluster-autoscaler both run")],
            id="two at once",
        ),
        pytest.param(
            GROUPED,
            Cluster(
                found={
                    "deployments": (program(CA, "--bypassed-scheduler-names=x", *BOTH_FLAGS),),
                    "capacity buffers": (),
                }
            ),
            [],
            id="cluster-autoscaler as it should be",
        ),
        pytest.param(
            GROUPED,
            Cluster(found={"deployments": (program(CA, BOTH_FLAGS[0]),), "capacity buffers": ()}),
            [
                (
                    "warning",
                    "CapacityBuffers are served, and --capacity-buffer-pod-injection-enabled is not true",
                ),
                (
                    "warning",
                    "pending pods that ask for nvidia.com/gpu are looked at after 30 s only",
                ),
            ],
            id="one flag of two",
        ),
        pytest.param(
            GROUPED,
            Cluster(found={"status": (status("gke-h100"),)}),
            [("unknown", "it runs where its flags can't be seen, as a cloud's own does")],
            id="a cloud's own",
        ),
        pytest.param(
            GROUPED,
            Cluster(
                found={
                    "deployments": (program(CA, "--bypassed-scheduler-names=x", *BOTH_FLAGS),),
                    "status": (status("a-h100", "b-h100"),),
                }
            ),
            [
                (
                    "error",
                    "node_group h100 names no group of the cluster-autoscaler's, or several",
                )
            ],
            id="a group that can't be told",
        ),
        pytest.param(
            ZONED,
            Cluster(
                found={
                    "deployments": (program(CA, "--bypassed-scheduler-names=x", *BOTH_FLAGS),),
                    "status": (status("gpu-a", "gpu-c"),),
                }
            ),
            [
                (
                    "error",
                    "node_group gpu-b names no group of the cluster-autoscaler's, or several",
                )
            ],
            id="one zone's group is not there",
        ),
        pytest.param(
            GROUPED,
            Cluster(
                found={
                    "deployments": (program(CA, "--bypassed-scheduler-names=x", *BOTH_FLAGS),),
                    "status": ({"data": {"status": "hello"}},),
                }
            ),
            [
                (
                    "error",
                    "kube-system/cluster-autoscaler-status: neither YAML nor the older text",
                )
            ],
            id="a status that can't be read",
        ),
    ],
)
def test_node_autoscalers(
    settings: Settings, cluster: Cluster, wrong: list[tuple[str, str]]
) -> None:
    assert worst(autoscalers.check(cluster, settings)) == wrong


def node(name: str, labels: dict[str, str], **allocatable: str) -> dict[str, Any]:
    held = {key.replace("__", "/").replace("_", "."): value for key, value in allocatable.items()}
    return {"metadata": {"name": name, "labels": labels}, "status": {"allocatable": held}}


OWN = {"karpenter.sh/nodepool": "h100"}


@pytest.mark.parametrize(
    ("nodes", "wrong"),
    [
        ((), []),
        ((node("a", OWN, nvidia_com__gpu="8"),), []),
        (
            (node("a", OWN, nvidia_com__gpu="0"),),
            [("error", "none of its 1 nodes has nvidia.com/gpu")],
        ),
        (
            (node("a", OWN, nvidia_com__gpu="4"),),
            [("warning", "its nodes have 4 nvidia.com/gpu, units_per_node says 8")],
        ),
        (
            (node("a", OWN, nvidia_com__gpu="8"), node("b", OWN)),
            [("warning", "1 of its 2 nodes have no nvidia.com/gpu: b")],
        ),
        (
            (node("a", OWN, nvidia_com__gpu="8"), node("b", OWN, nvidia_com__gpu="7")),
            [("warning", "1 of its 2 nodes have fewer nvidia.com/gpu than 8: b")],
        ),
        (
            (node("a", {**OWN, "nvidia.com/gpu.sharing-strategy": "mps"}, nvidia_com__gpu="32"),),
            [
                (
                    "warning",
                    "its nodes let several pods share one GPU (mps): 32 nvidia.com/gpu are not GPUs",
                )
            ],
        ),
        (
            (node("a", {"Karpenter.sh/nodepool": "H100"}),),
            [("warning", "no node has its labels, and node a has Karpenter.sh/nodepool=H100")],
        ),
        (
            (node("a", {gpus.MIG_STATE: "failed"}),),
            [("error", "node a: its geometry could not be applied")],
        ),
    ],
)
def test_gpus_on_nodes(nodes: tuple[dict[str, Any], ...], wrong: list[tuple[str, str]]) -> None:
    assert worst(gpus.check(Cluster(found={"nodes": nodes}), POOLED)) == wrong


def test_a_node_that_is_not_ready_is_named() -> None:
    """It shows all of its GPUs, and none can be had."""
    shown = node("b", OWN, nvidia_com__gpu="8")
    shown["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    nodes = (node("a", OWN, nvidia_com__gpu="8"), shown)
    assert worst(gpus.check(Cluster(found={"nodes": nodes}), POOLED)) == [
        ("warning", "1 of its 2 nodes are not ready: b")
    ]


def test_a_node_of_two_pools_is_named() -> None:
    both = node("n1", {"pool": "mig", "gpu": "a100", "zone": "a"}, nvidia_com__gpu="8")
    pools = {
        "one": PoolSettings(labels={"gpu": "a100"}, max_headroom=8),
        "two": PoolSettings(labels={"zone": "a"}, max_headroom=8),
    }
    sliced = SlicePoolSettings(labels={"pool": "mig"}, gpu="A100-80GB", configs={})
    slices = SliceSettings(mode=SlicesMode.AUTO, pools={"mig": sliced})
    settings = Settings(engine=EngineConfig(nodes=NodeSettings(pools=pools), slices=slices))
    assert worst(gpus.check(Cluster(found={"nodes": (both,)}), settings)) == [
        ("warning", "node n1 has its labels and those of pool two: it is counted here"),
        ("error", "node n1 is of pool one too, which a node autoscaler grows"),
        ("error", "node n1 is of pool two too, which a node autoscaler grows"),
    ]


def test_taints_that_placeholders_do_not_tolerate() -> None:
    """Headroom for such nodes brings none. One that only some have may be of a node that starts."""
    nodes = [node(name, OWN, nvidia_com__gpu="8") for name in ("a", "b")]
    for made, more in zip(nodes, ((), ("starting",)), strict=True):
        keys = ("nvidia.com/gpu", "dedicated", "agent-not-ready", *more)
        made["spec"] = {"taints": [{"key": key, "effect": "NoSchedule"} for key in keys]}
    # What Karpenter's nodes have until an agent takes it off is no taint of the pool's.
    startup = {"spec": {"template": {"spec": {"startupTaints": [{"key": "agent-not-ready"}]}}}}
    shown = Cluster(found={"nodes": tuple(nodes), "node pools": (startup,)})
    found = [item for item in gpus.check(shown, POOLED) if item.level is not Level.OK]
    assert [(item.found, item.remedy) for item in found] == [
        (
            "its nodes have the taint dedicated, which placeholders do not tolerate",
            "add dedicated to engine.nodes.pools.h100.taints",
        )
    ]


def test_slices_behind_a_gpu_label_are_taken_for_a_broken_node() -> None:
    made = node("a", {"k8s.amazonaws.com/accelerator": "a100"})
    made["status"]["allocatable"] = {GPU: "0", "nvidia.com/mig-1g.10gb": "7"}
    found = gpus.check(Cluster(found={"nodes": (made,), "status": ({},)}), Settings())
    assert worst(found) == [
        (
            "warning",
            "node a shows slices only and has the label k8s.amazonaws.com/accelerator",
        )
    ]


@pytest.mark.parametrize(("state", "count"), [("ready", 0), ("notReady", 1)])
def test_the_gpu_operators_state(state: str, count: int) -> None:
    policy = {"spec": {"mig": {"strategy": "mixed"}}, "status": {"state": state}}
    found = gpus.check(Cluster(found={"cluster policies": (policy,)}), Settings())
    assert len(worst(found)) == count
    assert "strategy mixed" in [item.found for item in found]


def deployment(**spec: Any) -> dict[str, Any]:
    container = {
        "resources": {"limits": {GPU: 1}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 3}}},
    }
    return {
        "metadata": {
            "name": "bert",
            "namespace": "team",
            "annotations": {"forescale.io/slo": "p95 < 1s"},
        },
        "spec": {"template": {"spec": {"containers": [container], **spec}}},
    }


def classes(own: int = -10, **theirs: Any) -> tuple[dict[str, Any], ...]:
    return (
        {"metadata": {"name": "forescale-headroom"}, "value": own},
        {"metadata": {"name": "serving"}, "value": 100, **theirs},
    )


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        ({"priority classes": classes(), "deployments": (deployment(),)}, []),
        ({}, [("error", "there is no PriorityClass forescale-headroom")]),
        (
            {"priority classes": classes(own=-11)},
            [
                (
                    "error",
                    "forescale-headroom is -11, the cluster-autoscaler overlooks what is below -10",
                )
            ],
        ),
        (
            {"priority classes": classes(own=1000)},
            [
                (
                    "error",
                    "forescale-headroom is 1000: pods without a class can't take placeholders' room, "
                    "and placeholders evict them",
                )
            ],
        ),
        (
            {
                "priority classes": classes(preemptionPolicy="Never"),
                "deployments": (deployment(priorityClassName="serving"),),
            },
            [
                (
                    "warning",
                    "team/bert: its pods never preempt, so they can't take a placeholder's room",
                )
            ],
        ),
        (
            {
                "priority classes": classes(),
                "deployments": (deployment(terminationGracePeriodSeconds=0),),
            },
            [("error", "team/bert: its pods are killed at once")],
        ),
        (
            {
                "priority classes": classes(),
                "deployments": (deployment(containers=[{"name": "x"}]),),
            },
            [
                ("warning", "team/bert: its pods ask for no GPU"),
                ("warning", "team/bert: no preStop"),
            ],
        ),
    ],
)
def test_priorities_and_endings(
    found: dict[str, tuple[Any, ...]], wrong: list[tuple[str, str]]
) -> None:
    assert worst(workloads.check(Cluster(found=found), POOLED, ())) == wrong


def test_the_pods_of_an_llm_service_are_looked_at_too() -> None:
    """Its Deployment carries no annotation; nor does the scheduler beside it, which is not managed."""
    owner = {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "name": "llama",
        "controller": True,
    }
    found = []
    for component in ("llminferenceservice-workload", "llminferenceservice-router-scheduler"):
        made = deployment(containers=[{"name": "main", "resources": {"limits": {GPU: 1}}}])
        made["metadata"] = {
            "name": component,
            "namespace": "team",
            "labels": {"app.kubernetes.io/component": component},
            "ownerReferences": [owner],
        }
        found.append(made)
    cluster = Cluster(found={"deployments": tuple(found)})
    llama = WorkloadId(namespace="team", name="llama", kind="LLMInferenceService")
    told = worst(workloads.check(cluster, Settings(), (spec(id=llama),)))
    assert told == [("warning", "team/llminferenceservice-workload: no preStop")]
    assert worst(workloads.check(cluster, Settings(), ())) == []


SLICE = "nvidia.com/mig-5g.40gb"


@pytest.mark.parametrize(
    ("resource", "count", "pool", "wrong"),
    [
        (GPU, 8, replace(POOL, unit=8), []),
        (
            GPU,
            2,
            POOL,
            ["team/bert: a replica asks for 2 nvidia.com/gpu, and pool h100 keeps room by 1"],
        ),
        (
            GPU,
            16,
            POOL,
            [
                "team/bert: a replica asks for 16 nvidia.com/gpu, no node has more than 8, and no pool of the policy "
                "brings it"
            ],
        ),
        (
            SLICE,
            1,
            POOL,
            [
                f"team/bert: a replica asks for 1 {SLICE}, no node has any, and no pool of the policy brings it"
            ],
        ),
        (SLICE, 1, replace(POOL, resource=SLICE), []),
        (
            "nvidia.com/gpu.shared",
            1,
            replace(POOL, resource="nvidia.com/gpu.shared"),
            [
                "team/bert: it asks for 1 nvidia.com/gpu.shared, a part of a GPU that several pods share"
            ],
        ),
    ],
)
def test_whether_a_replica_finds_a_node(
    resource: str, count: int, pool: PoolSettings, wrong: list[str]
) -> None:
    settings = Settings(engine=EngineConfig(nodes=NodeSettings(pools={"h100": pool})))
    shown = {"nodes": (node("a", {}, nvidia_com__gpu="4"),), "priority classes": classes()}
    asks = spec("bert", node_needs=NodeNeeds(resource=resource, count=count))
    found = workloads.check(Cluster(found=shown), settings, (asks,))
    assert [item.found for item in found if item.check == workloads.NODES] == wrong


def test_a_quota_below_what_may_be_asked_for() -> None:
    quotas = (
        {
            "metadata": {"namespace": "team"},
            "spec": {"hard": {f"requests.{GPU}": "4", "pods": "10"}},
        },
        {
            "metadata": {"namespace": "forescale-headroom"},
            "spec": {"hard": {f"requests.{GPU}": "8"}},
        },
    )
    mine = spec(max_replicas=6, node_needs=NodeNeeds(resource=GPU, count=1))
    cluster = Cluster(found={"quotas": quotas, "priority classes": classes()})
    assert worst(workloads.check(cluster, POOLED, (mine,))) == [
        ("warning", f"team: requests.{GPU} is 4, up to 6 may be asked for")
    ]


@pytest.mark.parametrize(
    ("spread", "survive", "wrong"),
    [
        pytest.param(False, Survive.NONE, [], id="nothing is asked for"),
        pytest.param(True, Survive.NODE, [], id="one on a node"),
        pytest.param(
            True,
            Survive.ZONE,
            ["survive: zone, and no pool is configured whose nodes' zones could be looked at"],
            id="zones are not known",
        ),
        pytest.param(
            False,
            Survive.ZONE,
            [
                "survive: zone, and nothing spreads its pods: a topology spread constraint over "
                "topology.kubernetes.io/zone with DoNotSchedule is needed, else Kubernetes may put all of them into one"
            ],
            id="nothing spreads",
        ),
    ],
)
def test_what_is_to_survive_a_loss(spread: bool, survive: Survive, wrong: list[str]) -> None:
    over = tuple(SpreadRule(key=key) for key in (HOST_LABEL, ZONE_LABEL)) if spread else ()
    needs = NodeNeeds(resource=GPU, count=1, placement=Placement(spreads=over))
    told = worst(workloads.check(Cluster(), Settings(), (spec(survive=survive, node_needs=needs),)))
    assert told == [("warning", f"team/bert: {text}") for text in wrong]


@pytest.mark.parametrize(
    ("mode", "names", "wrong"),
    [
        pytest.param(SlicesMode.AUTO, ("llm", "llm"), [], id="two"),
        pytest.param(
            SlicesMode.AUTO, ("llm", "lmm"),
            ["team/llm: team/a0 is alone in it", "team/lmm: team/a1 is alone in it"],
            id="misspelt",
        ),
        pytest.param(
            SlicesMode.OFF, ("llm", "llm"), ["team/llm: named, and engine.slices.mode is off"], id="off"
        ),
        pytest.param(SlicesMode.OFF, (None, None), [], id="none is named"),
    ],
)  # fmt: skip
def test_variant_groups(mode: SlicesMode, names: tuple[str | None, ...], wrong: list[str]) -> None:
    members = [
        spec(id=WorkloadId(namespace="team", name=f"a{n}"), variant_group=name)
        for n, name in enumerate(names)
    ]
    settings = Settings(engine=EngineConfig(slices=SliceSettings(mode=mode)))
    told = worst(workloads.check(Cluster(), settings, members))
    assert told == [("warning", text) for text in wrong]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("p95 ttft < 1s, p95 tpot < 50ms", None),
        (
            "p95 ttft < 700ms, p95 tpot < 50ms",
            "no bucket ends at the threshold of p95 ttft < 700ms, so that its misses are an estimate; "
            "the nearest end at 500 ms and 1000 ms",
        ),
        (
            "p95 tpot < 10ms",
            "no bucket ends at the threshold of p95 tpot < 10ms, so that its misses are an estimate; "
            "the nearest end at 25 ms",
        ),
    ],
)
def test_a_threshold_at_which_no_bucket_ends_is_named(text: str, found: str | None) -> None:
    pods = (PodStatus(name="bert-0", created_s=0.0, ready_s=1.0),)
    counters = ModelCounters(
        model="m",
        success=100.0,
        ttft_buckets=((0.5, 90.0), (1.0, 95.0), (1e308, 100.0)),
        tpot_buckets=((0.025, 90.0), (0.05, 95.0), (1e308, 100.0)),
    )
    sample = PodSample(pod="bert-0", sampled_at_s=0.0, models=(counters,), engine="vllm")
    item = ObservedWorkload(
        spec=spec(slo=slo(text), engine="vllm"), replicas=ReplicaStatus(desired=1), pods=pods
    )
    told = metrics.check("http://p", Samples(samples={("team", "bert-0"): sample}), (item,))
    assert worst(told) == ([("warning", found)] if found else [])


def test_metrics_of_every_workload() -> None:
    pods = (
        PodStatus(name="bert-0", created_s=0.0, ready_s=1.0),
        PodStatus(name="bert-1", created_s=0.0, ready_s=1.0),
        PodStatus(name="bert-2", created_s=0.0),
    )
    item = ObservedWorkload(spec=spec(), replicas=ReplicaStatus(desired=3), pods=pods)
    sample = PodSample(pod="bert-0", sampled_at_s=0.0)
    for samples, wrong in (
        ({}, [("error", "Prometheus has none of its 2 ready pods")]),
        (
            {("team", "bert-0"): sample},
            [("warning", "Prometheus has 1 of its 2 ready pods")],
        ),
        ({("team", "bert-0"): sample, ("team", "bert-1"): sample}, []),
    ):
        assert worst(metrics.check("http://p", Samples(samples=samples), (item,))) == wrong
    found = metrics.check(
        "http://p",
        Samples(
            samples={
                ("team", n): replace(sample, pod=n, engine="vllm") for n in ("bert-0", "bert-1")
            }
        ),
        (item,),
    )
    assert found[-1].found == "vllm, 2 pods"  # as they answer, whatever was assumed
    silent = replace(item, spec=spec(silent="SGLang exports none without --enable-metrics"))
    told = metrics.check("http://p", Samples(samples={}), (silent,))
    assert told[-1].remedy == "SGLang exports none without --enable-metrics"
    told = metrics.check("http://p", Samples(error="http://p: refused"), (item,))
    assert worst(told) == [("error", "http://p: refused")]
