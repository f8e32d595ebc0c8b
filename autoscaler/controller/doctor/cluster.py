"""Everything that the checks look at, read once. What may not be read is remembered as such, never taken for absent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clients.objects import scopes
from autoscaler.collectors import cluster_autoscaler
from autoscaler.collectors.node_views import carries, extended
from autoscaler.errors import SourceError, SourceMissing

Object = Mapping[str, Any]
NAMESPACED = {
    "deployments": "/apis/apps/v1/deployments",
    "cron jobs": "/apis/batch/v1/cronjobs",
    "quotas": "/api/v1/resourcequotas",
}
"""Read in the namespaces that are watched."""
PATHS = {
    "nodes": "/api/v1/nodes",
    "priority classes": "/apis/scheduling.k8s.io/v1/priorityclasses",
    "node pools": "/apis/karpenter.sh/v1/nodepools",
    "capacity buffers": "/apis/autoscaling.x-k8s.io/v1beta1/capacitybuffers",
    "cluster policies": "/apis/nvidia.com/v1/clusterpolicies",
    "resource slices": "/apis/resource.k8s.io/v1/resourceslices",
    "status": (
        f"/api/v1/namespaces/{cluster_autoscaler.NAMESPACE}/configmaps/{cluster_autoscaler.NAME}"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Raw objects by kind. A kind is in exactly one of the three."""

    found: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    """This cluster has no such kind, or no such object."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Why it could not be read."""

    def all(self, kind: str) -> tuple[Object, ...]:
        """Empty where there are none or they could not be read."""
        return self.found.get(kind, ())

    def nodes_of(self, *pools: Mapping[str, str]) -> list[Object]:
        """Those that have the labels of all these pools."""
        return [
            node
            for node in self.all("nodes")
            if all(carries(node["metadata"].get("labels") or {}, labels) for labels in pools)
        ]


def allocatable(node: Object) -> dict[str, int]:
    """What its device plugins offer there, by extended resource."""
    return extended((node.get("status") or {}).get("allocatable"))


async def look(client: KubernetesClient, namespaces: Collection[str] = ()) -> Cluster:
    """Reads all of it, what is in namespaces in `namespaces` alone unless there are none; never raises SourceError."""
    found: dict[str, tuple[Object, ...]] = {}
    absent, unreadable = set(), {}
    scoped = {kind: tuple(scopes(path, namespaces).values()) for kind, path in NAMESPACED.items()}
    for kind, paths in (scoped | {kind: (path,) for kind, path in PATHS.items()}).items():
        try:
            if kind == "status":
                found[kind] = (await client.read(paths[0]),)
            else:
                items: list[Object] = []
                for path in paths:
                    async for page, _ in client.pages(path):
                        items += page
                found[kind] = tuple(items)
        except SourceMissing:
            absent.add(kind)
        except SourceError as told:
            unreadable[kind] = str(told)
    for name in {_mig_configs(policy) for policy in found.get("cluster policies", ())} - {""}:
        # Which ConfigMap the MIG manager reads is the installer's doing.
        path = f"/api/v1/configmaps?fieldSelector=metadata.name%3D{name}"
        try:
            items = []
            async for page, _ in client.pages(path):
                items += page
            found["mig configs"] = (*found.get("mig configs", ()), *items)
        except SourceError as told:
            unreadable["mig configs"] = str(told)
    return Cluster(found=found, absent=frozenset(absent), unreadable=unreadable)


def _mig_configs(policy: Object) -> str:
    """The ConfigMap that a ClusterPolicy names for the MIG manager."""
    manager = (policy.get("spec") or {}).get("migManager") or {}
    return str((manager.get("config") or {}).get("name") or "")
