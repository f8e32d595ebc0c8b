"""Questions for the packing benchmark: generated ones, and measured scenarios where they lie beside the project.

Generated models scale with the size of a slice as measured ones do: a whole A100 carries 2.4 to 7 times what a
seventh does (language models little, vision models much), a 3g a little more than its share because it has half of
the memory's bandwidth, and a third of the models do not fit into the smallest slice.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autoscaler.core.mig.catalogue import find_gpu
from autoscaler.core.mig.geometry import geometries
from autoscaler.core.mig.table import COLUMNS, ProfileTable, envelope, falling_rows, read_table
from autoscaler.core.packing.problem import Cell, PackingProblem, Variant, Workload

A100 = find_gpu("A100-80GB")
SHAPES = {"1g": "1g.10gb", "2g": "2g.20gb", "3g": "3g.40gb", "4g": "4g.40gb", "7g": "7g.80gb"}
SHARED = Path("../shared/data/mig")
# Columns of the measured tables, and what the reader calls them.
_COLUMNS = dict(
    zip(
        COLUMNS,
        ("Mig instance", "Batch size", "Workload Number", "Throughput", "Latency"),
        strict=True,
    )
)

Capacities = Mapping[str, Mapping[str, int]]
"""By workload and shape, in thousandths of a request a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Demand and capacity by workload, in thousandths of a request a second."""

    name: str
    demand_mrps: Mapping[str, int]
    capacities_mrps: Capacities


def problem_of(scenario: Scenario, gpus: int) -> PackingProblem:
    """One pool of A100s that anything may use."""
    cell = Cell(name="a100", gpus=gpus, geometries=geometries(A100, SHAPES.values()))
    return PackingProblem(
        cells=(cell,),
        workloads=tuple(
            Workload(
                name=name,
                demand_mrps=demand,
                variants=_variants(name, "", scenario.capacities_mrps[name], "a100"),
            )
            for name, demand in scenario.demand_mrps.items()
        ),
    )


def _variants(
    name: str, suffix: str, capacities: Mapping[str, int], cell: str
) -> tuple[Variant, ...]:
    return tuple(
        Variant(
            name=f"{name}{suffix}-{size}",
            shape=SHAPES[size],
            capacity_mrps=capacity,
            cells=frozenset({cell}),
        )
        for size, capacity in capacities.items()
    )


# ---------------------------------------------------------------- measured


def measured_scenarios(max_processes: int, folder: Path = SHARED) -> list[Scenario]:
    """The scenarios of the shared data under its own rule; none where it is absent.

    A slice carries the best over batch sizes and up to `max_processes` processes of throughput times processes, among
    rows with latency_s * 1000 < 0.45 * int(slo_ms): half of nine tenths of the SLO, since a request waits for a batch.
    """
    path = folder / "parvagpu_scenarios.json"
    if not path.exists():
        return []
    content = json.loads(path.read_text())
    tables = {
        model: _table(folder / "parvagpu_profiles" / f"{model}.csv") for model in content["models"]
    }
    return [_scenario(given, tables, max_processes) for given in content["scenarios"]]


def falling_measurements(folder: Path = SHARED) -> list[str]:
    """Rows of the shared data in which a larger slice shows less."""
    paths = sorted((folder / "parvagpu_profiles").glob("*.csv"))
    return [sentence for path in paths for sentence in falling_rows(_table(path))]


def _scenario(
    given: dict[str, dict[str, float]], tables: Mapping[str, ProfileTable], max_processes: int
) -> Scenario:
    sizes = {shape: size for size, shape in SHAPES.items()}
    capacities = {}
    for model, slo_ms in given["slo_ms"].items():
        carried = envelope(
            tables[model],
            list(SHAPES.values()),
            # 0.45 ms are 450 us.
            latency_limit_us=450 * int(slo_ms),
            max_processes=max_processes,
        )
        capacities[model] = {sizes[shape]: found.rate_mrps for shape, found in carried.items()}
    return Scenario(
        name=str(given["id"]),
        demand_mrps={model: math.ceil(rps * 1000) for model, rps in given["rate_per_s"].items()},
        capacities_mrps=capacities,
    )


def _table(path: Path) -> ProfileTable:
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    text = [",".join(COLUMNS)]
    for row in rows:
        values = [row[_COLUMNS[column]] for column in COLUMNS]
        text.append(",".join([SHAPES[f"{values[0]}g"], *values[1:]]))
    return read_table(text, model=path.stem, gpu=A100)


# ---------------------------------------------------------------- generated


def generated_model(rng: np.random.Generator) -> dict[str, int]:
    """What each slice carries of one model; slices that it does not fit into are left out."""
    base_mrps = 1000.0 * 10 ** rng.uniform(1.0, 3.0)
    exponent = rng.uniform(0.45, 1.0)
    smallest = rng.choice(["1g", "2g", "3g", "7g"], p=[0.67, 0.18, 0.12, 0.03])
    capacities: dict[str, int] = {}
    most = 0
    for size in list(SHAPES)[list(SHAPES).index(smallest) :]:
        bonus = 1.08 if size == "3g" else 1.0
        rate = base_mrps * int(size[0]) ** exponent * bonus * rng.uniform(0.94, 1.06)
        most = max(most, int(rate))
        capacities[size] = most
    return capacities


def generated_scenario(seed: int, *, workloads: int, gpus: float) -> Scenario:
    """Workloads of very different weight that need about so many A100s together."""
    rng = np.random.default_rng(seed)
    names = [f"w{number:03}" for number in range(workloads)]
    capacities = {name: generated_model(rng) for name in names}
    weights = 1.0 + rng.pareto(1.5, workloads)
    share = weights / weights.sum() * gpus
    # A GPU of a model's best slice: seven 1g, three 2g and so on.
    per_gpu = {"1g": 7, "2g": 3, "3g": 2, "4g": 1, "7g": 1}
    return Scenario(
        name=f"generated {seed}",
        demand_mrps={
            name: max(1, int(share[i] * max(per_gpu[s] * c for s, c in capacities[name].items())))
            for i, name in enumerate(names)
        },
        capacities_mrps=capacities,
    )


def two_pools(seed: int, *, workloads: int, a100: int, h100: int) -> PackingProblem:
    """A fleet of two generations: what each slice carries more on an H100 differs from model to model.

    Half of the workloads may use both, by Deployments of their own; the others only the A100s.
    """
    rng = np.random.default_rng(1000 + seed)
    scenario = generated_scenario(seed, workloads=workloads, gpus=a100 + 1.68 * h100)
    cells = tuple(
        Cell(name=name, gpus=gpus, geometries=geometries(A100, SHAPES.values()))
        for name, gpus in (("a100", a100), ("h100", h100))
    )
    packed = []
    for name, demand in scenario.demand_mrps.items():
        capacities = scenario.capacities_mrps[name]
        variants = _variants(name, "-a100", capacities, "a100")
        faster = rng.uniform(1.3, 2.2)
        if rng.random() < 0.5:
            raised = {size: int(capacity * faster) for size, capacity in capacities.items()}
            variants += _variants(name, "-h100", raised, "h100")
        packed.append(Workload(name=name, demand_mrps=demand, variants=variants))
    return PackingProblem(cells=cells, workloads=tuple(packed))


def day_of_demand(seed: int, *, workloads: int, gpus: float, ticks: int) -> list[Scenario]:
    """A day with one broad peak, an hour or so apart from workload to workload, and noise that lasts about an hour."""
    rng = np.random.default_rng(2000 + seed)
    peak = generated_scenario(seed, workloads=workloads, gpus=gpus)
    names = list(peak.demand_mrps)
    offset_h = rng.normal(0.0, 0.8, workloads)
    keep = math.exp(-24.0 / ticks)
    noise = np.zeros(workloads)
    series = []
    for tick in range(ticks):
        noise = keep * noise + rng.normal(0.0, 0.05 * math.sqrt(1 - keep * keep), workloads)
        hour = tick * 24.0 / ticks - 6.0 + offset_h
        day = 0.1 + 0.9 * np.maximum(0.0, np.sin(np.pi * hour / 14.0)) ** 1.3
        level = day * np.exp(noise)
        series.append(
            Scenario(
                name=f"day {seed}, tick {tick}",
                demand_mrps={
                    name: max(1, int(peak.demand_mrps[name] * level[i]))
                    for i, name in enumerate(names)
                },
                capacities_mrps=peak.capacities_mrps,
            )
        )
    return series
