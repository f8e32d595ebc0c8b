"""Nodes whose GPUs are cut: who finds a slice, which node it is on, and what is free for nobody."""

from __future__ import annotations

from autoscaler.simulation.nodes import NodePool, NodeSettings

BALANCED = {"3g.40gb": 1, "1g.10gb": 4}


def cut(**settings: float) -> NodePool:
    return NodePool(NodeSettings(gpus=1, **settings), name="a100", slices=BALANCED)  # type: ignore[arg-type]


def test_a_pod_takes_a_slice_of_its_profile_and_another_node_when_none_is_free() -> None:
    pool = cut()
    names = []
    for at_s in range(5):
        node = pool.place(float(at_s), 1 / 7, "1g.10gb")
        assert node is not None
        names.append(node.name)
    assert names == ["a100-0", "a100-0", "a100-0", "a100-0", "a100-1"]
    large = pool.place(5.0, 0.5, "3g.40gb")
    assert large is not None
    assert large.name == "a100-0", "the fullest"


def test_a_slice_that_is_given_back_is_free_again() -> None:
    pool = cut(most=1)
    node = pool.place(0.0, 0.5, "3g.40gb")
    assert node is not None
    assert pool.place(1.0, 0.5, "3g.40gb") is None
    pool.release(node, 2.0, 0.5, "3g.40gb")
    assert pool.place(3.0, 0.5, "3g.40gb") is node


def test_no_node_is_asked_for_what_no_node_would_have() -> None:
    pool = cut()
    assert pool.place(0.0, 1.0, "7g.80gb") is None
    assert pool.place(0.0) is None, "a whole GPU"
    assert pool.nodes == ()


def test_a_cordoned_node_takes_no_pod() -> None:
    pool = cut(most=1)
    node = pool.place(0.0, 1 / 7, "1g.10gb")
    assert node is not None
    node.cordoned = True
    assert pool.place(1.0, 1 / 7, "1g.10gb") is None
