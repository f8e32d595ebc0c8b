"""GPUs on nodes: the GPU Operator's state, the MIG strategy, and what a node autoscaler makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from autoscaler.collectors.node_needs import taints
from autoscaler.config import Settings
from autoscaler.controller.doctor.cluster import Cluster, allocatable
from autoscaler.controller.doctor.diagnosis import Diagnosis, error, ok, unknown, warning
from autoscaler.core.nodes.settings import PoolSettings
from autoscaler.core.slices.observed import SHARED
from autoscaler.core.slices.settings import SlicesMode

OPERATOR, MIG, POOLS = "GPU Operator", "MIG", "GPUs on nodes"
MIG_STATE = "nvidia.com/mig.config.state"
SHARING_SUFFIX = ".sharing-strategy"
UNSHARED = "leave sharing out of their device plugin's config: what a replica carries depends on who shares its GPU"
# By which the cluster-autoscaler knows GPU nodes, on the larger clouds.
GPU_LABELS = (
    "cloud.google.com/gke-accelerator",
    "k8s.amazonaws.com/accelerator",
    "kubernetes.azure.com/accelerator",
)


def check(cluster: Cluster, settings: Settings) -> list[Diagnosis]:
    """Of what the nodes and the operator show."""
    watched = settings.kubernetes.watch_namespaces
    if "nodes" in cluster.unreadable and watched:
        text = (
            f"not looked at, as only {', '.join(watched)} {'is' if len(watched) == 1 else 'are'} watched: "
            "how many GPUs are free is unknown, so what does not fit shows by pods that stay pending"
        )
        return [unknown(POOLS, text, "nothing is to be done: docs/install.md says what follows")]
    if "nodes" in cluster.unreadable:
        remedy = "let doctor list nodes, or install the component nodes"
        return [unknown(POOLS, cluster.unreadable["nodes"], remedy)]
    return [
        *_operator(cluster),
        *_mig(cluster),
        *_pools(cluster, settings),
        *_claimed_twice(cluster, settings),
    ]


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
        held = allocatable(node)
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
    found: list[Diagnosis] = []
    startup = _startup_taints(cluster)
    for name, pool in settings.engine.nodes.pools.items():
        about, own = f"pool {name}", cluster.nodes_of(pool.labels)
        held = {
            str(node["metadata"]["name"]): allocatable(node).get(pool.resource, 0) for node in own
        }
        shared = shared_by(pool.resource, own)
        wrong = [*_tolerated(about, own, pool, startup), *_unready(about, own)]
        if not own:
            wrong += nearly(about, cluster, pool.labels)
        elif shared:
            most = f"{max(held.values())} {pool.resource} are not GPUs"
            text = f"its nodes let several pods share one GPU ({shared}): {most}"
            wrong.append(warning(about, text, UNSHARED))
        else:
            wrong += _counted(about, held, pool)
        if not own and not wrong:
            wrong.append(ok(about, "no node now"))
        found += wrong or [ok(about, f"{len(own)} nodes of {max(held.values())} {pool.resource}")]
    return found


def _counted(about: str, held: Mapping[str, int], pool: PoolSettings) -> list[Diagnosis]:
    """Whether nodes have as much as the policy says: one with seven GPUs of eight is found among those with eight."""
    most, wanted = max(held.values()), pool.units_per_node
    if most == 0:
        text = f"none of its {len(held)} nodes has {pool.resource}"
        remedy = "correct resource, or look at the device plugin of these nodes"
        return [error(about, text, remedy)]
    found = []
    if most != wanted:
        text = f"its nodes have {most} {pool.resource}, units_per_node says {wanted}"
        remedy = (
            f"set units_per_node: {most}, or look at the device plugin where it is to be {wanted}"
        )
        found.append(warning(about, text, remedy))
    without = sorted(name for name, count in held.items() if count == 0)
    if without:
        text = f"{len(without)} of its {len(held)} nodes have no {pool.resource}: {', '.join(without[:3])}"
        remedy = "wait if they are starting, else look at the device plugin of these nodes"
        found.append(warning(about, text, remedy))
    fewer = sorted(name for name, count in held.items() if 0 < count < most)
    if fewer:
        text = f"{len(fewer)} of its {len(held)} nodes have fewer {pool.resource} than {most}: {', '.join(fewer[:3])}"
        remedy = "look at the device plugin there: a GPU that has an error is taken out"
        found.append(warning(about, text, remedy))
    return found


def _unready(about: str, nodes: Sequence[Mapping[str, Any]]) -> list[Diagnosis]:
    """A node that is not ready any more shows all of its GPUs."""
    found = []
    for node in nodes:
        conditions = (node.get("status") or {}).get("conditions") or ()
        told = {str(one.get("type")): str(one.get("status")) for one in conditions}
        if told.get("Ready", "True") != "True":
            found.append(str(node["metadata"]["name"]))
    if not found:
        return []
    text = f"{len(found)} of its {len(nodes)} nodes are not ready: {', '.join(sorted(found)[:3])}"
    return [warning(about, text, "wait if they are starting, else kubectl describe node says why")]


def shared_by(resource: str, nodes: Sequence[Mapping[str, Any]]) -> str:
    """How the device plugin of any of these nodes lets several pods share one device of `resource`; empty: it does not.

    Its replicas are announced under the name of the whole device, or with the suffix `.shared`.
    """
    label = f"{resource.removesuffix(SHARED)}{SHARING_SUFFIX}"
    told = {str((node["metadata"].get("labels") or {}).get(label, "none")) for node in nodes}
    return ", ".join(sorted(told - {"none"})) or (SHARED if resource.endswith(SHARED) else "")


def nearly(about: str, cluster: Cluster, labels: Mapping[str, str]) -> list[Diagnosis]:
    """Nodes whose labels are those of a pool but for upper and lower case: where no node has them exactly."""
    wanted = {(key.lower(), value.lower()) for key, value in labels.items()}
    for node in cluster.all("nodes"):
        own = (node["metadata"].get("labels") or {}).items()
        if wanted <= {(str(key).lower(), str(value).lower()) for key, value in own}:
            seen = {
                f"{key}={value}" for key, value in own if (key.lower(), value.lower()) in wanted
            }
            text = f"no node has its labels, and node {node['metadata']['name']} has {', '.join(sorted(seen))}"
            return [warning(about, text, "write labels as the nodes have them: case counts")]
    return []


def _claimed_twice(cluster: Cluster, settings: Settings) -> list[Diagnosis]:
    """Nodes that have the labels of two pools, which check-config can't know of."""
    nodes, slices = settings.engine.nodes.pools, settings.engine.slices
    found = []
    for (name, pool), (other, beside) in combinations(sorted(nodes.items()), 2):
        both = cluster.nodes_of(pool.labels, beside.labels)
        if both and pool.resource == beside.resource:
            text = f"node {both[0]['metadata']['name']} has its labels and those of pool {other}: it is counted here"
            remedy = "give each pool a label that the other's nodes do not have"
            found.append(warning(f"pool {name}", text, remedy))
    for name, sliced in slices.pools.items() if slices.mode is not SlicesMode.OFF else ():
        for other, grown in nodes.items():
            both = cluster.nodes_of(sliced.labels, grown.labels)
            if both and not grown.fixed:
                text = f"node {both[0]['metadata']['name']} is of pool {other} too, which a node autoscaler grows"
                remedy = f"leave it out of engine.slices.pools, or set fixed: true in engine.nodes.pools.{other}"
                found.append(error(f"slice pool {name}", text, remedy))
    return found


def _startup_taints(cluster: Cluster) -> set[str]:
    """Keys of those that Karpenter's nodes have until somebody takes them off."""
    specs = [item["spec"].get("template", {}).get("spec", {}) for item in cluster.all("node pools")]
    return {str(one.get("key")) for spec in specs for one in spec.get("startupTaints") or ()}


def _tolerated(
    about: str, nodes: list[Mapping[str, Any]], pool: PoolSettings, startup: set[str]
) -> list[Diagnosis]:
    """Taints that keep placeholders away: headroom for such nodes brings none."""
    if pool.fixed:
        return []
    sets = [{taint.key for taint in taints(node.get("spec") or {})} for node in nodes]
    # One that only some have may be from a node that starts.
    keys = set.intersection(*sets) - set(pool.taints) - startup if sets else set()
    return [
        warning(
            about,
            f"its nodes have the taint {key}, which placeholders do not tolerate",
            f"add {key} to engine.nodes.pools.{about.removeprefix('pool ')}.taints",
        )
        for key in sorted(keys)
    ]
