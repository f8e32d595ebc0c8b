"""When the cluster-autoscaler asked for the nodes of one pool: it leaves no object for each request, as Karpenter does.

A group's `cloudProviderTarget` in its status rises by so many nodes as it asks the cloud for. Nodes are taken to come
in the order in which they were asked for. What was asked for before anybody looked, or in a gap between two looks, has
no time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from autoscaler.collectors.cluster_autoscaler import GroupStatus
from autoscaler.collectors.node_views import NodeView

GAP_S = 60.0
"""The status is written every 10 s. Over a longer gap it is not known when in it a target rose."""


@dataclass(slots=True)
class ScaleUps:
    """Requests for nodes that have not come, and those that did."""

    asked_s: list[float | None] = field(default_factory=list)
    """One for each node on its way, oldest first; None: it is not known since when."""
    _read_s: float | None = None
    _began_s: float | None = None
    _targets: dict[str, int] = field(default_factory=dict)
    _came: dict[tuple[str, float], float | None] = field(default_factory=dict)
    """By node and its creation, when it was asked for."""
    _excess: int = 0
    """Requests beyond what the status has on its way, as of the last look."""

    def read(
        self, at_s: float | None, groups: Sequence[GroupStatus], nodes: Iterable[NodeView]
    ) -> None:
        """One look at the groups of the pool, in a status that was written at `at_s`."""
        if at_s is None or (self._read_s is not None and at_s <= self._read_s):
            return
        self.match(nodes)
        # It was asked for between the two: the earlier makes the lead time no shorter than it is.
        known = self._read_s is not None and at_s - self._read_s <= GAP_S
        since_s = self._read_s if known else None
        for group in groups:
            self._take(group, since_s)
        self._read_s = at_s
        self._began_s = at_s if self._began_s is None else self._began_s
        self._let_go(max(0, len(self.asked_s) - sum(group.coming for group in groups)))

    def match(self, nodes: Iterable[NodeView]) -> None:
        """Nodes that have registered take the oldest requests."""
        there = sorted(nodes, key=lambda node: (node.created_s, node.name))
        for node in there:
            key = (node.name, node.created_s)
            if key not in self._came:
                self._came[key] = self._taken(node)
        present = {(node.name, node.created_s) for node in there}
        self._came = {key: at_s for key, at_s in self._came.items() if key in present}

    def requested_s(self, node: NodeView) -> float | None:
        """None: it was not seen when this one was asked for."""
        return self._came.get((node.name, node.created_s))

    def _taken(self, node: NodeView) -> float | None:
        if self._began_s is None or node.created_s < self._began_s or not self.asked_s:
            return None
        oldest_s = self.asked_s[0]
        if oldest_s is not None and oldest_s > node.created_s:
            return None
        return self.asked_s.pop(0)

    def _take(self, group: GroupStatus, since_s: float | None) -> None:
        if group.target is None:
            return
        before = self._targets.get(group.name)
        self._targets[group.name] = group.target
        if before is None:
            self.asked_s += [None] * group.coming
        else:
            self.asked_s += [since_s] * max(0, group.target - before)

    def _let_go(self, excess: int) -> None:
        """The autoscaler gives up what did not come. Once it may be that a node is not seen here yet."""
        given_up = min(excess, self._excess)
        del self.asked_s[:given_up]
        self._excess = excess - given_up
