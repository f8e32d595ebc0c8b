"""What can't work about several pools together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from autoscaler.core.settings import EngineConfig
from autoscaler.errors import Problem


def told_apart(where: str, pools: Mapping[str, tuple[str, Mapping[str, str]]]) -> Iterator[Problem]:
    """Pools, each with what it is counted in and its labels: one node must not be of two."""
    known: dict[tuple[object, ...], str] = {}
    for name, (unit, labels) in pools.items():
        key = (unit, *sorted(labels.items()))
        if key in known:
            yield Problem(
                f"{where}.pools.{name}.labels",
                f"the same as those of {known[key]}",
                "must tell its nodes from every other pool's",
            )
        known[key] = name


def grown_by_nobody(engine: EngineConfig) -> Iterator[Problem]:
    """Nodes that an autoscaler copies as the template for new ones keep one geometry."""
    for name, pool in engine.slices.pools.items():
        for other, nodes in engine.nodes.pools.items():
            if dict(nodes.labels) == dict(pool.labels) and not nodes.fixed:
                yield Problem(
                    f"engine.slices.pools.{name}.labels",
                    f"those of engine.nodes.pools.{other}, which a node autoscaler grows",
                    "must be of nodes that none grows: leave the pool out here, or set fixed: true there",
                )
