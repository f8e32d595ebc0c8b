"""Questions that contradict themselves are refused with everything that is wrong with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.packing.problem import (
    Cell,
    Domain,
    HeldGpu,
    PackingProblem,
    Spread,
    Variant,
    Workload,
    check_problem,
)
from autoscaler.errors import PackingInvalid

CELL = Cell(name="a", gpus=2, geometries=(Geometry.of({"1g": 7}),))
VARIANT = Variant(name="bert-1g", shape="1g", capacity_mrps=100, cells=frozenset({"a"}))
BERT = Workload(name="bert", demand_mrps=500, variants=(VARIANT,))
HELD = HeldGpu(name="g0", cell="a", geometry=CELL.geometries[0], replicas=(("bert-1g", 3),))
RIGHT = PackingProblem(cells=(CELL,), workloads=(BERT,), held=(HELD,))


def with_variant(**changes: object) -> PackingProblem:
    variant = replace(VARIANT, **changes)  # type: ignore[arg-type]
    return replace(RIGHT, workloads=(replace(BERT, variants=(variant,)),))


def test_a_right_question_is_taken() -> None:
    check_problem(RIGHT)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (replace(RIGHT, cells=(CELL, CELL)), "cell a: is there 2 times, once is allowed"),
        (replace(RIGHT, workloads=(BERT, BERT)), "workload bert: is there 2 times"),
        (replace(RIGHT, cells=(replace(CELL, gpus=-1),)), "cell a: -1 GPUs, 0 or more"),
        (replace(RIGHT, cells=(replace(CELL, price=0),)), "cell a: a price of 0, 1 or more"),
        (
            replace(RIGHT, cells=(replace(CELL, geometries=(Geometry.of({}),)),)),
            "cell a: a GPU cut into nothing, at least one slice",
        ),
        (
            replace(RIGHT, workloads=(replace(BERT, demand_mrps=-5),)),
            "workload bert: a demand of -5, 0 or more",
        ),
        (with_variant(capacity_mrps=0), "workload bert: no variant carries anything"),
        (with_variant(capacity_mrps=-1), "variant bert-1g: a capacity of -1"),
        (with_variant(cells=frozenset({"b"})), "variant bert-1g: cells b, known cells"),
        (
            with_variant(spread=Spread(over=Domain.ZONE)),
            "variant bert-1g: its cells a name no zone, cells split by zone are needed",
        ),
        (
            replace(RIGHT, cells=(replace(CELL, zone="z"),), workloads=(replace(BERT, survive=Domain.ZONE),)),
            "workload bert: is to survive the loss of a zone, and nothing spreads it, a topology spread constraint",
        ),
        (with_variant(per_gpu=0), "variant bert-1g: 0 on a GPU, 1 or more is allowed"),
        (replace(RIGHT, held=(replace(HELD, cell="b"),)), "GPU g0: cell b, a known cell"),
        (
            replace(RIGHT, held=(replace(HELD, replicas=(("gpt", 1),)),)),
            "GPU g0: holds gpt, known variants",
        ),
        (
            replace(RIGHT, held=(replace(HELD, replicas=(("bert-1g", 8),)),)),
            "GPU g0: 8 replicas on 1g, 7 slices are there",
        ),
        (
            replace(RIGHT, cells=(replace(CELL, gpus=0),)),
            "cell a: 1 GPUs in use, it has 0",
        ),
    ],
)  # fmt: skip
def test_refused(problem: PackingProblem, words: str) -> None:
    with pytest.raises(PackingInvalid) as raised:
        check_problem(problem)
    assert words in str(raised.value)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    wrong = replace(RIGHT, cells=(replace(CELL, price=0, gpus=-1),))
    with pytest.raises(PackingInvalid) as raised:
        check_problem(wrong)
    assert len(raised.value.problems) == 3
