"""Node pools from the API server's own JSON: stages of a node, who holds what, stock-outs, and what is not known."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient, Configuration

from autoscaler.actuators.headroom import HeadroomActuator
from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.collectors import node_views
from autoscaler.collectors.nodes import DIFFERS, NodeCollector
from autoscaler.collectors.projection import seconds
from autoscaler.core.nodes.observed import Backend, NodeStatus, PoolInput, StockOut
from autoscaler.core.nodes.placement import Taint
from autoscaler.core.nodes.settings import PoolSettings
from tests.fakes.clock import FakeClock
from tests.fakes.cluster_api import ClusterApi
from tests.fakes.pods import WithPods, all_pods

GPU = "nvidia.com/gpu"
POOL = PoolSettings(labels={"karpenter.sh/nodepool": "h100"}, max_headroom=8)
SAMPLES = Path(__file__).parent / "samples"
OWN = "forescale-headroom"


def stamp(second: int) -> str:
    return f"2023-11-14T22:{second // 60:02d}:{second % 60:02d}Z"


T0 = seconds(stamp(0)) or 0.0


def node(
    name: str = "n1", *, gpus: int = 8, ready: bool = True, pool: str = "h100", **spec: Any
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": stamp(60),
            "labels": {"karpenter.sh/nodepool": pool},
        },
        "spec": spec,
        "status": {
            "allocatable": {"cpu": "64", GPU: str(gpus)},
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True" if ready else "False",
                    "lastTransitionTime": stamp(80),
                }
            ],
        },
    }


def node_claim(name: str, node: str = "", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": stamp(10),
            "labels": {"karpenter.sh/nodepool": "h100"},
        },
        "status": {"nodeName": node, **status},
    }


def pod(name: str, node: str, gpus: int, owner: str, **labels: str) -> dict[str, Any]:
    """A placeholder is in the namespace of placeholders."""
    return {
        "metadata": {
            "name": name,
            "namespace": OWN if labels else "team",
            "labels": labels,
            "ownerReferences": [{"controller": True, "uid": owner}],
        },
        "spec": {
            "nodeName": node,
            "containers": [{"resources": {"limits": {GPU: gpus}}}],
        },
        "status": {"phase": "Running"},
    }


@asynccontextmanager
async def looking(
    api: ClusterApi,
    pool: PoolSettings = POOL,
    *,
    clock: FakeClock | None = None,
    more: Mapping[str, PoolSettings] | None = None,
) -> AsyncIterator[WithPods[tuple[PoolInput, ...]]]:
    api.plurals |= {"nodes", "events", "deployments"}
    async with api.serving():
        client = KubernetesClient(ApiClient(Configuration(host=api.url)), timeout_s=5.0)
        clock = clock or FakeClock(now_s=T0 + 300.0)
        pools = {"h100": pool, **(more or {})}
        actuator = HeadroomActuator(
            client, pools=pools, namespace=OWN, image="pause", priority_class="low"
        )
        pods = all_pods(client, clock)
        collector = NodeCollector(
            client,
            clock,
            pools=pools,
            namespace=OWN,
            digest=actuator.digest,
            managed=lambda: {("team", "ours")},
            pods=pods,
        )
        try:
            yield WithPods(collector, pods)
        finally:
            await client.close()


async def seen(api: ClusterApi, pool: PoolSettings = POOL) -> PoolInput:
    """One look."""
    async with looking(api, pool) as collector:
        await collector.read_once()
        (found,) = collector.observe()
        return found


async def test_a_node_goes_through_its_stages() -> None:
    api = ClusterApi()
    api.put("/apis/karpenter.sh/v1/nodeclaims/h100-a", node_claim("h100-a"))
    async with looking(api) as collector:
        await collector.read_once()
        assert collector.observe()[0].nodes == (NodeStatus(name="h100-a", requested_s=T0 + 10.0),)
        api.put("/apis/karpenter.sh/v1/nodeclaims/h100-a", node_claim("h100-a", "n1"))
        api.put("/api/v1/nodes/n1", node(gpus=0))
        await collector.read_once()
        (status,) = collector.observe()[0].nodes
        assert (status.registered_s, status.ready_s) == (T0 + 60.0, T0 + 80.0)
        assert (status.allocatable_s, status.units) == (None, 0)
        usable = node(gpus=8)
        usable["metadata"]["labels"]["topology.kubernetes.io/zone"] = "b"
        api.put("/api/v1/nodes/n1", usable)
        await collector.read_once()
        (status,) = collector.observe()[0].nodes
        assert (status.name, status.requested_s) == ("h100-a", T0 + 10.0)
        assert (status.node, status.zone) == ("n1", "b")
        assert (status.allocatable_s, status.units) == (T0 + 300.0, 8)  # when it was seen


async def test_taints_on_every_node_are_the_pools() -> None:
    api = ClusterApi()
    gpu = {"key": GPU, "value": "present", "effect": "NoSchedule"}
    lost = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
    api.put("/api/v1/nodes/n1", node("n1", taints=[gpu, lost]))
    spot = {"key": "spot", "effect": "NoSchedule"}
    api.put("/api/v1/nodes/n2", node("n2", taints=[spot, gpu]))
    assert (await seen(api)).taints == (Taint(key=GPU, value="present"),)
    assert (await seen(ClusterApi())).taints == ()


@pytest.mark.parametrize(
    "first",
    [
        node(
            ready=False, taints=[{"key": "node.cilium.io/agent-not-ready", "effect": "NoExecute"}]
        ),
        node(gpus=0, taints=[{"key": "example.com/driver-missing", "effect": "NoSchedule"}]),
        node(unschedulable=True, taints=[{"key": "upgrade", "effect": "NoSchedule"}]),
    ],
    ids=["not ready", "without its GPUs", "cordoned"],
)
async def test_a_node_that_starts_or_goes_tells_nothing_of_whom_its_pool_is_for(
    first: dict[str, Any],
) -> None:
    """The pool's first node, for which it was asked, would keep away all that asked for it: they asked no more."""
    api = ClusterApi()
    api.put("/api/v1/nodes/n1", first)
    assert (await seen(api)).taints == ()


async def test_nor_does_one_whose_startup_taints_karpenter_waits_for() -> None:
    """It is ready and shows its GPUs, and its taint goes when the network plugin's agent is there."""
    api = ClusterApi()
    taint = {"key": "node.cilium.io/agent-not-ready", "value": "true", "effect": "NoSchedule"}
    api.put("/api/v1/nodes/n1", node(taints=[taint]))
    for status, taints in (("Unknown", ()), ("True", (Taint(**taint),))):
        condition = {"type": "Initialized", "status": status, "reason": "StartupTaintsExist"}
        made = node_claim("h100-a", "n1", conditions=[condition])
        api.put("/apis/karpenter.sh/v1/nodeclaims/h100-a", made)
        assert (await seen(api)).taints == taints


@pytest.mark.parametrize(
    "key",
    [
        "aws-node-termination-handler/spot-itn",
        "cloud.google.com/impending-node-termination",
        "karpenter.sh/disruption",
        "karpenter.sh/disrupted",
        "ToBeDeletedByClusterAutoscaler",
    ],
)
async def test_a_node_that_is_called_back_is_leaving(key: str) -> None:
    api = ClusterApi()
    api.put("/api/v1/nodes/n1", node(taints=[{"key": key, "effect": "NoSchedule"}]))
    found = await seen(api)
    assert [(status.leaving, status.units) for status in found.nodes] == [(True, 8)]
    assert found.taints == ()


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ({GPU: "20"}, 2),
        ({GPU: "64", "nodes": "3"}, 3),
        ({"cpu": "1k", "memory": "4Ti"}, None),
        (None, None),
    ],
)
async def test_the_limit_of_a_node_pool_of_karpenters(
    limits: dict[str, str] | None, most: int | None
) -> None:
    """Beyond it Karpenter asks for no node: nothing refuses one, so that no stock-out is seen."""
    api = ClusterApi()
    for name, told in (("h100", limits), ("other", {"nodes": "1"})):
        found = {"metadata": {"name": name}, "spec": {"limits": told}}
        api.put(f"/apis/karpenter.sh/v1/nodepools/{name}", found)
    assert (await seen(api)).most_nodes == most


async def test_a_node_that_two_pools_claim_is_of_one() -> None:
    """Its units would be there twice; pools of other resources have theirs on the same node."""
    api = ClusterApi()
    shown = node()
    shown["metadata"]["labels"]["zone"] = "a"
    shown["status"]["allocatable"]["nvidia.com/mig-1g.10gb"] = "7"
    api.put("/api/v1/nodes/n1", shown)
    zone = PoolSettings(labels={"zone": "a"}, max_headroom=8)
    slices = PoolSettings(labels={"zone": "a"}, max_headroom=8, resource="nvidia.com/mig-1g.10gb")
    async with looking(api, more={"zone-a": zone, "zone-a-mig": slices}) as collector:
        await collector.read_once()
        found = {pool.pool: [status.units for status in pool.nodes] for pool in collector.observe()}
    assert found == {"h100": [8], "zone-a": [], "zone-a-mig": [7]}


async def test_a_node_that_was_of_use_when_first_seen_has_no_lead_time() -> None:
    api = ClusterApi()
    api.put("/apis/karpenter.sh/v1/nodeclaims/h100-a", node_claim("h100-a", "n1"))
    api.put("/api/v1/nodes/n1", node())
    (status,) = (await seen(api)).nodes
    assert (status.requested_s, status.allocatable_s, status.units) == (None, T0 + 80.0, 8)


@pytest.mark.parametrize("change", [{"ready": False}, {"gpus": 0}])
async def test_a_node_that_was_of_use_and_is_not_is_not_starting(change: dict[str, Any]) -> None:
    """It was asked for days ago, and would pass for a node that takes days to come."""
    api = ClusterApi()
    api.put("/apis/karpenter.sh/v1/nodeclaims/h100-a", node_claim("h100-a", "n1"))
    api.put("/api/v1/nodes/n1", node(gpus=0))
    async with looking(api) as collector:
        for shown in (node(gpus=0), node(), node(**change)):
            api.put("/api/v1/nodes/n1", shown)
            await collector.read_once()
        (status,) = collector.observe()[0].nodes
    assert (status.requested_s, status.allocatable_s, status.broken) == (None, None, True)


async def test_a_node_of_no_use_is_starting_for_an_hour() -> None:
    api = ClusterApi()
    api.put("/apis/karpenter.sh/v1/nodeclaims/h100-a", node_claim("h100-a", "n1"))
    api.put("/api/v1/nodes/n1", node(ready=False))
    clock = FakeClock(now_s=T0 + 300.0)
    async with looking(api, clock=clock) as collector:
        await collector.read_once()
        (status,) = collector.observe()[0].nodes
        assert (status.requested_s, status.broken) == (T0 + 10.0, False)
        await clock.sleep(3600.0)
        (status,) = collector.observe()[0].nodes
        assert (status.requested_s, status.broken) == (None, True)
        # Somebody mends it: that took an hour, the node did not.
        api.put("/api/v1/nodes/n1", node())
        await collector.read_once()
        (status,) = collector.observe()[0].nodes
        assert (status.requested_s, status.broken, status.units) == (None, False, 8)


async def test_another_device_plugin_makes_a_node_of_no_use_for_gpus() -> None:
    """A network card's is there at once; the lead time counts until the GPUs can be allocated."""
    api = ClusterApi()
    api.put("/apis/karpenter.sh/v1/nodeclaims/h100-a", node_claim("h100-a", "n1"))
    async with looking(api) as collector:
        for gpus in (0, 8):
            shown = node(gpus=gpus)
            shown["status"]["allocatable"]["vpc.amazonaws.com/efa"] = "4"
            api.put("/api/v1/nodes/n1", shown)
            await collector.read_once()
            (status,) = collector.observe()[0].nodes
            assert not status.broken
            assert status.requested_s == T0 + 10.0
    assert status.allocatable_s == T0 + 300.0


@pytest.mark.parametrize(
    "spec",
    [
        {"unschedulable": True},
        {"taints": [{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}]},
        {"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]},
    ],
)
async def test_a_node_that_is_to_go_is_leaving(spec: dict[str, Any]) -> None:
    api = ClusterApi()
    api.put("/api/v1/nodes/n1", node(**spec))
    assert (await seen(api)).nodes[0].leaving


async def test_units_are_held_by_ours_by_strangers_and_not_by_placeholders() -> None:
    api = ClusterApi()
    api.put("/api/v1/nodes/n1", node())
    api.put("/api/v1/nodes/n2", node("n2", pool="other"))
    for name, made in {
        "a": pod("a", "n1", 2, "ours"),
        "b": pod("b", "n1", 1, "theirs"),
        "c": pod("c", "n1", 4, "rs", **{"forescale.io/headroom": "h100"}),
        "d": pod("d", "n2", 8, "theirs"),
    }.items():
        api.put(f"/api/v1/namespaces/team/pods/{name}", made)
    found = await seen(api)
    assert found.nodes[0].used_units == 3
    assert found.foreign_units == 1


@pytest.mark.parametrize(
    ("label", "owner", "priority", "used", "foreign"),
    [
        ("h100", "theirs", 0, 2, 2),
        # As the placeholders of another forescale: whatever comes takes their place.
        ("h100", "theirs", -10, 0, 0),
        ("", "ours", 0, 2, 2),
    ],
)
async def test_what_holds_a_gpu_is_not_hidden_by_what_its_team_writes(
    label: str, owner: str, priority: int, used: int, foreign: int
) -> None:
    """A label of ours, or the uid of an owner that is in another namespace."""
    api = ClusterApi()
    api.put("/api/v1/nodes/n1", node())
    made = pod("a", "n1", 2, owner, **{"forescale.io/headroom": label})
    made["metadata"]["namespace"] = "mine"
    made["spec"]["priority"] = priority
    api.put("/api/v1/namespaces/mine/pods/a", made)
    found = await seen(api)
    assert (found.nodes[0].used_units, found.foreign_units) == (used, foreign)


async def test_gpus_outside_of_every_pool_are_counted() -> None:
    api = ClusterApi()
    api.put("/api/v1/nodes/n1", node())
    assert (await seen(api)).other_units == 0
    api.put("/api/v1/nodes/n2", node("n2", gpus=4, pool="other"))
    assert (await seen(api)).other_units == 4


async def test_a_refused_claim_is_known_by_its_event_and_by_its_condition() -> None:
    api = ClusterApi()
    event: dict[str, Any] = {
        "metadata": {"name": "e1", "namespace": "team", "creationTimestamp": stamp(20)},
        "involvedObject": {"kind": "NodeClaim", "name": "h100-x7k2l", "namespace": "team"},
        "reason": "InsufficientCapacityError",
        "lastTimestamp": stamp(20),
        "message": "no capacity",
    }
    # Any team may write one in its own namespace; Karpenter's are where Events of the cluster's objects are.
    api.put("/api/v1/namespaces/team/events/e1", event)
    assert (await seen(api)).stock_out is None
    event["metadata"]["namespace"] = "default"
    api.put("/api/v1/namespaces/default/events/e1", event)
    assert (await seen(api)).stock_out == StockOut(
        at_s=T0 + 20.0, source="Event", message="no capacity"
    )
    condition = {
        "type": "Launched",
        "status": "Unknown",
        "reason": "InsufficientInstanceCapacity",
        "message": "none left",
        "lastTransitionTime": stamp(30),
    }
    api.put("/apis/karpenter.sh/v1/nodeclaims/h100-b", node_claim("h100-b", conditions=[condition]))
    assert (await seen(api)).stock_out == StockOut(
        at_s=T0 + 30.0,
        source="NodeClaim h100-b",
        message="InsufficientInstanceCapacity: none left",
    )


async def test_another_pools_refusal_is_not_this_ones() -> None:
    api = ClusterApi()
    api.put(
        "/api/v1/namespaces/default/events/e1",
        {
            "metadata": {"name": "e1", "creationTimestamp": stamp(20)},
            "involvedObject": {"kind": "NodeClaim", "name": "h100-spot-x7k2l"},
            "lastTimestamp": stamp(20),
        },
    )
    assert (await seen(api)).stock_out is None


async def test_the_cluster_autoscalers_status_tells_of_nodes_on_their_way_and_goes_stale() -> None:
    api = ClusterApi()
    pool = PoolSettings(labels={"pool": "h100"}, max_headroom=8, node_group="pool-h100")
    where = "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status"
    text = (SAMPLES / "autoscaler-status.yaml").read_text()
    api.put(where, {"data": {"status": text.replace("2026-11-26 12:00:00", "2023-11-14 22:04:00")}})
    found = await seen(api, pool)
    assert found.stale is None
    assert [item.name for item in found.nodes] == ["prod-pool-h100/0", "prod-pool-h100/1"]
    assert (await seen(api, pool)).most_nodes == 8
    sold_out = PoolSettings(labels={"pool": "h200"}, max_headroom=8, node_group="pool-h200")
    assert (await seen(api, sold_out)).stock_out == StockOut(
        at_s=T0 + 240.0,
        source="cluster-autoscaler status",
        message="OUT_OF_RESOURCES: zone b has no such machines",
    )
    api.put(where, {"data": {"status": text.replace("2026-11-26 12:00:00", "2023-11-14 22:01:00")}})
    assert (await seen(api, pool)).stale == "the cluster-autoscaler's status is 240 s old"


PER_ZONE = """
time: 2023-11-14 22:04:00.25 +0000 UTC
nodeGroups:
- name: asg-h100-a
  health: {nodeCounts: {registered: {total: 2}}, cloudProviderTarget: 3}
  scaleUp: {status: InProgress}
- name: asg-h100-b
  health: {nodeCounts: {registered: {total: 1}}, cloudProviderTarget: 1}
  scaleUp: {status: Backoff, backoffInfo: {errorCode: OUT_OF_RESOURCES, errorMessage: none in b}}
- name: asg-h100-c
  health: {cloudProviderTarget: 2}
  scaleUp: {status: NoActivity}
"""


async def test_a_pool_of_several_groups_is_all_of_them() -> None:
    """One autoscaling group a zone: three nodes come in two of them, and one zone that is sold out is not the pool."""
    api = ClusterApi()
    where = "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status"
    pool = PoolSettings(
        labels={"pool": "h100"},
        max_headroom=8,
        node_groups=("h100-a", "h100-b", "h100-c", "h100-d"),
    )
    api.put(where, {"data": {"status": PER_ZONE}})
    found = await seen(api, pool)
    assert [item.name for item in found.nodes] == ["asg-h100-a/0", "asg-h100-c/0", "asg-h100-c/1"]
    assert (found.stock_out, found.stale) == (None, None)
    refused = "Backoff, backoffInfo: {errorCode: QUOTA_EXCEEDED}"
    sold_out = PER_ZONE.replace("NoActivity", refused).replace("InProgress", refused)
    api.put(where, {"data": {"status": sold_out}})
    assert (await seen(api, pool)).stock_out == StockOut(
        at_s=T0 + 240.0,
        source="cluster-autoscaler status",
        message="QUOTA_EXCEEDED; OUT_OF_RESOURCES: none in b",
    )


async def test_a_pool_of_which_the_status_names_no_group_is_not_known() -> None:
    """It was renamed, or two end alike: nothing on its way was seen, and no stock-out, and nobody said so."""
    api = ClusterApi()
    where = "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status"
    api.put(where, {"data": {"status": PER_ZONE}})
    for name in ("a100", "h100-z", ""):
        pool = PoolSettings(labels={"pool": "h100"}, max_headroom=8, node_group=name or "asg-h100-")
        stale = (await seen(api, pool)).stale
        assert stale == (
            f"the cluster-autoscaler's status has no group {name or 'asg-h100-'}, or several whose names end so"
        )


async def test_the_cluster_autoscalers_nodes_have_lead_times() -> None:
    """One is asked for between 22:00:00 and 22:00:10, registers a minute later, and has its GPUs at 22:05."""
    api = ClusterApi()
    where = "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status"
    pool = PoolSettings(labels=POOL.labels, max_headroom=8, node_group="h100")

    def status(second: int, registered: int, target: int) -> None:
        health = (
            f"nodeCounts: {{registered: {{total: {registered}}}}}, cloudProviderTarget: {target}"
        )
        text = f"nodeGroups:\n- name: gke-h100\n  health: {{{health}}}"
        api.put(where, {"data": {"status": f"time: {stamp(second)}\n{text}"}})

    async with looking(api, pool) as collector:
        for second, target in ((0, 0), (10, 1)):
            status(second, 0, target)
            await collector.read_once()
        asked = NodeStatus(name="gke-h100/0", requested_s=T0)
        assert collector.observe()[0].nodes == (asked,)
        api.put("/api/v1/nodes/n1", node(gpus=0))
        status(70, 1, 1)
        await collector.read_once()
        api.put("/api/v1/nodes/n1", node())
        await collector.read_once()
        (found,) = collector.observe()[0].nodes
    times = (found.requested_s, found.registered_s, found.ready_s, found.allocatable_s)
    assert times == (T0, T0 + 60.0, T0 + 80.0, T0 + 300.0)


async def test_what_can_not_be_listed_is_not_known() -> None:
    api = ClusterApi()
    api.plurals -= {"nodes"}
    async with looking(api) as collector:
        api.plurals -= {"nodes"}
        await collector.read_once()
        stale = collector.observe()[0].stale
    assert stale is not None
    assert stale.startswith("/api/v1/nodes: GET /api/v1/nodes: status 404")


async def test_headroom_is_what_our_objects_ask_for_and_a_buffer_needs_its_api() -> None:
    api = ClusterApi()
    assert (await seen(api)).headroom == ((Backend.PLACEHOLDER, 0),)
    actuator = HeadroomActuator(
        None,  # type: ignore[arg-type]
        pools={"h100": POOL},
        namespace=OWN,
        image="pause",
        priority_class="low",
    )
    for path, body in (*actuator.placeholder("h100", 3), *actuator.buffer("h100", 2)):
        api.put(path, body)
    assert (await seen(api)).headroom == (
        (Backend.PLACEHOLDER, 3),
        (Backend.CAPACITY_BUFFER, 2),
    )
    path, body = actuator.placeholder("h100", 3)[0]
    body["metadata"]["annotations"] = {}
    api.put(path, body)
    assert (await seen(api)).headroom[0] == (Backend.PLACEHOLDER, DIFFERS)


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        ("ReadyForProvisioning", "False", True),
        ("ReadyForProvisioning", "True", False),
        ("LimitedByQuotas", "True", True),
        ("LimitedByQuotas", "False", False),
        ("ReplicaFailure", "True", True),
        ("Available", "False", False),
    ],
)
def test_an_object_that_asks_for_nothing_says_why(kind: str, status: str, told: bool) -> None:
    condition = {"type": kind, "status": status, "reason": "Because", "message": "of a quota"}
    raw = {
        "metadata": {"name": "h100", "labels": {"forescale.io/headroom": "h100"}},
        "spec": {"replicas": 2},
        "status": {"conditions": [condition]},
    }
    seen = node_views.headroom(raw)
    assert seen is not None
    assert seen.trouble == (f"{kind}: Because: of a quota" if told else None)


@pytest.mark.parametrize(
    ("reference", "reason", "message", "whole"),
    [
        ("h100", "Resolved", "", True),
        ("h100", "QuotaExceeded", "the template is too large", True),
        ("other", "Resolved", "", False),
        ("h100", "PodTemplateNotFound", "", False),
        ("h100", "error", 'podtemplates "h100" not found', False),
    ],
)
def test_a_buffer_whose_template_was_taken_away_is_written_anew(
    reference: str, reason: str, message: str, whole: bool
) -> None:
    """It asked for nothing until the number changed, for the number was right."""
    status = "True" if reason == "Resolved" else "False"
    condition = {"type": "ReadyForProvisioning", "status": status} | {
        "reason": reason,
        "message": message,
    }
    raw = {
        "metadata": {
            "name": "h100",
            "labels": {"forescale.io/headroom": "h100"},
            "annotations": {"headroom.forescale.io/digest": "abc"},
        },
        "spec": {"replicas": 2, "podTemplateRef": {"name": reference}},
        "status": {"conditions": [condition]},
    }
    seen = node_views.headroom(raw)
    assert seen is not None
    assert seen.digest == ("abc" if whole else "")


async def test_placeholders_that_kueue_holds_back_are_told() -> None:
    """No autoscaler looks at them, and their Deployment says that all is well."""
    api = ClusterApi()
    labels = {"forescale.io/headroom": "h100"}
    made = {"metadata": {"name": "h100", "labels": labels}, "spec": {"replicas": 2}}
    api.put(f"/apis/apps/v1/namespaces/{OWN}/deployments/h100", made)
    for name, pool in (("a", "h100"), ("b", "h100"), ("c", "other")):
        held = pod(name, "", 1, "rs", **{"forescale.io/headroom": pool})
        held["spec"]["schedulingGates"] = [{"name": "kueue.x-k8s.io/admission"}]
        api.put(f"/api/v1/namespaces/{OWN}/pods/{name}", held)
    assert (await seen(api)).trouble == (
        (Backend.PLACEHOLDER, "kueue.x-k8s.io/admission holds back 2 of its pods"),
    )


async def test_headroom_that_is_not_listed_yet_is_no_missing_back_end() -> None:
    """At a start it comes a moment after the nodes: NodeBackendMissing was told each time."""
    async with looking(ClusterApi()) as collector:
        assert isinstance(collector.collector, NodeCollector)
        for mirror in (collector.pods, *collector.collector.mirrors[:3]):
            await mirror.try_relist()
        stale = collector.observe()[0].stale
        assert stale is not None
        assert "/deployments" in stale
        assert stale.endswith("not listed yet")
        await collector.read_once()
        assert collector.observe()[0].stale is None


async def test_headroom_of_a_pool_that_the_policy_does_not_name_is_seen() -> None:
    api = ClusterApi()
    for name, replicas, object_name in (
        ("gone", 3, "gone"),
        ("empty", 0, "empty"),
        ("odd", 2, "by-hand"),
    ):
        path = f"/apis/apps/v1/namespaces/{OWN}/deployments/{object_name}"
        labels = {"forescale.io/headroom": name}
        made = {"metadata": {"name": object_name, "labels": labels}, "spec": {"replicas": replicas}}
        api.put(path, made)
    async with looking(api) as collector:
        await collector.read_once()
        _, *left = collector.observe()
    assert left == [PoolInput(pool="gone", headroom=((Backend.PLACEHOLDER, 3),))]
