"""Variants of which the scheduler puts only so many on one GPU, where that is a node with all its slices."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.packing.pack import pack
from autoscaler.core.packing.plan import PackingPlan, check_plan
from autoscaler.core.packing.problem import Domain, HeldGpu, PackingProblem, Workload
from autoscaler.errors import PackingError
from autoscaler.solver.highs import HighsSolver
from tests.core.packing.fleet import cell, cut, workload

SINGLES, HALVES = cut(g1=7), cut(g3=2)


def limited(
    name: str, demand_rps: float, per_gpu: int | None, survive: Domain | None = None
) -> Workload:
    """Replicas on 1g that carry 100 a second each."""
    whole = workload(name, demand_rps, {"1g": 100})
    variants = tuple(replace(one, per_gpu=per_gpu) for one in whole.variants)
    return replace(whole, variants=variants, survive=survive)


def planned(*workloads: Workload, gpus: int = 10, held: tuple[HeldGpu, ...] = ()) -> PackingPlan:
    problem = PackingProblem(cells=(cell(gpus=gpus),), workloads=workloads, held=held)
    return pack(problem, HighsSolver())


def gpus(plan: PackingPlan) -> int:
    return sum(count for _, _, count in plan.opened)


@pytest.mark.parametrize(
    ("per_gpu", "survive", "replicas", "used"),
    [
        (None, None, 5, 1),
        (1, None, 5, 5),
        (2, None, 5, 3),
        # One of six, or two of seven, may be gone.
        (1, Domain.NODE, 6, 6),
        (2, Domain.NODE, 7, 4),
    ],
)
def test_as_many_gpus_as_it_takes(
    per_gpu: int | None, survive: Domain | None, replicas: int, used: int
) -> None:
    plan = planned(limited("bert", 500, per_gpu, survive))
    assert plan.replicas == (("bert-1g", replicas),)
    assert gpus(plan) == used


def test_too_few_gpus_are_refused() -> None:
    with pytest.raises(PackingError):
        planned(limited("bert", 500, 1), gpus=4)
    with pytest.raises(PackingError):
        planned(limited("bert", 500, 1, Domain.NODE), gpus=5)


def test_a_full_gpu_takes_none_and_one_that_holds_more_keeps_them() -> None:
    """`g0` is full of gpt; on `g1` there are two of bert from before it was limited."""
    held = (
        HeldGpu(name="g0", cell="a", geometry=SINGLES, replicas=(("gpt-1g", 7),)),
        HeldGpu(name="g1", cell="a", geometry=SINGLES, replicas=(("bert-1g", 2),)),
    )
    plan = planned(limited("bert", 300, 1), limited("gpt", 700, None), held=held)
    assert (gpus(plan), plan.drained) == (1, ())
    assert dict(plan.kept)["g1"] == (("bert-1g", 2),)


def test_the_check_finds_too_many_on_too_few() -> None:
    plan = planned(limited("bert", 500, None))
    problem = PackingProblem(cells=(cell(),), workloads=(limited("bert", 500, 1),))
    assert check_plan(problem, plan) == ("5 of bert-1g at 1 on a GPU, there is room for 1",)
    survives = replace(problem, workloads=(limited("bert", 500, 5, Domain.NODE),))
    assert check_plan(survives, plan) == ("bert: 0 of 500000 mrps are carried when a node is lost",)


@settings(max_examples=40, deadline=None)
@given(
    demands=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from([None, 1, 2, 3])), min_size=1, max_size=3
    ),
    survives=st.booleans(),
    loses=st.integers(0, 9),
)
def test_its_demand_is_carried_when_any_one_gpu_is_lost(
    demands: list[tuple[int, int | None]], survives: bool, loses: int
) -> None:
    """Put by hand onto the GPUs of the plan, no more than allowed on each, one of which is then gone."""
    workloads = [
        limited(f"w{i}", 100 * count, per_gpu, Domain.NODE if survives and per_gpu else None)
        for i, (count, per_gpu) in enumerate(demands)
    ]
    plan = planned(*workloads, gpus=12)
    for own, (count, per_gpu) in zip(workloads, demands, strict=True):
        there = [geometry.count("1g.10gb") for _, geometry, n in plan.opened for _ in range(n)]
        on: Counter[int] = Counter()
        left = plan.count(own.variants[0].name)
        for _ in range(left):
            free = [
                i
                for i, n in enumerate(there)
                if on[i] < (n if per_gpu is None else min(n, per_gpu))
            ]
            assert free, "a replica finds no GPU"
            on[min(free, key=lambda i: on[i])] += 1
        if own.survive and there:
            assert left - on[loses % len(there)] >= count
