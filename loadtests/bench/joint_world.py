"""A day on nodes that a node autoscaler brings and takes, minute by minute: who runs where, and what demand is carried.

A fluid model. A replica carries what was measured of its slice within the SLO, from `START_MIN` after it found a slice
on a ready node; a node takes `BOOT_MIN`, and goes when it has been empty for `EMPTY_MIN`. Pods go to the fullest node
that has room. Demand beyond what the ready replicas carry in a minute is missed. Everybody pays for nodes from the
request for them until they are gone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autoscaler.core.mig.geometry import Geometry
from loadtests.bench.packing_data import SHAPES, Scenario

GPUS_PER_NODE = 4
BOOT_MIN, START_MIN = 5, 1
EMPTY_MIN = 10
"""As the cluster-autoscaler waits by default; also until it moves the pods of a node that is less than half full."""
HALF = 0.5
DOWN_WINDOW_MIN = 5
"""HPA's default, and taken for everybody."""
# Of a GPU, in 56ths: what a slice takes of compute or memory, whichever is more.
PARTS = {"1g": 8, "2g": 16, "3g": 28, "4g": 32, "7g": 56}
WHOLE = 56


@dataclass(slots=True, eq=False)
class Node:
    """Some GPUs that are all cut alike."""

    name: str
    geometry: Geometry
    ready_at: int
    free: Counter[str]
    empty_since: int | None = None
    half_since: int | None = None


@dataclass(slots=True, eq=False)
class Replica:
    """One pod; without a node it waits for one."""

    workload: str
    size: str
    node: str | None = None
    ready_at: int | None = None


@dataclass(slots=True)
class Outcome:
    """What a day cost and carried."""

    node_gpu_hours: float = 0.0
    demanded: float = 0.0
    missed: float = 0.0
    moves: int = 0
    worst_minute_ratio: float = 0.0

    @property
    def attained_ratio(self) -> float:
        return 1.0 - self.missed / self.demanded


@dataclass
class World:
    """Nodes and replicas at one minute. `geometries` says what nodes may be asked for."""

    capacities: Mapping[str, Mapping[str, int]]
    geometries: Sequence[Geometry]
    minute: int = 0
    nodes: dict[str, Node] = field(default_factory=dict)
    replicas: list[Replica] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)
    made: int = 0

    def step(self, demand_mrps: Mapping[str, int]) -> None:
        """One minute passes with this demand, and with what is there now."""
        self._bind()
        ready: Counter[str] = Counter()
        for one in self.replicas:
            if one.ready_at is not None and one.ready_at <= self.minute:
                ready[one.workload] += self.capacities[one.workload][one.size]
        missed = sum(max(0, mrps - ready[name]) for name, mrps in demand_mrps.items())
        demanded = sum(demand_mrps.values())
        outcome = self.outcome
        outcome.demanded += demanded
        outcome.missed += missed
        outcome.worst_minute_ratio = max(outcome.worst_minute_ratio, missed / demanded)
        outcome.node_gpu_hours += len(self.nodes) * GPUS_PER_NODE / 60.0
        self._give_back()
        self.minute += 1

    def add(self, workload: str, size: str, count: int) -> None:
        """Pods that look for a slice."""
        self.replicas += [Replica(workload, size) for _ in range(count)]

    def stop(self, one: Replica) -> None:
        """Its slice is free at once."""
        if one.node is not None:
            self.nodes[one.node].free[one.size] += 1
        self.replicas.remove(one)

    def of(self, workload: str) -> list[Replica]:
        return [one for one in self.replicas if one.workload == workload]

    def node_of(self, geometry: Geometry) -> Node:
        """Asks for one more."""
        self.made += 1
        free = Counter({_size(p): n * GPUS_PER_NODE for p, n in geometry.counts})
        node = Node(f"n{self.made:04}", geometry, self.minute + BOOT_MIN, free)
        self.nodes[node.name] = node
        return node

    def _bind(self) -> None:
        for one in self.replicas:
            if one.node is None:
                node = self._room(one.size) or self._asked(one.size)
                if node is not None:
                    node.free[one.size] -= 1
                    one.node = node.name
                    one.ready_at = max(self.minute, node.ready_at) + START_MIN

    def _room(self, size: str, without: str = "") -> Node | None:
        """The fullest node with room; ready ones first."""
        able = [n for n in self.nodes.values() if n.free[size] > 0 and n.name != without]
        return min(
            able,
            key=lambda n: (n.ready_at > self.minute, _free_parts(n), n.name),
            default=None,
        )

    def _asked(self, size: str) -> Node | None:
        """A node for a pod that waits: of the geometries with such slices the one with the most."""
        able = [(dict(g.counts).get(SHAPES[size], 0), g) for g in self.geometries]
        most, geometry = max(able, key=lambda pair: (pair[0], str(pair[1])))
        return self.node_of(geometry) if most else None

    def _give_back(self) -> None:
        held = Counter(one.node for one in self.replicas if one.node is not None)
        for node in list(self.nodes.values()):
            empty = not held[node.name] and node.ready_at <= self.minute
            node.empty_since = (node.empty_since or self.minute) if empty else None
            if empty and self.minute - (node.empty_since or 0) >= EMPTY_MIN:
                del self.nodes[node.name]
        self._consolidate()

    def _consolidate(self) -> None:
        """Pods of a half-empty node stop and start where there is room, of at most one node a minute.

        So the cluster-autoscaler does by default.
        """
        for node in sorted(self.nodes.values(), key=lambda n: n.name):
            used = 1.0 - _free_parts(node) / _all_parts(node)
            half = used < HALF and node.ready_at <= self.minute and node.empty_since is None
            node.half_since = (node.half_since or self.minute) if half else None
        for node in sorted(self.nodes.values(), key=_free_parts, reverse=True):
            if node.half_since is None or self.minute - node.half_since < EMPTY_MIN:
                continue
            pods = [one for one in self.replicas if one.node == node.name]
            if self._fits(pods, node.name):
                for one in pods:
                    node.free[one.size] += 1
                    there = self._room(one.size, without=node.name)
                    assert there is not None
                    there.free[one.size] -= 1
                    one.node, one.ready_at = there.name, self.minute + 1 + START_MIN
                    self.outcome.moves += 1
                return

    def _fits(self, pods: Sequence[Replica], without: str) -> bool:
        asked = Counter(one.size for one in pods)
        free: Counter[str] = Counter()
        for node in self.nodes.values():
            if node.name != without and node.ready_at <= self.minute:
                free.update(node.free)
        return all(free[size] >= count for size, count in asked.items())


class Sizer:
    """How much each workload is to carry: the last minute's demand over the target, its highest of five minutes."""

    def __init__(self, target_ratio: float) -> None:
        self._target = target_ratio
        self._past: list[Mapping[str, int]] = []

    def needed_mrps(self, demand_mrps: Mapping[str, int]) -> dict[str, int]:
        self._past = [*self._past, demand_mrps][-DOWN_WINDOW_MIN:]
        return {
            name: math.ceil(max(past[name] for past in self._past) / self._target)
            for name in demand_mrps
        }


def start(scenario: Scenario, world: World, counts: Mapping[tuple[str, str], int]) -> None:
    """A day begins with these replicas running on nodes that are ready."""
    for (name, size), count in counts.items():
        world.add(name, size, count)
    world._bind()
    for node in world.nodes.values():
        node.ready_at = 0
    for one in world.replicas:
        one.ready_at = 0


def _size(profile: str) -> str:
    return profile.split(".")[0]


def _free_parts(node: Node) -> int:
    return sum(PARTS[size] * count for size, count in node.free.items())


def _all_parts(node: Node) -> int:
    return GPUS_PER_NODE * sum(PARTS[_size(p)] * n for p, n in node.geometry.counts)
