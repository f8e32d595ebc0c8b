"""The node autoscaler: which one there is, whether its flags let headroom work, and what pools it knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.collectors import cluster_autoscaler
from autoscaler.config import Settings
from autoscaler.controller.doctor.cluster import Cluster
from autoscaler.controller.doctor.diagnosis import Diagnosis, error, ok, unknown, warning
from autoscaler.core.nodes.placement import NODEPOOL_LABEL
from autoscaler.core.nodes.settings import BackendChoice, PoolSettings
from autoscaler.errors import SourceInvalid

CHECK = "node autoscaler"
BUFFER_FLAGS = ("capacity-buffer-controller-enabled", "capacity-buffer-pod-injection-enabled")
EXPENDABLE, DEFAULT_CUTOFF = "expendable-pods-priority-cutoff", -10


def check(cluster: Cluster, settings: Settings) -> list[Diagnosis]:
    """Of the whole cluster; nothing is asked of it where no pool is configured."""
    pools = settings.engine.nodes.pools
    if not pools:
        return [ok(CHECK, "no pool is configured, so no headroom is asked for")]
    karpenter, other = "node pools" in cluster.found, _arguments(cluster, "cluster-autoscaler")
    autoscaler = other is not None or "status" in cluster.found
    found: list[Diagnosis] = []
    if karpenter and autoscaler:
        found.append(
            warning(
                CHECK,
                "Karpenter and a cluster-autoscaler both run",
                "give each its own nodes: two that answer one pending pod buy two nodes",
            )
        )
    if not karpenter and not autoscaler:
        if "deployments" in cluster.unreadable or "status" in cluster.unreadable:
            why = cluster.unreadable.get("status") or cluster.unreadable["deployments"]
            found.append(unknown(CHECK, why, "let doctor read it"))
        else:
            found.append(
                error(
                    CHECK,
                    "neither Karpenter nor a cluster-autoscaler was found",
                    "install one, or leave engine.nodes.pools empty",
                )
            )
    if karpenter:
        found += _karpenter(cluster, pools)
    if autoscaler:
        found += _cluster_autoscaler(other, cluster, settings)
    return found


def _karpenter(cluster: Cluster, pools: Mapping[str, PoolSettings]) -> list[Diagnosis]:
    names = {str(item["metadata"]["name"]): item for item in cluster.all("node pools")}
    found = [ok(CHECK, f"Karpenter, with {len(names)} NodePools")]
    for pool, settings in pools.items():
        wanted = settings.labels.get(NODEPOOL_LABEL)
        if wanted is None:
            continue
        if wanted not in names:
            found.append(
                error(
                    f"pool {pool}",
                    f"there is no NodePool {wanted}",
                    f"correct its label {NODEPOOL_LABEL}; there are {', '.join(sorted(names)) or 'none'}",
                )
            )
        elif _after(names[wanted]) == "0s":
            found.append(
                warning(
                    f"pool {pool}",
                    f"NodePool {wanted} has consolidateAfter 0s",
                    "set minutes: a GPU node that goes at once is missed at once",
                )
            )
    gates = _gates(_environment(cluster, "karpenter"), _arguments(cluster, "karpenter"))
    uses = any(pool.backend is not BackendChoice.PLACEHOLDER for pool in pools.values())
    if uses and gates is not None and "CapacityBuffer=true" not in gates:
        found.append(
            warning(
                CHECK,
                "Karpenter's gate CapacityBuffer is off",
                "add CapacityBuffer=true to FEATURE_GATES; until then placeholder pods are used",
            )
        )
    return found


def _after(node_pool: Mapping[str, Any]) -> str:
    return str((node_pool.get("spec", {}).get("disruption") or {}).get("consolidateAfter", ""))


def _cluster_autoscaler(
    arguments: dict[str, str] | None, cluster: Cluster, settings: Settings
) -> list[Diagnosis]:
    found = [ok(CHECK, "a cluster-autoscaler")]
    for name, pool in settings.engine.nodes.pools.items():
        if not pool.groups and NODEPOOL_LABEL not in pool.labels:
            found.append(
                warning(
                    f"pool {name}",
                    "it names no node_group",
                    "set node_group or node_groups, or stock-outs are noticed by nothing",
                )
            )
    found += _groups(cluster, settings)
    if arguments is None:
        found.append(
            unknown(
                f"{CHECK}'s flags",
                "it runs where its flags can't be seen, as a cloud's own does",
                f"ask for {' and '.join(f'--{flag}' for flag in BUFFER_FLAGS)}",
            )
        )
        return found
    if "capacity buffers" in cluster.found:
        off = [flag for flag in BUFFER_FLAGS if arguments.get(flag) not in ("true", "")]
        if off:
            found.append(
                warning(
                    f"{CHECK}'s flags",
                    f"CapacityBuffers are served, and {', '.join(f'--{f}' for f in off)} is not true",
                    "set both; until then each pool finds out by waiting, and uses placeholder pods",
                )
            )
    if "bypassed-scheduler-names" not in arguments:
        found.append(
            warning(
                f"{CHECK}'s flags",
                "pending pods that ask for nvidia.com/gpu are looked at after 30 s only",
                "set --bypassed-scheduler-names=default-scheduler (1.29 or newer)",
            )
        )
    return found


def _groups(cluster: Cluster, settings: Settings) -> list[Diagnosis]:
    """Whether each of a pool's groups is one of the status: else no stock-out and no node on its way is seen."""
    named = [
        (name, group) for name, pool in settings.engine.nodes.pools.items() for group in pool.groups
    ]
    if not named or not cluster.all("status"):
        return []
    try:
        status = cluster_autoscaler.read(cluster.all("status")[0])
    except SourceInvalid as failed:
        return [error(f"{CHECK}'s status", str(failed), "look at the ConfigMap")]
    known = ", ".join(group.name for group in status.groups[:8]) or "none"
    return [
        error(
            f"pool {name}",
            f"node_group {group} names no group of the cluster-autoscaler's, or several",
            f"set it to one of {known}, or to an end that only one has",
        )
        for name, group in named
        if status.group(group) is None
    ]


def cutoff(cluster: Cluster) -> int:
    """Pods below this priority are overlooked by the cluster-autoscaler."""
    text = (_arguments(cluster, "cluster-autoscaler") or {}).get(EXPENDABLE, "")
    return int(text) if text.lstrip("-").isdigit() else DEFAULT_CUTOFF


def _containers(cluster: Cluster, program: str) -> list[Mapping[str, Any]]:
    """Of every Deployment whose name or image says that it is this program."""
    found = []
    for item in cluster.all("deployments"):
        for container in item["spec"]["template"]["spec"].get("containers") or ():
            image = str(container.get("image", "")).partition("@")[0].split("/")
            parts = [*image[:-1], image[-1].partition(":")[0], str(container.get("name"))]
            if program in parts:
                found.append(container)
    return found


def _arguments(cluster: Cluster, program: str) -> dict[str, str] | None:
    """Flags of its command line, a bare one as empty; None: it is not seen running."""
    containers = _containers(cluster, program)
    if not containers:
        return None
    words = [*(containers[0].get("command") or ()), *(containers[0].get("args") or ())]
    flags = [str(word).lstrip("-") for word in words if str(word).startswith("-")]
    return dict((flag.partition("=")[0], flag.partition("=")[2]) for flag in flags)


def _environment(cluster: Cluster, program: str) -> dict[str, str] | None:
    containers = _containers(cluster, program)
    if not containers:
        return None
    return {str(e["name"]): str(e.get("value", "")) for e in containers[0].get("env") or ()}


def _gates(environment: dict[str, str] | None, arguments: dict[str, str] | None) -> str | None:
    """None: it is not seen running."""
    if environment is None and arguments is None:
        return None
    told = (arguments or {}).get("feature-gates")
    return told if told is not None else (environment or {}).get("FEATURE_GATES", "")
