"""Slice pools: whether the nodes are what the policy says, whose they are to cut, and what the MIG manager reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from autoscaler.collectors import slice_views
from autoscaler.config import Settings
from autoscaler.controller.doctor.cluster import Cluster
from autoscaler.controller.doctor.diagnosis import Diagnosis, error, ok, unknown, warning
from autoscaler.controller.doctor.gpus import SHARING_SUFFIX, nearly
from autoscaler.core.mig.catalogue import find_gpu
from autoscaler.core.mig.geometry import Geometry, parse_geometry
from autoscaler.core.nodes.placement import NODEPOOL_LABEL
from autoscaler.core.slices.observed import CONFIG_LABEL, PRODUCT_LABEL, STATE_LABEL
from autoscaler.core.slices.settings import SlicePoolSettings, SlicesMode
from autoscaler.errors import UnknownGpu

Object = Mapping[str, Any]
MANAGER = "MIG manager"
DRA_DRIVER = "gpu.nvidia.com"
STRATEGY_LABEL = "nvidia.com/mig.strategy"
# Every node of such a cloud is of a group, whether an autoscaler grows it or not.
GROUP_LABELS = (
    "eks.amazonaws.com/nodegroup",
    "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool",
)


def check(cluster: Cluster, settings: Settings) -> list[Diagnosis]:
    """Nothing where slices are off."""
    slices = settings.engine.slices
    if slices.mode is SlicesMode.OFF:
        return []
    if "nodes" in cluster.unreadable:
        remedy = "let doctor list nodes, or install the component slices"
        return [unknown("slice pools", cluster.unreadable["nodes"], remedy)]
    found = [*_dra(cluster), *_manager(cluster, settings)]
    for name, pool in slices.pools.items():
        found += _pool(cluster, f"slice pool {name}", pool)
    return found


def _dra(cluster: Cluster) -> list[Diagnosis]:
    """NVIDIA's DRA driver destroys slices that it did not make: it and the MIG manager can't share a node."""
    drivers = {
        str((item.get("spec") or {}).get("driver")) for item in cluster.all("resource slices")
    }
    if DRA_DRIVER not in drivers:
        return []
    text = (
        f"{DRA_DRIVER} offers GPUs by dynamic resource allocation, which forescale does not drive"
    )
    remedy = (
        "leave nodes with that driver out of engine.slices.pools, or set engine.slices.mode: off"
    )
    return [error(MANAGER, text, remedy)]


def _manager(cluster: Cluster, settings: Settings) -> list[Diagnosis]:
    found: list[Diagnosis] = []
    for policy in cluster.all("cluster policies"):
        spec = policy.get("spec") or {}
        if str((spec.get("mig") or {}).get("strategy", "single")) != "mixed":
            found.append(
                error(
                    MANAGER,
                    "the MIG strategy is single: slices of different profiles have no names of their own",
                    "set spec.mig.strategy of the ClusterPolicy to mixed",
                )
            )
    pools = settings.engine.slices.pools
    wanted = {name for pool in pools.values() for name in pool.configs}
    maps = cluster.all("mig configs")
    if not maps or not wanted:
        remedy = "compare engine.slices.pools.*.configs with the ConfigMap that it reads, by hand"
        return [*found, unknown(MANAGER, "which ConfigMap it reads is not known", remedy)]
    for item in maps:
        where = f"ConfigMap {item['metadata'].get('namespace')}/{item['metadata']['name']}"
        told = _configs(item)
        wrong = []
        lacking = sorted(wanted - told.keys())
        if lacking:
            remedy = f"add them to {where}, or leave them out of engine.slices.pools"
            wrong.append(error(MANAGER, f"{where} has no {', '.join(lacking)}", remedy))
        for name, pool in pools.items():
            wrong += _cut_otherwise(f"slice pool {name}", where, pool, told)
        found += wrong or [ok(MANAGER, f"{where} has all {len(wanted)} configs")]
    return found


def _cut_otherwise(
    about: str, where: str, pool: SlicePoolSettings, told: Mapping[str, tuple[Geometry, ...]]
) -> list[Diagnosis]:
    """Configs whose entries cut no GPU as the policy says: forescale would wait for slices that never come."""
    found = []
    for config, text in pool.configs.items():
        cuts = told.get(config, ())
        if cuts and parse_geometry(text) not in cuts:
            ways = ", ".join(sorted({str(cut) for cut in cuts}))
            said = f"{config} cuts a GPU into {ways} by {where}, and into {text} by the policy"
            remedy = (
                "correct configs, or give the entry another name and the cut that the policy says"
            )
            found.append(error(about, said, remedy))
    return found


def _configs(item: Object) -> dict[str, tuple[Geometry, ...]]:
    """By name in the MIG manager's ConfigMap, how GPUs are cut, as far as it can be read."""
    try:
        document = yaml.safe_load((item.get("data") or {}).get("config.yaml") or "")
        configs = dict((document or {}).get("mig-configs") or {})
    except (yaml.YAMLError, AttributeError, TypeError, ValueError):
        return {}
    return {str(name): _geometries(entries) for name, entries in configs.items()}


def _geometries(entries: object) -> tuple[Geometry, ...]:
    found = []
    for entry in entries if isinstance(entries, list) else ():
        devices = entry.get("mig-devices") if isinstance(entry, dict) else None
        if isinstance(devices, dict) and all(isinstance(n, int) for n in devices.values()):
            found.append(Geometry.of({str(name): count for name, count in devices.items()}))
    return tuple(found)


def _pool(cluster: Cluster, about: str, pool: SlicePoolSettings) -> list[Diagnosis]:
    nodes = cluster.nodes_of(pool.labels)
    if not nodes:
        remedy = "correct its labels, or leave the pool out"
        none = warning(about, "no node has its labels", remedy)
        return nearly(about, cluster, pool.labels) or [none]
    found = [
        *_of_group(about, nodes),
        *(item for node in nodes for item in _node(about, node, pool)),
    ]
    return found or [ok(about, f"{len(nodes)} nodes, cut as the policy names it")]


def _of_group(about: str, nodes: Sequence[Object]) -> list[Diagnosis]:
    """Once for the pool: a group of fixed size is as it should be, and can't be told from one that grows."""
    for node in nodes:
        labels = node["metadata"].get("labels") or {}
        group = next((label for label in GROUP_LABELS if label in labels), None)
        if group is not None:
            text = f"node {node['metadata']['name']} is of the group {group}={labels[group]}, which may be grown"
            remedy = "see that its minimum is its maximum: an autoscaler copies a node as the template for new ones"
            return [warning(about, text, remedy)]
    return []


def _node(about: str, node: Object, pool: SlicePoolSettings) -> list[Diagnosis]:
    name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
    if NODEPOOL_LABEL in labels:
        text = f"node {name} has the label {NODEPOOL_LABEL}: Karpenter brings such nodes anew, and takes empty ones"
        remedy = "name it in engine.nodes.pools with its one geometry, and leave it out of engine.slices.pools"
        return [error(about, text, remedy)]
    found = []
    product = str(labels.get(PRODUCT_LABEL, ""))
    if product and not _is(product, pool.gpu):
        remedy = f"set gpu to {product}, and configs to what it can be cut into"
        found.append(error(about, f"node {name} has {product}, the policy says {pool.gpu}", remedy))
    if not labels.get(STATE_LABEL):
        remedy = "install the GPU Operator's MIG manager there"
        found.append(error(about, f"node {name}: no MIG manager tells its state", remedy))
    found += _offered_otherwise(about, name, labels)
    config = str(labels.get(CONFIG_LABEL, ""))
    if config not in pool.configs:
        text = (
            f"node {name}: its {CONFIG_LABEL} is {config or 'not set'}, which configs does not name"
        )
        remedy = "add it to configs: forescale touches no node that it could not bring back"
        return [*found, warning(about, text, remedy)]
    view = slice_views.node(node)
    if view.slices != pool.slices_of(config):
        text = f"node {name} is {config} and offers {view.slices}, the policy says {pool.slices_of(config)}"
        remedy = "correct configs or gpus_per_node, or look at the node's device plugin"
        found.append(error(about, text, remedy))
    return found


def _offered_otherwise(about: str, name: str, labels: Mapping[str, Any]) -> list[Diagnosis]:
    """What GPU feature discovery tells of the device plugin there: slices must have names and pods of their own."""
    found = []
    strategy = labels.get(STRATEGY_LABEL, "mixed")
    if strategy != "mixed":
        text = f"node {name}: its MIG strategy is {strategy} ({STRATEGY_LABEL})"
        found.append(error(about, text, "set the strategy of its device plugin to mixed"))
    shared = {
        str(value)
        for key, value in labels.items()
        if key.startswith("nvidia.com/") and key.endswith(SHARING_SUFFIX) and value != "none"
    }
    if shared:
        text = f"node {name}: its device plugin lets several pods share one device ({', '.join(sorted(shared))})"
        remedy = "leave sharing out of its device plugin's config: a slice is of one pod here"
        found.append(error(about, text, remedy))
    return found


def _is(product: str, gpu: str) -> bool:
    try:
        return find_gpu(product) == find_gpu(gpu)
    except UnknownGpu:
        return False
