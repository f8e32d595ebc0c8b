"""Several pools of nodes under one scheduler, and pools that no autoscaler grows."""

from __future__ import annotations

from collections.abc import Sequence

from autoscaler.core.mig.choice import WHOLE_GPU
from autoscaler.simulation.fleet.scenario import FleetPool
from autoscaler.simulation.nodes import Node, NodePool


class FixedPool(NodePool):
    """Nodes that are there from the start, in order of the layouts that they begin with; none comes and none goes."""

    def __init__(self, pool: FleetPool) -> None:
        super().__init__(pool.settings, name=pool.name)
        self.pool = pool
        self.layout: dict[str, str] = {}
        """By node, the one that it begins with."""
        for layout, count in pool.begins.items():
            for _ in range(count):
                node = self._add(0.0)
                # Profiles of the other layouts are there with 0, as a device plugin that is running shows them.
                node.slices = dict.fromkeys(sorted(pool.shapes), 0) | pool.slices(layout)
                node.ready_s = 0.0
                self.layout[node.name] = layout

    def offers(self, shape: str) -> bool:
        """No new node comes."""
        return False

    def _expire(self, now_s: float) -> None:
        pass


class Pools:
    """All of them: a pod goes to the fullest node that has what it needs, wherever it is; else the first pool that
    offers it brings a node."""

    def __init__(self, pools: Sequence[NodePool]) -> None:
        self.pools = {pool.name: pool for pool in pools}

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Those that are there as of the last call."""
        return tuple(node for pool in self.pools.values() for node in pool.nodes)

    def place(self, now_s: float, gpus: float = 1.0, shape: str = WHOLE_GPU) -> Node | None:
        """As in NodePool."""
        found = []
        for pool in self.pools.values():
            node = pool.fullest(now_s, gpus, shape)
            if node is not None:
                found.append(node)
        if found:
            node = max(found, key=lambda one: (one.ready_s <= now_s, one.held_gpus))
            self.pools[node.pool].take(node, gpus, shape)
            return node
        placed = (pool.place(now_s, gpus, shape) for pool in self.pools.values())
        return next((node for node in placed if node is not None), None)

    def release(self, node: Node, now_s: float, gpus: float = 1.0, shape: str = WHOLE_GPU) -> None:
        """As in NodePool."""
        self.pools[node.pool].release(node, now_s, gpus, shape)

    def lose(self, node: Node, now_s: float) -> None:
        """As in NodePool."""
        self.pools[node.pool].lose(node, now_s)

    def gpu_hours(self, now_s: float) -> float:
        """As in NodePool."""
        return sum(pool.gpu_hours(now_s) for pool in self.pools.values())

    def keep_buffer(self, now_s: float) -> None:
        """Of each."""
        for pool in self.pools.values():
            pool.keep_buffer(now_s)

    def used_gpus(self) -> int:
        """GPUs of all nodes with a pod on them."""
        return sum(
            pool.settings.gpus for pool in self.pools.values() for node in pool.nodes if node.pods
        )
