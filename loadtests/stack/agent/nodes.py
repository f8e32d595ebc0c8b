"""Virtual GPU nodes: registered once, kept alive by their leases."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from loadtests.stack.agent.api import MERGE, STRATEGIC, Api, Object

LEASE_PERIOD_S = 10.0


def timestamp() -> str:
    """Now, as Kubernetes writes a time."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def names(count: int) -> list[str]:
    """gpu-0, gpu-1 …"""
    return [f"gpu-{number}" for number in range(count)]


def node(name: str, gpus: int) -> Object:
    """The Node object of a machine with this many whole GPUs."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "nvidia.com/gpu.product": "Virtual-GPU",
                "nvidia.com/gpu.count": str(gpus),
            },
        },
    }


def node_status(gpus: int) -> Object:
    """Ready, with room for as many pods as it has GPUs and some."""
    room = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": str(gpus)}
    return {
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "StackAgent",
                    "message": "the stack's agent runs",
                    "lastHeartbeatTime": timestamp(),
                    "lastTransitionTime": timestamp(),
                }
            ],
            "nodeInfo": {
                "architecture": "amd64",
                "operatingSystem": "linux",
                "kubeletVersion": "v1.35.4",
                "bootID": "",
                "containerRuntimeVersion": "stack://process",
                "kernelVersion": "",
                "kubeProxyVersion": "",
                "machineID": "",
                "osImage": "",
                "systemUUID": "",
            },
        }
    }


def adopted_status(units: Mapping[str, str]) -> Object:
    """Of a node that another made: Ready, with these extended resources and whatever it has beside them."""
    room = {"cpu": "64", "memory": "512Gi", "pods": "110", **units}
    return {"status": {**node_status(0)["status"], "capacity": room, "allocatable": room}}


async def register(api: Api, name: str, gpus: int) -> None:
    """Creates the node where it is not there, and says what it has."""
    await api.call("POST", "/api/v1/nodes", node(name, gpus))
    await api.call("PATCH", f"/api/v1/nodes/{name}/status", node_status(gpus), content=STRATEGIC)


async def keep_alive(api: Api, nodes: list[str]) -> None:
    """Renews every node's lease, for ever: without it the controller-manager evicts its pods after 50 s."""
    while True:
        for name in list(nodes):
            await renew(api, name)
        await asyncio.sleep(LEASE_PERIOD_S)


async def renew(api: Api, name: str) -> None:
    """One node's lease."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now}
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    status, _ = await api.call("PATCH", f"{path}/{name}", {"spec": spec}, content=MERGE)
    if status == 404:
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name},
            "spec": spec,
        }
        await api.call("POST", path, lease)
