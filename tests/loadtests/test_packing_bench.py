"""The packing benchmark's own parts: its rule, its generated questions, how it counts moves."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from autoscaler.core.packing.compact import PRICE
from autoscaler.core.packing.pack import pack
from autoscaler.errors import TableInvalid
from autoscaler.solver.highs import HighsSolver
from loadtests.bench.packing import faults, homogeneous
from loadtests.bench.packing_data import (
    Scenario,
    day_of_demand,
    generated_scenario,
    measured_scenarios,
    problem_of,
    two_pools,
)
from loadtests.bench.packing_day import Day, Fleet, count_moves, from_scratch, incremental, play

HEADER = "Mig instance,Batch size,Workload Number,Throughput,Latency"


def measured(folder: Path, rows: list[str], slo_ms: float, rate: float) -> list[Scenario]:
    """Two processes at most."""
    (folder / "parvagpu_profiles").mkdir()
    (folder / "parvagpu_profiles" / "bert.csv").write_text("\n".join([HEADER, *rows]))
    given = {"id": "S1", "slo_ms": {"bert": slo_ms}, "rate_per_s": {"bert": rate}}
    (folder / "parvagpu_scenarios.json").write_text(
        json.dumps({"models": ["bert"], "scenarios": [given]})
    )
    return measured_scenarios(2, folder)


ROWS = [
    "1,1,1,100,0.010",
    "1,8,1,180,0.045",
    "1,8,2,95,0.044",
    *("2,8,1,300,0.027", "3,8,1,400,0.020", "4,8,1,500,0.016", "7,8,1,800,0.010"),
]


def test_the_rule_is_the_data_s_own(tmp_path: Path) -> None:
    # int(100.9) * 0.45 = 45 ms: 45 ms is not below it, two processes of 95 rps at 44 ms are.
    (scenario,) = measured(tmp_path, ROWS, slo_ms=100.9, rate=12.0004)
    assert scenario.demand_mrps == {"bert": 12_001}
    assert scenario.capacities_mrps["bert"] == {
        **{"1g": 190_000, "2g": 300_000, "3g": 400_000, "4g": 500_000, "7g": 800_000},
    }


def test_a_falling_envelope_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableInvalid, match="a larger slice carries at least as much"):
        measured(tmp_path, [*ROWS[:-1], "7,8,1,480,0.010"], slo_ms=100.0, rate=12.0)


def test_without_the_data_there_is_nothing(tmp_path: Path) -> None:
    assert measured_scenarios(1, tmp_path) == []


def test_homogeneous_fleets_are_counted_by_replicas() -> None:
    scenario = Scenario(
        name="s",
        demand_mrps={"bert": 1000, "vgg": 250},
        capacities_mrps={"bert": {"1g": 100, "7g": 600}, "vgg": {"7g": 250}},
    )
    assert homogeneous(scenario, "7g") == 3
    assert homogeneous(scenario, "1g") is None


def test_generated_questions_are_the_same_each_time() -> None:
    assert generated_scenario(3, workloads=7, gpus=5) == generated_scenario(3, workloads=7, gpus=5)
    assert two_pools(3, workloads=20, a100=20, h100=9) == two_pools(
        3, workloads=20, a100=20, h100=9
    )


def test_a_generated_plan_is_checked_by_other_code() -> None:
    scenario = generated_scenario(1, workloads=6, gpus=4)
    plan = pack(problem_of(scenario, 100), HighsSolver())
    assert faults(scenario, plan) == []


def test_a_day_has_one_peak() -> None:
    series = day_of_demand(0, workloads=10, gpus=20, ticks=24)
    totals = [sum(scenario.demand_mrps.values()) for scenario in series]
    assert max(totals) / (sum(totals) / len(totals)) >= 2.0
    assert totals.index(max(totals)) in range(10, 17)


GEOMETRIES = problem_of(generated_scenario(1, workloads=1, gpus=1), 1).cells[0].geometries


def test_a_move_is_a_stop_and_a_start_of_one_workload() -> None:
    scenario = Scenario(
        name="s",
        demand_mrps={"bert": 1, "vgg": 1},
        capacities_mrps={"bert": {"1g": 1, "2g": 2}, "vgg": {"1g": 1}},
    )
    problem = problem_of(scenario, 2)
    before, after = Fleet.idle(2, GEOMETRIES[0]), Fleet.idle(2, GEOMETRIES[0])
    before.replicas["gpu0000"] = Counter({"bert-1g": 3, "vgg-1g": 1})
    after.replicas["gpu0001"] = Counter({"bert-2g": 1, "vgg-1g": 1})
    after.replicas["gpu0000"] = Counter({"bert-1g": 1})
    day = Day()
    count_moves(day, problem, before, after)
    # Two of bert stop for one that starts; vgg changes its GPU.
    assert (day.moves, day.starts, day.recuts) == (2, 2, 0)


def test_a_recut_moves_everything_on_the_gpu() -> None:
    problem = problem_of(generated_scenario(1, workloads=1, gpus=1), 1)
    before, after = Fleet.idle(1, GEOMETRIES[0]), Fleet.idle(1, GEOMETRIES[1])
    for fleet in (before, after):
        fleet.replicas["gpu0000"] = Counter({"w000-1g": 2})
    day = Day()
    count_moves(day, problem, before, after)
    assert (day.moves, day.recuts) == (2, 1)


def test_both_planners_carry_a_day() -> None:
    series = day_of_demand(1, workloads=5, gpus=6, ticks=12)
    ours = play(series, incremental(PRICE // 2), gpus=14, seed=1)
    anew = play(series, from_scratch, gpus=14, seed=1)
    assert len(ours.gpus_in_use) == 12
    assert all(a <= o for a, o in zip(anew.gpus_in_use, ours.gpus_in_use, strict=True))
