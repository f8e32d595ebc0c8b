"""When the cluster-autoscaler asked for a node: from its status alone, and nothing where that does not tell."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from autoscaler.collectors.cluster_autoscaler import GroupStatus
from autoscaler.collectors.node_views import NodeView
from autoscaler.collectors.scale_ups import ScaleUps

T0 = 1_700_000_000.0


def node(name: str, created_s: float) -> NodeView:
    return NodeView(
        name=name,
        labels={},
        created_s=T0 + created_s,
        ready_s=None,
        first_ready_s=None,
        allocatable={},
        usable_s={},
        taints=(),
        found=frozenset(),
        leaving=False,
    )


def group(name: str, registered: int, target: int) -> GroupStatus:
    return GroupStatus(name=name, registered=registered, target=target)


@dataclass
class Pool:
    """One of two groups, its nodes and its status, seconds after `T0`."""

    asked: ScaleUps = field(default_factory=ScaleUps)
    nodes: list[NodeView] = field(default_factory=list)

    def look(self, at_s: float, *groups: GroupStatus) -> list[float | None]:
        """What is on its way since when."""
        self.asked.read(T0 + at_s, groups, self.nodes)
        return [None if one is None else one - T0 for one in self.asked.asked_s]

    def comes(self, name: str, at_s: float) -> float | None:
        """Since when it was asked for."""
        self.nodes.append(node(name, at_s))
        self.asked.match(self.nodes)
        found = self.asked.requested_s(self.nodes[-1])
        return None if found is None else found - T0


def test_nodes_take_the_requests_in_their_order() -> None:
    """Two are asked for between 10 and 20 s, a third between 60 and 70 s; they come after four minutes."""
    pool = Pool()
    pool.look(0.0, group("h100", 1, 1))
    assert pool.look(10.0, group("h100", 1, 1)) == []
    assert pool.look(20.0, group("h100", 1, 3)) == [10.0, 10.0]
    for at_s in (30.0, 40.0, 50.0, 60.0):
        pool.look(at_s, group("h100", 1, 3))
    assert pool.look(70.0, group("h100", 1, 4)) == [10.0, 10.0, 60.0]
    assert pool.comes("n2", 250.0) == 10.0
    assert pool.look(250.5, group("h100", 1, 4)) == [10.0, 60.0]
    assert pool.look(260.0, group("h100", 2, 4)) == [10.0, 60.0]
    assert pool.comes("n3", 265.0) == 10.0
    assert pool.comes("n4", 300.0) == 60.0
    # Looked at again, each has its own.
    assert pool.asked.requested_s(pool.nodes[0]) == T0 + 10.0


def test_groups_of_one_pool_ask_together() -> None:
    pool = Pool()
    pool.look(0.0, group("a", 0, 0), group("b", 0, 0))
    assert pool.look(10.0, group("a", 0, 1), group("b", 0, 0)) == [0.0]
    assert pool.look(20.0, group("a", 0, 1), group("b", 0, 2)) == [0.0, 10.0, 10.0]


def test_what_was_asked_for_before_anybody_looked_has_no_time() -> None:
    pool = Pool(nodes=[node("old", -600.0)])
    pool.asked.match(pool.nodes)
    assert pool.asked.requested_s(pool.nodes[0]) is None
    assert pool.look(0.0, group("h100", 1, 2)) == [None]
    assert pool.look(10.0, group("h100", 1, 3)) == [None, 0.0]
    assert pool.comes("n2", 60.0) is None
    assert pool.comes("n3", 240.0) == 0.0


def test_over_a_gap_it_is_not_known_when_it_was() -> None:
    pool = Pool()
    pool.look(0.0, group("h100", 0, 0))
    assert pool.look(70.0, group("h100", 0, 1)) == [None]
    # The same status once more tells nothing new.
    assert pool.look(70.0, group("h100", 0, 5)) == [None]


def test_what_is_given_up_goes_at_the_second_look() -> None:
    pool = Pool()
    pool.look(0.0, group("h100", 0, 0))
    pool.look(10.0, group("h100", 0, 1))
    for at_s in range(20, 610, 10):
        pool.look(float(at_s), group("h100", 0, 1))
    pool.look(610.0, group("h100", 0, 2))
    assert pool.look(910.0, group("h100", 0, 1)) == [0.0, 600.0]
    assert pool.look(920.0, group("h100", 0, 1)) == [600.0]


@pytest.mark.parametrize(
    ("created_s", "asked_s"),
    [(5.0, None), (100.0, 10.0)],
    ids=["by hand, before it was asked for", "after it"],
)
def test_a_node_that_nobody_asked_for(created_s: float, asked_s: float | None) -> None:
    pool = Pool()
    for at_s in (0.0, 10.0):
        pool.look(at_s, group("h100", 0, 0))
    pool.look(20.0, group("h100", 0, 1))
    assert pool.comes("n1", created_s) == asked_s
