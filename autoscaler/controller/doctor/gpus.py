"""GPUs on nodes: the GPU Operator's state, the MIG strategy, and what a node autoscaler makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.collectors.node_needs import taints
from autoscaler.collectors.node_views import extended
from autoscaler.config import Settings
from autoscaler.controller.doctor.cluster import Cluster
from autoscaler.controller.doctor.diagnosis import Diagnosis, error, ok, unknown, warning
from autoscaler.core.nodes.settings import PoolSettings

OPERATOR, MIG, POOLS = "GPU Operator", "MIG", "GPUs on nodes"
MIG_STATE = "nvidia.com/mig.config.state"
# By which the cluster-autoscaler knows GPU nodes, on the larger clouds.
GPU_LABELS = (
    "cloud.google.com/gke-accelerator",
    "k8s.amazonaws.com/accelerator",
    "kubernetes.azure.com/accelerator",
)


def check(cluster: Cluster, settings: Settings) -> list[Diagnosis]:
    """Of what the nodes and the operator show."""
    if "nodes" in cluster.unreadable:
        remedy = "let doctor list nodes, or install the component nodes"
        return [unknown(POOLS, cluster.unreadable["nodes"], remedy)]
    return [*_operator(cluster), *_mig(cluster), *_pools(cluster, settings)]


def _operator(cluster: Cluster) -> list[Diagnosis]:
    if "cluster policies" in cluster.unreadable:
        remedy = "let doctor list clusterpolicies.nvidia.com"
        return [unknown(OPERATOR, cluster.unreadable["cluster policies"], remedy)]
    policies = cluster.all("cluster policies")
    if not policies:
        return [ok(OPERATOR, "not installed; device plugins come from elsewhere")]
    states = {str((p.get("status") or {}).get("state", "unknown")) for p in policies}
    if states != {"ready"}:
        text = f"its ClusterPolicy is {', '.join(sorted(states))}"
        return [warning(OPERATOR, text, "kubectl describe clusterpolicy says what is not ready")]
    return [ok(OPERATOR, "ready")]


def _mig(cluster: Cluster) -> list[Diagnosis]:
    found: list[Diagnosis] = []
    strategies = {
        str((policy.get("spec", {}).get("mig") or {}).get("strategy", "single"))
        for policy in cluster.all("cluster policies")
    }
    if strategies:
        found.append(ok(MIG, f"strategy {', '.join(sorted(strategies))}"))
    for node in cluster.all("nodes"):
        name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
        if labels.get(MIG_STATE) == "failed":
            found.append(
                error(
                    MIG,
                    f"node {name}: its geometry could not be applied",
                    "see the log of its MIG manager, then set the label nvidia.com/mig.config to another config and "
                    "back: the same value is not tried again",
                )
            )
        held = extended((node.get("status") or {}).get("allocatable"))
        slices = any("/mig-" in resource and count for resource, count in held.items())
        labelled = [label for label in GPU_LABELS if label in labels]
        if slices and not held.get("nvidia.com/gpu") and labelled and "status" in cluster.found:
            found.append(
                warning(
                    MIG,
                    f"node {name} shows slices only and has the label {labelled[0]}",
                    "leave the label out on mixed-strategy pools: the cluster-autoscaler takes such a node for broken",
                )
            )
    return found


def _pools(cluster: Cluster, settings: Settings) -> list[Diagnosis]:
    found = []
    for name, pool in settings.engine.nodes.pools.items():
        own = [
            node
            for node in cluster.all("nodes")
            if pool.labels.items() <= (node["metadata"].get("labels") or {}).items()
        ]
        held = [
            extended((node.get("status") or {}).get("allocatable")).get(pool.resource, 0)
            for node in own
        ]
        shown = set(held)
        found += _tolerated(f"pool {name}", own, pool)
        if not own:
            found.append(ok(f"pool {name}", "no node now"))
        elif shown == {0}:
            found.append(
                error(
                    f"pool {name}",
                    f"none of its {len(own)} nodes has {pool.resource}",
                    "correct resource, or look at the device plugin of these nodes",
                )
            )
        elif max(shown) != pool.units_per_node:
            found.append(
                warning(
                    f"pool {name}",
                    f"its nodes have {max(shown)} {pool.resource}, units_per_node says {pool.units_per_node}",
                    f"set units_per_node: {max(shown)}",
                )
            )
        elif 0 in shown:
            found.append(
                warning(
                    f"pool {name}",
                    f"{held.count(0)} of its {len(own)} nodes have no {pool.resource}",
                    "wait if they are starting, else look at the device plugin of these nodes",
                )
            )
        else:
            found.append(ok(f"pool {name}", f"{len(own)} nodes of {max(shown)} {pool.resource}"))
    return found


def _tolerated(about: str, nodes: list[Mapping[str, Any]], pool: PoolSettings) -> list[Diagnosis]:
    """Taints that keep placeholders away: headroom for such nodes brings none."""
    if pool.fixed:
        return []
    sets = [{taint.key for taint in taints(node.get("spec") or {})} for node in nodes]
    # One that only some have may be from a node that starts.
    keys = set.intersection(*sets) - set(pool.taints) if sets else set()
    return [
        warning(
            about,
            f"its nodes have the taint {key}, which placeholders do not tolerate",
            f"add {key} to engine.nodes.pools.{about.removeprefix('pool ')}.taints",
        )
        for key in sorted(keys)
    ]
