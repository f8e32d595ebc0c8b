"""What can't work about several pools together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from autoscaler.core.settings import EngineConfig
from autoscaler.errors import Problem


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
