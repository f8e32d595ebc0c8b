"""Which replicas of a plan start at once, and which wait for a slice that another leaves."""

from __future__ import annotations

import pytest

from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.packing.plan import Drain, PackingPlan
from autoscaler.core.packing.problem import HeldGpu, PackingProblem
from autoscaler.core.packing.turns import Turn, first_turn
from tests.core.packing.fleet import cell, cut, workload

SINGLES, HALVES = cut(g1=7), cut(g3=2)
Counts = dict[str, int]


def held(name: str, geometry: Geometry, replicas: Counts, where: str = "a") -> HeldGpu:
    return HeldGpu(
        name=name, cell=where, geometry=geometry, replicas=tuple(sorted(replicas.items()))
    )


def turn(
    gpus: list[HeldGpu], planned: Counts, *, drained: tuple[str, ...] = (), opened: int = 0
) -> Turn:
    """`a` and `b` carry 100 a second on a 1g and 180 on a 3g; `a` is to carry 400, `b` 300."""
    sizes = {"1g": 100.0, "3g": 180.0}
    problem = PackingProblem(
        cells=(cell(),),
        workloads=(workload("a", 400, sizes), workload("b", 300, sizes)),
        held=tuple(gpus),
    )
    plan = PackingPlan(
        replicas=tuple(sorted(planned.items())),
        opened=(("a", HALVES, opened),) if opened else (),
        kept=tuple((gpu.name, gpu.replicas) for gpu in gpus if gpu.name not in drained),
        drained=tuple(
            Drain(gpu=gpu.name, cell="a", replicas=gpu.replicas)
            for gpu in gpus
            if gpu.name in drained
        ),
        price=1,
        bound=0,
        proof=None,
    )
    return first_turn(problem, plan)


FULL = held("g0", SINGLES, {"a-1g": 4, "b-1g": 3})
ROOM = held("g0", SINGLES, {"a-1g": 4, "b-1g": 1})


@pytest.mark.parametrize(
    ("gpus", "planned", "drained", "opened", "first"),
    [
        pytest.param(
            [FULL],
            {"a-1g": 4, "b-1g": 3},
            (),
            0,
            {"a-1g": 4, "b-1g": 3},
            id="what runs may stay",
        ),
        pytest.param(
            [FULL, held("g1", HALVES, {"a-3g": 2})],
            {"a-1g": 7, "b-3g": 2},
            (),
            0,
            {"a-1g": 4, "a-3g": 2, "b-1g": 3},
            id="each is to take the other's slices: neither is free",
        ),
        pytest.param(
            [ROOM, held("g1", HALVES, {"b-3g": 1})],
            {"a-1g": 4, "b-1g": 3},
            ("g1",),
            0,
            {"a-1g": 4, "b-1g": 3, "b-3g": 1},
            id="free slices take what moves off a GPU",
        ),
        pytest.param(
            [held("g0", SINGLES, {"a-1g": 4}), held("g1", HALVES, {"b-3g": 1})],
            {"a-1g": 4, "a-3g": 1, "b-1g": 3},
            ("g1",),
            0,
            {"a-1g": 4, "b-1g": 3, "b-3g": 1},
            id="a GPU that is to be emptied offers none",
        ),
        pytest.param(
            [FULL],
            {"a-1g": 4, "b-1g": 3, "b-3g": 3},
            (),
            1,
            {"a-1g": 4, "b-1g": 3, "b-3g": 2},
            id="those of an idle GPU that the plan opens",
        ),
        pytest.param(
            [held("g0", SINGLES, {"a-1g": 4, "b-1g": 2})],
            {"a-1g": 5, "b-1g": 3},
            (),
            0,
            {"a-1g": 4, "b-1g": 3},
            id="of too few, those that lack replicas get them first",
        ),
    ],
)
def test_who_starts_before_others_have_gone(
    gpus: list[HeldGpu], planned: Counts, drained: tuple[str, ...], opened: int, first: Counts
) -> None:
    found = turn(gpus, planned, drained=drained, opened=opened).first
    assert {name: count for name, count in found.items() if count} == first


def test_what_is_free_beyond_the_plan_is_spare_for_all_of_its_shape() -> None:
    gpus = [held("g0", SINGLES, {"a-1g": 2, "b-1g": 1}), held("g1", HALVES, {"b-3g": 1})]
    found = turn(gpus, {"a-1g": 4, "b-1g": 1, "b-3g": 1})
    assert found.spare == {"a-1g": 2, "b-1g": 2, "a-3g": 1, "b-3g": 1}
    emptied = turn(gpus, {"a-1g": 4, "b-1g": 3}, drained=("g1",))
    assert emptied.spare == {"a-1g": 0, "b-1g": 0, "a-3g": 0, "b-3g": 0}


def test_slices_are_looked_for_where_a_variant_may_go() -> None:
    problem = PackingProblem(
        cells=(cell("a"), cell("b")),
        workloads=(workload("a", 400, {"1g": 100}), workload("z", 900, {"1g": 100})),
        held=(
            held("g0", SINGLES, {"a-1g": 4}),
            held("g1", SINGLES, {"z-1g": 5}, where="b"),
        ),
    )
    plan = PackingPlan(
        replicas=(("a-1g", 4), ("z-1g", 9)),
        opened=(),
        kept=(("g0", (("a-1g", 4),)), ("g1", (("z-1g", 5),))),
        price=2,
        bound=0,
        proof=None,
    )
    found = first_turn(problem, plan)
    assert found.first == {"a-1g": 4, "z-1g": 8}
