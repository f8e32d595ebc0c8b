"""How many replicas are worth having at a price of a miss."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.outlook import Outlook, Row
from autoscaler.core.price import choices

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)


def outlook(*values_rps: float, level_rps: float = 0.0) -> Outlook:
    return Outlook(level_rps=level_rps, rows=((1.0, Row(levels=LEVELS, values_rps=values_rps)),))


# 100 rps now, in one case of ten 140, in one of a hundred 180; a replica carries 10.
RISING = outlook(100.0, 120.0, 140.0, 152.0, 168.0, 180.0, level_rps=100.0)


@pytest.mark.parametrize(
    ("price", "replicas"),
    [
        pytest.param(0.01, 10, id="what is there is carried at any price"),
        pytest.param(1.0, 12, id="a replica that saves as much as it could serve is kept"),
        pytest.param(5.0, 17, id="and at 5 one that saves a fifth of that"),
        pytest.param(60.0, 22, id="and at 60 a sixtieth"),
    ],
)
def test_headroom_follows_the_price(price: float, replicas: int) -> None:
    assert choices(RISING, replica_rps=10.0).at_price(price) == replicas


@pytest.mark.parametrize(
    ("price", "started", "kept"), [(0.01, 10, 10), (0.5, 10, 13), (1.0, 12, 16), (5.0, 17, 19)]
)
def test_what_was_started_is_kept_up_to_three_times_the_price(
    price: float, started: int, kept: int
) -> None:
    found = choices(RISING, replica_rps=10.0)
    assert (found.at_price(price), found.kept_at(price)) == (started, kept)


def test_a_spike_is_provided_for_as_a_whole_or_not_at_all() -> None:
    # 30 rps, and 180 with a chance of 5 %: five replicas of fifteen more would save nothing, for behind an overload
    # everybody waits.
    told = Outlook(
        level_rps=30.0,
        rows=(
            (0.95, Row(levels=LEVELS, values_rps=(30.0,) * 6)),
            (0.05, Row(levels=LEVELS, values_rps=(180.0,) * 6)),
        ),
    )
    found = choices(told, replica_rps=10.0)
    # 15 replicas more for 0.05 x 18 of missed work: worth it from a price of 16.7 on.
    assert {found.at_price(p) for p in (1.0, 5.0, 15.0)} == {3}
    assert {found.at_price(p) for p in (18.0, 60.0)} == {18}


def test_no_demand_needs_no_replica() -> None:
    assert choices(outlook(*(0.0,) * 6), replica_rps=10.0).at_price(5.0) == 0


def test_fewer_replicas_that_carry_less_each_are_looked_at_as_such() -> None:
    # 100 rps now; below 12 replicas each carries a tenth less than 10: 11 carry 99 together, and 12 carry 120.
    found = choices(
        RISING, replica_rps=10.0, ratio_of=lambda replicas: 0.9 if replicas < 12 else 1.0
    )
    assert found.at_price(0.01) == 12
    assert found.at_price(5.0) == 17


def test_of_a_large_fleet_not_every_number_is_looked_at() -> None:
    large = outlook(*(1000.0 * v for v in RISING.rows[0][1].values_rps), level_rps=100_000.0)
    found = choices(large, replica_rps=10.0)
    assert len(found.replicas) <= 66
    assert found.at_price(5.0) == pytest.approx(17_000, rel=0.03)


# At most 200 rps at the last level: the tail's end is then at most 60 replicas, and each number is looked at.
quantiles = st.lists(st.floats(0.0, 200.0), min_size=6, max_size=6).map(sorted).map(tuple)


@given(quantiles, st.floats(0.0, 300.0), st.floats(0.01, 100.0))
def test_it_is_the_best_of_all_numbers(
    values_rps: tuple[float, ...], level_rps: float, price: float
) -> None:
    told = outlook(*values_rps, level_rps=level_rps)
    found = choices(told, replica_rps=10.0)

    def cost(replicas: int) -> float:
        # E[D; D > x] / c, summed up far beyond what is looked at.
        area = sum(
            0.5 * (told.exceeded_ratio(10.0 * n) + told.exceeded_ratio(10.0 * n + 10.0))
            for n in range(replicas, 400)
        )
        return replicas + price * (replicas * told.exceeded_ratio(10.0 * replicas) + area)

    chosen = found.at_price(price)
    assert all(cost(chosen) <= cost(n) + 1e-2 * (1.0 + price) for n in found.replicas)
    assert chosen * 10.0 >= level_rps - 1e-6


@given(quantiles, st.floats(0.01, 50.0), st.floats(1.0, 10.0))
def test_a_dearer_miss_never_means_fewer_replicas(
    values_rps: tuple[float, ...], price: float, times: float
) -> None:
    found = choices(outlook(*values_rps), replica_rps=10.0)
    assert found.at_price(price) <= found.at_price(price * times)
