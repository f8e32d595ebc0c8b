"""The world of `make bench-nodes`: placeholders give way on ready nodes first, and what they lose is made anew."""

from __future__ import annotations

from autoscaler.simulation.nodes import NodeSettings
from loadtests.bench.nodes import HeadroomPool, rates, scenario


def test_a_pod_takes_a_placeholders_place_on_a_ready_node() -> None:
    pool = HeadroomPool(NodeSettings(gpus=2, boot_s=300.0))
    pool.set_headroom(2, 0.0)
    (node,) = pool.nodes
    assert (node.pods, pool.held(node)) == (2, 2)
    assert pool.place(300.0) is node
    assert (node.pods, pool.held(node)) == (2, 1)
    # The one that was displaced asks for a node when it is looked at again.
    pool.set_headroom(2, 310.0)
    assert [n.requested_s for n in pool.nodes] == [0.0, 310.0]


def test_a_free_gpu_is_taken_before_a_placeholders() -> None:
    pool = HeadroomPool(NodeSettings(gpus=4, boot_s=0.0))
    pool.set_headroom(1, 0.0)
    node = pool.place(1.0)
    assert node is not None
    assert (node.pods, pool.held(node)) == (2, 1)


def test_headroom_that_is_let_go_empties_the_emptiest_node_first() -> None:
    pool = HeadroomPool(NodeSettings(gpus=2, boot_s=0.0, unneeded_s=600.0))
    pool.set_headroom(3, 0.0)
    pool.set_headroom(2, 10.0)
    assert [n.pods for n in pool.nodes] == [2, 0]
    assert pool.gpu_hours(610.0) == (610.0 + 610.0) * 2 / 3600.0
    assert len(pool.nodes) == 1


def test_a_node_that_is_empty_goes_whatever_is_wanted_elsewhere() -> None:
    """Placeholders hold what is to be free; the pool itself keeps nothing beside."""
    pool = HeadroomPool(NodeSettings(gpus=1, boot_s=0.0, unneeded_s=600.0))
    pool.set_headroom(1, 0.0)
    node = pool.place(0.0)
    assert node is not None
    pool.set_headroom(1, 10.0)
    pool.release(node, 20.0)
    assert pool.gpu_hours(620.0) == (620.0 + 610.0) / 3600.0
    assert len(pool.nodes) == 1


def test_every_day_has_its_surge_at_the_same_hours() -> None:
    world = scenario(1)
    past = world.open_demand.past_rps
    by_day = [day.mean() for day in past[: 13 * 1440].reshape(13, 1440)]
    assert min(by_day) > 20.0
    assert float(rates(world.open_demand.rates_rps * 0.0 + 10.0).min()) == 150.0
