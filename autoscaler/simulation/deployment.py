"""One Deployment of the modelled cluster: its pods come, get a place, start, drain and fail, as Kubernetes has it.

Replicas become pods at once and ready after a start-up of their own; a scale-down takes pods that are not ready first,
then those that were marked to go, then the youngest, as a ReplicaSet does, and a pod that goes finishes what it has.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.mig.choice import WHOLE_GPU
from autoscaler.simulation.nodes import Node
from autoscaler.simulation.pods import Pod
from autoscaler.simulation.pools import Pool
from autoscaler.simulation.serving import Scrape, ServingPool
from autoscaler.simulation.startup import Startup

PROBE_S = 5.0
# Streams of random draws of a pod's life, apart from those of its start-up.
_LIFE_STREAM = 1


class Nodes(Protocol):
    """Where pods are put: one pool of nodes, or several."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Those that are there as of the last call."""
        ...

    def place(self, now_s: float, gpus: float = 1.0, shape: str = WHOLE_GPU) -> Node | None:
        """As in NodePool."""
        ...

    def release(self, node: Node, now_s: float, gpus: float = 1.0, shape: str = WHOLE_GPU) -> None:
        """As in NodePool."""
        ...

    def lose(self, node: Node, now_s: float) -> None:
        """As in NodePool."""
        ...

    def gpu_hours(self, now_s: float) -> float:
        """As in NodePool."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTemplate:
    """What all pods of a Deployment are like."""

    startup: Startup
    name: str = "pod"
    """How their names begin."""
    shape: str = WHOLE_GPU
    """A MIG profile, or `gpu`."""
    gpus: float = 1.0
    """The part of a GPU that one takes."""
    slowdown_ratios: tuple[float, ...] = ()
    """By batch size, how many times as long as the model's a batch takes there; empty: as long."""
    life_s: float | None = None
    """Mean life of a pod, exponential; None: they live."""
    seed: int = 0


@dataclass(slots=True, kw_only=True)
class Deployment:
    """Pods of one template, whose servers are in a pool that other Deployments may share."""

    template: PodTemplate
    pool: Pool
    nodes: Nodes
    replicas: int
    pods: list[Pod] = field(default_factory=list)
    """Those that are there: waiting, starting, ready and draining."""
    retired: NDArray[np.float64] = field(default_factory=lambda: np.zeros(5))
    """The counters of pods that are gone, in the order of `counters`."""
    _created: int = 0
    _held_s: float = 0.0

    def __post_init__(self) -> None:
        for _ in range(self.replicas):
            self.create(0.0, 0.0, is_there=True)

    def pod_hours(self, now_s: float) -> float:
        """From the request for each replica until it was gone."""
        return (self._held_s + sum(now_s - pod.created_s for pod in self.pods)) / 3600.0

    @property
    def alive(self) -> list[Pod]:
        """Those that are not terminating."""
        return [pod for pod in self.pods if pod.deleted_s is None]

    def set_replicas(
        self, replicas: int, now_s: float, *, marked: Collection[str] = frozenset()
    ) -> None:
        """A scale; `marked` are the names of the pods whose deletion costs least."""
        self.replicas = replicas
        live = self.alive
        for _ in range(replicas - len(live)):
            self.create(now_s, now_s)
        # A ReplicaSet's order: not ready before ready, the cheapest to delete, then the youngest.
        doomed = sorted(
            live, key=lambda pod: (pod.ready_s <= now_s, pod.name not in marked, -pod.number)
        )
        for pod in doomed[: max(0, len(live) - replicas)]:
            pod.deleted_s = now_s
            if pod.server is not None:
                self.pool.stop_server(pod.server, now_s)

    def create(self, at_s: float, now_s: float, *, is_there: bool = False) -> None:
        """One more pod; `is_there`: it was there before the run began."""
        pod = Pod(number=self._created, created_s=at_s, owner=self.template.name)
        self._created += 1
        self.pods.append(pod)
        self.place(pod, now_s, is_there=is_there)

    def place(self, pod: Pod, now_s: float, *, is_there: bool = False) -> None:
        """Gives it a node and lets it start, if there is one."""
        template, at_s = self.template, max(now_s, pod.created_s)
        pod.node = self.nodes.place(at_s, template.gpus, template.shape)
        if pod.node is None:
            return
        pod.placed_s = at_s
        if is_there:
            pod.node.ready_s = pod.ready_s = at_s
            pod.took_s = self._ready_s(pod, 0.0)
        else:
            pod.ready_s = self._ready_s(pod, max(at_s, pod.node.ready_s))
        pod.server = self._serve(pod.ready_s)
        if template.life_s is not None:
            draws = np.random.default_rng((template.seed, pod.number, _LIFE_STREAM))
            pod.fails_s = pod.ready_s + float(draws.exponential(template.life_s))

    def _ready_s(self, pod: Pod, from_s: float) -> float:
        startup = self.template.startup
        exact_s = from_s + startup.draw_s(pod.number)
        return math.ceil(exact_s / PROBE_S) * PROBE_S if startup.median_s > 0.0 else exact_s

    def _serve(self, ready_s: float) -> int:
        ratios = self.template.slowdown_ratios
        if ratios and isinstance(self.pool, ServingPool):
            return self.pool.add_server(ready_s, ratios)
        return self.pool.add_server(ready_s)

    def place_waiting(self, now_s: float) -> None:
        """Those that have found no node look again."""
        for pod in self.pods:
            if pod.node is None and pod.deleted_s is None:
                self.place(pod, now_s)

    def bury_gone(self, now_s: float) -> None:
        """What was told to go and has nothing left is gone, and its place is free."""
        for pod in [pod for pod in self.pods if self._is_gone(pod)]:
            self._bury(pod, now_s)

    def _is_gone(self, pod: Pod) -> bool:
        if pod.deleted_s is None:
            return False
        return pod.server is None or self.pool.drained(pod.server)

    def _bury(self, pod: Pod, now_s: float) -> None:
        self.pods.remove(pod)
        self._held_s += now_s - pod.created_s
        if pod.node is not None and pod.node in self.nodes.nodes:
            self.nodes.release(pod.node, now_s, self.template.gpus, self.template.shape)
        if pod.server is not None:
            self.retired += counters(self.pool.scrape((pod.server,)))
            self.pool.retire_server(pod.server)

    def fail(self, pod: Pod, at_s: float, now_s: float) -> None:
        """What it has fails with it, and a ReplicaSet makes another at once."""
        was_wanted = pod.deleted_s is None
        pod.deleted_s = pod.deleted_s or at_s
        pod.fails_s = math.inf
        if pod.server is not None:
            self.pool.fail_server(pod.server)
        if was_wanted:
            self.create(at_s, now_s)


def counters(scrape: Scrape) -> NDArray[np.float64]:
    """Done, and seconds of queue, compute, busy and request, summed over the servers."""
    columns = (scrape.success, scrape.queue_s, scrape.compute_s, scrape.busy_s, scrape.ongoing_s)
    return np.array([float(values.sum()) for values in columns])
