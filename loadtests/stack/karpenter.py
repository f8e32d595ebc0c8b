"""Real Karpenter with its kwok provider, on the stack: node pools, boot delay, and pools that are sold out.

The provider makes Node objects; the stack's agent adopts them, as a kubelet would, so that real servers run on them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.stack.plane import HOST
from loadtests.stack.toolbox import Karpenter

METRICS_PORT, HEALTH_PORT = 18082, 18083
PROVIDER_PREFIX = "kwok://"
NODE_CLASS = "boot"
SHOWN = "stack.forescale.io/device-plugin-shows"
"""Annotation of a node: JSON of what its device plugin will show beside what its instance type names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One NodePool with one instance type."""

    name: str
    resource: str = "nvidia.com/gpu"
    units: int = 2
    """Of the resource on one node."""
    price_per_hour: float = 1.0
    sliced: bool = False
    """The resource is a MIG slice, of which no cloud's instance type tells: a NodeOverlay does."""
    weight: int = 1
    """Karpenter tries the NodePool with the highest first; between pools it does not compare prices."""

    @property
    def instance_type(self) -> str:
        return f"{self.name}-type"


def command(karpenter: Karpenter) -> list[str]:
    """Everything else is in its environment."""
    return [str(karpenter.binary)]


def environment(folder: Path, kubeconfig: Path) -> dict[str, str]:
    """CapacityBuffers on; what is refused is named in `folder`/sold-out."""
    return {
        "KUBECONFIG": str(kubeconfig),
        "SYSTEM_NAMESPACE": "kube-system",
        "DISABLE_LEADER_ELECTION": "true",
        "FEATURE_GATES": "CapacityBuffer=true,StaticCapacity=true,NodeOverlay=true",
        "INSTANCE_TYPES_FILE_PATH": str(folder / "instance-types.json"),
        "STOCKOUT_FILE": str(sold_out_file(folder)),
        "METRICS_PORT": str(METRICS_PORT),
        "HEALTH_PROBE_PORT": str(HEALTH_PORT),
        "BATCH_MAX_DURATION": "3s",
    }


def sold_out_file(folder: Path) -> Path:
    """Names of pools, one a line, read at every launch."""
    return folder / "sold-out"


def ready_url() -> str:
    """Answers when its caches are filled."""
    return f"http://{HOST}:{HEALTH_PORT}/readyz"


def instance_types(pools: tuple[Pool, ...]) -> list[dict[str, Any]]:
    """The provider's file."""
    return [
        {
            "name": pool.instance_type,
            "offerings": [
                {
                    "Price": pool.price_per_hour,
                    "Available": True,
                    "Requirements": [
                        _in("karpenter.sh/capacity-type", "on-demand"),
                        _in("topology.kubernetes.io/zone", "test-zone-a"),
                    ],
                }
            ],
            "architecture": "amd64",
            "operatingSystems": ["linux"],
            "resources": {
                "cpu": "64",
                "memory": "512Gi",
                "pods": "110",
                "ephemeral-storage": "100Gi",
                **({} if pool.sliced else {pool.resource: str(pool.units)}),
            },
        }
        for pool in pools
    ]


def manifests(pools: tuple[Pool, ...], *, boot_s: int) -> str:
    """A node class, the pools and their overlays, as a List."""
    items: list[dict[str, Any]] = [
        {
            "apiVersion": "karpenter.kwok.sh/v1alpha1",
            "kind": "KWOKNodeClass",
            "metadata": {"name": NODE_CLASS},
            "spec": {"nodeRegistrationDelay": f"{boot_s}s"},
        },
        *(_node_pool(pool) for pool in pools),
        *(_node_overlay(pool) for pool in pools if pool.sliced),
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _node_pool(pool: Pool) -> dict[str, Any]:
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": pool.name},
        "spec": {
            "weight": pool.weight,
            "template": {
                "metadata": {
                    "annotations": {SHOWN: json.dumps({pool.resource: str(pool.units)})},
                },
                "spec": {
                    "nodeClassRef": {
                        "group": "karpenter.kwok.sh",
                        "kind": "KWOKNodeClass",
                        "name": NODE_CLASS,
                    },
                    "requirements": [_in("node.kubernetes.io/instance-type", pool.instance_type)],
                    "expireAfter": "Never",
                },
            },
            "disruption": {
                "consolidationPolicy": "WhenEmpty",
                "consolidateAfter": "10s",
                "budgets": [{"nodes": "100%"}],
            },
        },
    }


def _node_overlay(pool: Pool) -> dict[str, Any]:
    return {
        "apiVersion": "karpenter.sh/v1alpha1",
        "kind": "NodeOverlay",
        "metadata": {"name": pool.name},
        "spec": {
            "requirements": [_in("karpenter.sh/nodepool", pool.name)],
            "capacity": {pool.resource: str(pool.units)},
        },
    }


def _in(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": [value]}
