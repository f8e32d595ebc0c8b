"""The cheapest mix of shapes, and what no mix may be made of."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.mig.catalogue import find_gpu
from autoscaler.core.mig.choice import (
    Option,
    cheapest_cover,
    cheapest_mix,
    part_of,
    shape_of_requests,
    share_price,
)
from autoscaler.errors import PackingInfeasible, Problem

A100 = find_gpu("A100-80GB")
# A model that gains little from size, as bert does.
FLAT = {"1g.10gb": 100_000, "2g.20gb": 150_000, "3g.40gb": 180_000, "7g.80gb": 240_000}
# One that gains more than its share from three sevenths.
STEEP = {"1g.10gb": 100_000, "2g.20gb": 200_000, "3g.40gb": 360_000, "7g.80gb": 640_000}


@pytest.mark.parametrize(
    ("profile", "price"),
    [
        ("1g.10gb", 8),
        ("1g.20gb", 14),
        ("2g.20gb", 16),
        ("3g.40gb", 28),
        ("4g.40gb", 32),
        ("7g.80gb", 56),
    ],
)
def test_a_slice_costs_its_share_of_compute_or_memory(profile: str, price: int) -> None:
    assert share_price(A100, profile) == price


@pytest.mark.parametrize(
    ("capacities", "demand_rps", "replicas"),
    [
        (FLAT, 0, {}),
        (FLAT, 1, {"1g.10gb": 1}),
        (FLAT, 300, {"1g.10gb": 3}),
        # Four 1g, or two and a 2g: 32 each, so the fewer replicas. Two 2g and a 1g would be 40.
        (FLAT, 301, {"1g.10gb": 2, "2g.20gb": 1}),
        (STEEP, 360, {"3g.40gb": 1}),
        (STEEP, 460, {"3g.40gb": 1, "1g.10gb": 1}),
        # Equal price for 200 rps, two 1g or one 2g: the fewer replicas.
        (STEEP, 200, {"2g.20gb": 1}),
        # Two 3g carry more for the price of a whole GPU than the whole GPU.
        (STEEP, 661, {"3g.40gb": 2}),
    ],
)
def test_cheapest(capacities: dict[str, int], demand_rps: int, replicas: dict[str, int]) -> None:
    options = [
        Option(shape=shape, capacity_mrps=mrps, price=share_price(A100, shape))
        for shape, mrps in capacities.items()
    ]
    mix = cheapest_mix(options, demand_rps * 1000)
    assert dict(mix.replicas) == replicas
    assert mix.price == sum(share_price(A100, shape) * n for shape, n in replicas.items())


def test_demand_that_no_shape_carries_is_refused() -> None:
    with pytest.raises(PackingInfeasible, match="5 rps are to be carried and no shape carries any"):
        cheapest_mix([Option(shape="1g.10gb", capacity_mrps=0, price=8)], 5000)


items = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 30)), min_size=1, max_size=4)


@settings(deadline=None, derandomize=True)
@given(items=items, demand=st.integers(0, 120))
def test_no_cover_is_cheaper(items: list[tuple[int, int]], demand: int) -> None:
    capacities, prices = [c for c, _ in items], [p for _, p in items]
    cover = cheapest_cover(capacities, prices, demand)
    assert sum(c * n for c, n in zip(capacities, cover.counts, strict=True)) >= demand
    assert sum(p * n for p, n in zip(prices, cover.counts, strict=True)) == cover.price
    assert cover.bound == cover.price
    # The least price of carrying at least d, item by item.
    least = [0, *[10**9] * demand]
    for d, (c, p) in itertools.product(range(1, demand + 1), items):
        least[d] = min(least[d], least[max(0, d - c)] + p)
    assert cover.price == least[demand]


def test_a_search_that_is_cut_off_says_how_far_it_may_be() -> None:
    cover = cheapest_cover([7, 11, 13], [70, 111, 132], 1000, node_limit=3)
    assert sum(c * n for c, n in zip([7, 11, 13], cover.counts, strict=True)) >= 1000
    exact = cheapest_cover([7, 11, 13], [70, 111, 132], 1000)
    assert cover.bound <= exact.price <= cover.price


# ---------------------------------------------------------------- what a pod asks for


GPU_AND_SEVENTH = [
    Option(shape="gpu", capacity_mrps=60_000, price=56),
    Option(shape="1g.10gb", capacity_mrps=20_000, price=8),
]


@pytest.mark.parametrize(
    ("demand_mrps", "least", "left"),
    [
        pytest.param(140_000, {}, {"gpu": 1, "1g.10gb": 4}, id="all of it is needed"),
        pytest.param(200_000, {}, {"gpu": 1, "1g.10gb": 4}, id="more is needed"),
        pytest.param(121_000, {}, {"gpu": 1, "1g.10gb": 4}, id="less than a replica too much"),
        pytest.param(100_000, {}, {"gpu": 1, "1g.10gb": 2}, id="two sevenths too much"),
        pytest.param(80_000, {}, {"gpu": 0, "1g.10gb": 4}, id="a GPU goes first"),
        pytest.param(80_000, {"gpu": 1}, {"gpu": 1, "1g.10gb": 1}, id="but for its least"),
        pytest.param(0, {}, {"gpu": 0, "1g.10gb": 0}, id="nothing is needed"),
        pytest.param(0, {"1g.10gb": 3}, {"gpu": 0, "1g.10gb": 3}, id="nothing but the least"),
    ],
)
def test_the_part_of_a_mix_that_is_needed(
    demand_mrps: int, least: dict[str, int], left: dict[str, int]
) -> None:
    counts = {"gpu": 1, "1g.10gb": 4}
    assert part_of(GPU_AND_SEVENTH, counts, demand_mrps, least=least) == left


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20), st.integers(0, 9)), max_size=4),
    st.integers(0, 500),
)
def test_a_part_carries_what_is_needed_and_nothing_to_spare(
    shapes: list[tuple[int, int, int]], demand: int
) -> None:
    options = [
        Option(shape=str(place), capacity_mrps=capacity, price=price)
        for place, (capacity, price, _) in enumerate(shapes)
    ]
    counts = {str(place): count for place, (_, _, count) in enumerate(shapes)}
    left = part_of(options, counts, demand)
    carried = sum(option.capacity_mrps * left[option.shape] for option in options)
    there = sum(option.capacity_mrps * counts[option.shape] for option in options)
    assert carried >= min(demand, there)
    assert all(0 <= left[shape] <= counts[shape] for shape in counts)
    for option in options:
        if left[option.shape] and option.capacity_mrps:
            assert carried - option.capacity_mrps < demand


@pytest.mark.parametrize(
    ("requests", "shape"),
    [
        ({"cpu": 4}, None),
        ({"nvidia.com/gpu": 0}, None),
        ({"nvidia.com/gpu": 2, "cpu": 4}, "gpu"),
        ({"nvidia.com/mig-3g.40gb": 1, "nvidia.com/gpu": 0}, "3g.40gb"),
        ({"nvidia.com/mig-1g.10gb.me": 1}, "1g.10gb+me"),
    ],
)
def test_the_shape_a_pod_asks_for(requests: dict[str, int], shape: str | None) -> None:
    assert shape_of_requests("team/bert", requests) == shape


@pytest.mark.parametrize(
    ("requests", "given"),
    [
        (
            {"nvidia.com/gpu": 1, "nvidia.com/mig-1g.10gb": 1},
            "nvidia.com/gpu: 1, nvidia.com/mig-1g.10gb: 1",
        ),
        ({"nvidia.com/mig-1g.10gb": 1, "nvidia.com/mig-2g.20gb": 1}, "mig-2g.20gb: 1"),
        ({"nvidia.com/mig-1g.10gb": 2}, "nvidia.com/mig-1g.10gb: 2"),
        ({"nvidia.com/mig-large": 1}, "nvidia.com/mig-large"),
    ],
)
def test_requests_that_contradict_each_other(requests: dict[str, int], given: str) -> None:
    problem = shape_of_requests("team/bert", requests)
    assert isinstance(problem, Problem)
    assert given in problem.given
