"""Slices enough, wherever Kubernetes puts what may go elsewhere, too."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscaler.core.packing.pack import pack
from autoscaler.core.packing.plan import PackingPlan, supply
from autoscaler.core.packing.problem import Domain, PackingProblem, Spread, Variant, Workload
from autoscaler.core.packing.supply import domains, peak, supply_rows
from autoscaler.errors import PackingInfeasible
from autoscaler.solver.highs import HighsSolver
from tests.core.packing.fleet import cell, cut, workload

ONLY_1G = cut(g1=7)


@pytest.mark.parametrize(
    ("replicas", "domain_count", "skew", "most"),
    [(0, 3, 1, 0), (1, 3, 1, 1), (3, 3, 1, 1), (4, 3, 1, 2), (7, 3, 1, 3), (4, 3, 2, 2), (5, 3, 2, 3), (5, 1, 1, 5)],
)  # fmt: skip
def test_the_most_that_a_spread_lets_one_domain_have(
    replicas: int, domain_count: int, skew: int, most: int
) -> None:
    assert peak(replicas, domain_count, skew) == most


def test_who_may_sit_in_a_pool_is_counted_there() -> None:
    both, one = frozenset({"a", "b"}), frozenset({"a"})
    problem = PackingProblem(
        cells=(cell("a"), cell("b")),
        workloads=(
            workload("roams", 100, {"1g": 100}, cells=both),
            workload("stays", 100, {"1g": 100}, cells=one),
        ),
    )
    assert [(row.cells, [name for name, _ in row.claims]) for row in supply_rows(problem)] == [
        (("a",), ["roams-1g", "stays-1g"]),
        (("a", "b"), ["roams-1g", "stays-1g"]),
    ]


def test_a_roaming_workload_may_not_crowd_out_one_that_stays() -> None:
    both, one = frozenset({"a", "b"}), frozenset({"a"})
    problem = PackingProblem(
        cells=(cell("a", 3, only=ONLY_1G), cell("b", 3, only=ONLY_1G)),
        workloads=(
            workload("roams", 1000, {"1g": 100}, cells=both),
            workload("stays", 400, {"1g": 100}, cells=one),
        ),
    )
    # Fourteen replicas would fit onto two GPUs, one here and one there: if all that roams went to b. Nothing makes it.
    plan = pack(problem, HighsSolver())
    assert plan.opened == (("a", ONLY_1G, 2),)


# ---------------------------------------------------------------- whatever the scheduler does


def schedule(problem: PackingProblem, plan: PackingPlan, rng: random.Random) -> str | None:
    """Binds all pods in any order to any slice that they may have; the pod that finds none, if one does."""
    cells = {c.name: c for c in problem.cells}
    free = supply(plan, {})
    variants = {variant.name: variant for _, variant in problem.variants()}
    pods = [name for name, count in plan.replicas for _ in range(count)]
    rng.shuffle(pods)
    placed: Counter[tuple[str, str]] = Counter()
    for name in pods:
        variant = variants[name]
        allowed = [
            place
            for place in allowed_cells(variant, cells, placed)
            if free[place, variant.shape] > 0
        ]
        if not allowed:
            return name
        chosen = rng.choice(allowed) if rng.random() < 0.5 else min(allowed)
        free[chosen, variant.shape] -= 1
        placed[name, chosen] += 1
    return None


def allowed_cells(
    variant: Variant, cells: Mapping[str, object], placed: Counter[tuple[str, str]]
) -> list[str]:
    """Cells that the spread lets the next pod go to."""
    groups = domains(variant, cells)  # type: ignore[arg-type]
    counts = {name: sum(placed[variant.name, c] for c in names) for name, names in groups.items()}
    if variant.spread is None:
        return sorted(variant.cells)
    least = min(counts.values())
    return sorted(
        c
        for name, names in groups.items()
        if counts[name] + 1 - least <= variant.spread.max_skew
        for c in names
    )


CELLS = (
    cell("a1", 30, zone="x", node="n1"),
    cell("a2", 30, zone="x", node="n2"),
    cell("b1", 30, zone="y", node="n3", only=cut(g3=2)),
    cell("b2", 30, zone="y", node="n4", only=ONLY_1G),
)


@st.composite
def workloads(draw: st.DrawFn, number: int) -> Workload:
    kind = draw(st.sampled_from([None, None, Domain.ZONE, Domain.NODE]))
    names = draw(st.sets(st.sampled_from([c.name for c in CELLS]), min_size=1))
    spread = Spread(over=kind, max_skew=draw(st.integers(1, 2))) if kind else None
    return workload(
        f"w{number}",
        draw(st.integers(0, 900)),
        {"1g": draw(st.integers(50, 100)), "3g": draw(st.integers(150, 400))},
        cells=frozenset(names),
        spread=spread,
        survive=kind if kind and draw(st.booleans()) else None,
    )


@settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(
    drawn=st.tuples(workloads(0), workloads(1), workloads(2)),
    rng=st.randoms(use_true_random=False),
)
def test_no_pod_is_ever_stuck(
    drawn: tuple[Workload, Workload, Workload], rng: random.Random
) -> None:
    problem = PackingProblem(cells=CELLS, workloads=drawn)
    try:
        plan = pack(problem, HighsSolver())
    except PackingInfeasible:
        return
    for _ in range(10):
        assert schedule(problem, plan, rng) is None
