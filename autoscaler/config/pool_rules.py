"""What can't work about a pool of nodes or of slices, and about several together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import combinations

from autoscaler.config.bounds import object_name, positive, whole
from autoscaler.core.mig.catalogue import find_gpu
from autoscaler.core.mig.geometry import parse_geometry, realise
from autoscaler.core.nodes.placement import NODEPOOL_LABEL
from autoscaler.core.nodes.settings import PoolSettings
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.settings import SlicePoolSettings
from autoscaler.errors import IllegalLayout, Problem, UnknownGpu, UnknownProfile

# It is a part of object names, of which Kubernetes makes pod names.
LONGEST_POOL_NAME = 30


def slice_pool_problems(where: str, name: str, pool: SlicePoolSettings) -> Iterator[Problem]:
    """Of one slice pool, by its name and its place in the policy; its configs must fit onto its GPU."""
    yield from object_name(where, name)
    if not pool.labels:
        yield Problem(f"{where}.labels", "empty", "must name the labels of the pool's nodes")
    yield from whole(f"{where}.gpus_per_node", pool.gpus_per_node, 1)
    if pool.price_per_hour is not None:
        yield from positive(f"{where}.price_per_hour", pool.price_per_hour)
    if not pool.configs:
        yield Problem(f"{where}.configs", "empty", "must name configs of the MIG manager")
    try:
        gpu = find_gpu(pool.gpu)
    except UnknownGpu as error:
        yield Problem(f"{where}.gpu", repr(pool.gpu), str(error))
        return
    for config, text in pool.configs.items():
        try:
            geometry = parse_geometry(text)
            fits = realise(gpu, geometry) is not None
        except (IllegalLayout, UnknownProfile) as error:
            yield Problem(f"{where}.configs.{config}", repr(text), str(error))
            continue
        if not fits:
            yield Problem(f"{where}.configs.{config}", repr(text), f"must fit onto one {gpu.name}")


def node_pool_problems(where: str, name: str, pool: PoolSettings) -> Iterator[Problem]:
    """Of one node pool, by its name and its place in the policy."""
    yield from object_name(where, name)
    if len(name) > LONGEST_POOL_NAME:
        yield Problem(where, f"{len(name)} letters", f"must have at most {LONGEST_POOL_NAME}")
    if not pool.labels:
        yield Problem(f"{where}.labels", "empty", "must name the labels of the pool's nodes")
    if not re.fullmatch(r"[a-z0-9.-]+/[A-Za-z0-9._-]+", pool.resource):
        yield Problem(
            f"{where}.resource",
            repr(pool.resource),
            "must be an extended resource such as nvidia.com/gpu or nvidia.com/mig-1g.10gb",
        )
    yield from whole(f"{where}.max_headroom", pool.max_headroom, 0)
    yield from whole(f"{where}.units_per_node", pool.units_per_node, 1)
    yield from whole(f"{where}.unit", pool.unit, 1)
    if 1 <= pool.units_per_node < pool.unit:
        yield Problem(
            f"{where}.unit",
            str(pool.unit),
            f"must be at most units_per_node, {pool.units_per_node}: no node could hold it",
        )
    if 0 < pool.max_headroom < pool.unit:
        yield Problem(
            f"{where}.max_headroom",
            str(pool.max_headroom),
            f"must be 0, or at least unit, {pool.unit}: that much is asked for at once",
        )
    yield from _groups(where, pool)
    if pool.max_nodes is not None:
        yield from whole(f"{where}.max_nodes", pool.max_nodes, 1)
    if pool.fixed and (pool.max_headroom or pool.max_nodes or pool.groups):
        yield Problem(
            f"{where}.fixed",
            "True beside max_headroom, max_nodes, node_group or node_groups",
            "max_headroom must be 0 and the others left out: no node autoscaler grows it",
        )
    if pool.price_per_hour is not None:
        yield from positive(f"{where}.price_per_hour", pool.price_per_hour)
    yield from positive(f"{where}.lead_time_s", pool.lead_time_s)


def _groups(where: str, pool: PoolSettings) -> Iterator[Problem]:
    if pool.node_group is not None and not pool.node_group.strip():
        yield Problem(
            f"{where}.node_group", repr(pool.node_group), "must not be empty: leave it out"
        )
    if pool.groups and NODEPOOL_LABEL in pool.labels:
        yield Problem(
            f"{where}.labels",
            f"{NODEPOOL_LABEL} beside node_group or node_groups",
            "must be of one node autoscaler: Karpenter's pools are no groups of the cluster-autoscaler's",
        )
    names = list(pool.node_groups)
    if any(not name.strip() for name in names) or len(set(names)) < len(names):
        yield Problem(
            f"{where}.node_groups", repr(names), "must name each group once, and none empty"
        )
    if pool.node_group is not None and names:
        yield Problem(
            f"{where}.node_groups", repr(names), "must name all of them, and node_group be left out"
        )


def told_apart(where: str, pools: Mapping[str, tuple[str, Mapping[str, str]]]) -> Iterator[Problem]:
    """Pools, each with what it is counted in and its labels: one node must not be of two."""
    for (first, (unit, labels)), (name, (other_unit, others)) in combinations(pools.items(), 2):
        if unit == other_unit and labels and others and _within(labels, others):
            same = labels == others
            found = f"the same as those of {first}" if same else f"those of {first} are among them"
            if not same and len(others) < len(labels):
                found = f"all of them are among those of {first}"
            yield Problem(
                f"{where}.pools.{name}.labels",
                found,
                "must tell its nodes from every other pool's",
            )


def _within(labels: Mapping[str, str], others: Mapping[str, str]) -> bool:
    """Whether every node that has all of the one has all of the other."""
    return labels.items() <= others.items() or others.items() <= labels.items()


def grown_by_nobody(engine: EngineConfig) -> Iterator[Problem]:
    """Nodes that an autoscaler copies as the template for new ones keep one geometry."""
    for name, pool in engine.slices.pools.items():
        for other, nodes in engine.nodes.pools.items():
            if nodes.labels and _within(nodes.labels, pool.labels) and not nodes.fixed:
                yield Problem(
                    f"engine.slices.pools.{name}.labels",
                    f"of nodes of engine.nodes.pools.{other} too, which a node autoscaler grows",
                    "must be of nodes that none grows: leave the pool out here, or set fixed: true there",
                )
