"""Deployments on nodes in virtual time: requests, faults on the way, pods that go and pods that wait for a place.

The one model of a cluster. What a policy sees of it is read by `scraped`; `cluster` puts it together for one workload,
`fleet` for several.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from autoscaler.simulation.deployment import PROBE_S, Deployment, Nodes
from autoscaler.simulation.pods import Pod

SCRAPE_LAG_S = 1.0


class World:
    """All that happens between two looks at it."""

    def __init__(
        self,
        nodes: Nodes,
        deployments: Sequence[Deployment],
        *,
        node_losses_s: Sequence[float] = (),
        follow: Callable[[float], None] | None = None,
    ) -> None:
        """`follow` is what else goes on by itself, told of each moment at which the world is looked at."""
        self.nodes, self.deployments = nodes, tuple(deployments)
        self._servers = tuple({id(one.pool): one.pool for one in deployments}.values())
        self._node_losses = sorted(node_losses_s)
        self._follow = follow
        self.now_s = 0.0

    def advance(self, to_s: float, read: Callable[[float], None] | None = None) -> None:
        """Lets time pass; `read` is called at the last scrape before `to_s`."""
        # Pods that go are looked at as often as a kubelet would, whatever the period of the policy: all pay alike.
        while self.now_s + PROBE_S < to_s and self._is_watched():
            self._run_until(self.now_s + PROBE_S)
        if read is not None:
            self._run_servers(max(self.now_s, to_s - SCRAPE_LAG_S))
            read(to_s - SCRAPE_LAG_S)
        self._run_until(to_s)

    def _is_watched(self) -> bool:
        if self._follow is not None:
            return True
        return any(
            pod.deleted_s is not None or pod.node is None
            for one in self.deployments
            for pod in one.pods
        )

    def _run_until(self, to_s: float) -> None:
        self._run_servers(to_s)
        self.now_s = to_s
        for one in self.deployments:
            one.bury_gone(to_s)
        if self._follow is not None:
            self._follow(to_s)
        for one in self.deployments:
            one.place_waiting(to_s)

    def _run_servers(self, to_s: float) -> None:
        """Requests, and the faults on the way."""
        while (fault := self._next_fault(to_s)) is not None:
            at_s, pods = fault
            for servers in self._servers:
                servers.run_until(max(at_s, servers.now_s))
            for owner, pod in pods:
                owner.fail(pod, at_s, self.now_s)
        for servers in self._servers:
            servers.run_until(to_s)

    def _next_fault(self, to_s: float) -> tuple[float, list[tuple[Deployment, Pod]]] | None:
        """(when, the pods that end), of the next fault until `to_s`."""
        failing = [
            (one, pod)
            for one in self.deployments
            for pod in one.pods
            if pod.fails_s <= to_s and pod.deleted_s is None and pod.server is not None
        ]
        first = min(failing, key=lambda pair: pair[1].fails_s, default=None)
        pod_s = first[1].fails_s if first is not None else math.inf
        node_s = self._node_losses[0] if self._node_losses else math.inf
        if min(pod_s, node_s) > to_s:
            return None
        if first is not None and pod_s <= node_s:
            return pod_s, [first]
        self._node_losses.pop(0)
        node = next(iter(self.nodes.nodes), None)
        if node is None:
            return node_s, []
        lost = [(one, pod) for one in self.deployments for pod in one.pods if pod.node is node]
        self.nodes.lose(node, node_s)
        return node_s, lost
