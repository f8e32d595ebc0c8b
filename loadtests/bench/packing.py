"""`make bench-packing`: how few GPUs, how well proven, how fast, and how little is moved.

The measured scenarios are taken where the shared data lies beside the project and left out where it does not;
everything else is generated. Times are CPU seconds of the process, all threads together: what one core would take.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np

from autoscaler.core.packing.certificate import UNIT
from autoscaler.core.packing.pack import MOVE_PRICE, pack
from autoscaler.core.packing.plan import PackingPlan
from autoscaler.core.packing.problem import PackingProblem
from autoscaler.core.packing.program import Limits
from autoscaler.solver.highs import HighsSolver
from loadtests.bench.packing_check import Answer, Proof, Question, layout_faults, proof_faults
from loadtests.bench.packing_data import (
    SHAPES,
    Scenario,
    day_of_demand,
    falling_measurements,
    generated_scenario,
    measured_scenarios,
    problem_of,
    two_pools,
)
from loadtests.bench.packing_day import Day, from_scratch, incremental, play
from loadtests.bench.report import Figure, report

GPUS = 100
PURE = {"S1": 2, "S2": 3, "S3": 5, "S4": 7, "S5": 13, "S6": 17}
FIVE_PROCESSES = {"S1": 2, "S2": 3, "S3": 5, "S4": 7, "S5": 12, "S6": 15}
GENERATED = 20
SEEDS = 5
DAYS = 3
TICKS = 144
"""Every ten minutes: geometry changes take minutes."""
EXACT = Limits()


def packed(problem: PackingProblem, limits: Limits = EXACT) -> tuple[PackingPlan, float]:
    """The plan and its CPU seconds."""
    start_s = time.process_time()
    plan = pack(problem, HighsSolver(), limits=limits)
    return plan, time.process_time() - start_s


def faults(scenario: Scenario, plan: PackingPlan) -> list[str]:
    """What the check that shares no code with the planner finds, of the layout and of the proof."""
    kinds = {shape: size for size, shape in SHAPES.items()}
    question = Question(demand=scenario.demand_mrps, capacity=scenario.capacities_mrps, gpus=GPUS)
    answer = Answer(
        replicas={
            (name, size): plan.count(f"{name}-{size}")
            for name, capacities in scenario.capacities_mrps.items()
            for size in capacities
        },
        gpus=[
            [kinds[shape] for shape, slices in geometry.counts for _ in range(slices)]
            for _, geometry, count in plan.opened
            for _ in range(count)
        ],
    )
    found = layout_faults(question, answer)
    if len(answer.gpus) != plan.price:
        found.append(f"{len(answer.gpus)} GPUs are cut, the plan says {plan.price}")
    if plan.certificate is None:
        return [*found, "there is no certificate"]
    slices = dict.fromkeys(SHAPES, 0)
    for row, price in plan.certificate.supply:
        slices[kinds[row.shape]] += price
    proof = Proof(
        gpu=UNIT,
        slices=slices,
        surcharge=dict(plan.certificate.surcharges).get("a100", 0),
        bound=plan.certificate.bound,
    )
    return [*found, *proof_faults(question, proof, plan.price)]


def homogeneous(scenario: Scenario, size: str) -> int | None:
    """GPUs when every GPU is cut into slices of this size only; None: a model does not fit into it."""
    per_gpu = {"1g": 7, "2g": 3, "3g": 2, "7g": 1}[size]
    replicas = 0
    for name, demand in scenario.demand_mrps.items():
        capacity = scenario.capacities_mrps[name].get(size)
        if capacity is None:
            return None
        replicas += -(-demand // capacity)
    return -(-replicas // per_gpu)


def measured_figures() -> Iterator[Figure]:
    """The six measured scenarios, with one process a slice and with up to five; nothing where they are absent."""
    seconds, proven, found, totals = [], 0, 0, 0
    for label, processes, targets in (("mig", 1, PURE), ("mps", 5, FIVE_PROCESSES)):
        scenarios = measured_scenarios(processes)
        for scenario in scenarios:
            plan, took_s = packed(problem_of(scenario, GPUS))
            seconds.append(took_s)
            proven += plan.price == plan.bound
            found += len(faults(scenario, plan))
            totals += plan.price if label == "mig" else 0
            yield Figure(
                name=f"{scenario.name} {label}",
                value=plan.price,
                unit="GPUs",
                target=targets[scenario.name],
                note=f"bound {plan.bound}, proven by {plan.proof}",
            )
    if not seconds:
        return
    count = len(seconds)
    note = "layout and certificate checked by code of its own"
    yield Figure(name="S1-S6 proven", value=proven, unit="of 12", target=count, better="higher")
    yield Figure(name="S1-S6 faults", value=found, unit="faults", target=0, note=note)
    yield Figure(name="S1-S6 slowest", value=max(seconds), unit="CPU s", target=1.0)
    yield Figure(
        name="S1-S6 falling rows",
        value=len(falling_measurements()),
        unit="rows",
        note="warned of: a larger slice shows less; no envelope falls",
    )
    yield from _savings(measured_scenarios(1), totals)


def _savings(scenarios: Sequence[Scenario], gpus: int) -> Iterator[Figure]:
    for size, what, target in (
        ("7g", "one whole GPU a replica", 45.0),
        ("1g", "all-1g", None),
        ("2g", "all-2g", None),
        ("3g", "all-3g", None),
    ):
        needs = [homogeneous(scenario, size) for scenario in scenarios]
        counted = [need for need in needs if need is not None]
        if len(counted) == len(needs):
            yield Figure(
                name=f"saved against {what}",
                value=100.0 * (1.0 - gpus / sum(counted)),
                unit="%",
                target=target,
                better="higher",
                note=f"S1-S6 together: {gpus} instead of {sum(counted)} GPUs",
            )


def generated_figures() -> Iterator[Figure]:
    """Twenty scenarios of the size of the measured ones."""
    seconds, proven, found = [], 0, 0
    for seed in range(GENERATED):
        rng = np.random.default_rng(seed)
        scenario = generated_scenario(
            seed, workloads=int(rng.integers(6, 12)), gpus=float(rng.uniform(2.0, 18.0))
        )
        plan, took_s = packed(problem_of(scenario, GPUS))
        seconds.append(took_s)
        proven += plan.price == plan.bound
        found += len(faults(scenario, plan))
    yield Figure(
        name="generated proven",
        value=proven,
        unit=f"of {GENERATED}",
        target=GENERATED,
        better="higher",
    )
    yield Figure(
        name="generated faults",
        value=found,
        unit="faults",
        target=0,
        note="layouts and certificates checked by code of its own",
    )
    yield Figure(name="generated slowest", value=max(seconds), unit="CPU s", target=1.0)


def large_figures() -> Iterator[Figure]:
    """Five hundred workloads on a thousand GPUs of two generations."""
    gaps, seconds, used = [], [], []
    for seed in range(SEEDS):
        problem = two_pools(seed, workloads=500, a100=700, h100=300)
        _say(f"1,000 GPUs, seed {seed}")
        plan, took_s = packed(problem, Limits(nodes=50, gap_ratio=0.001))
        gaps.append(100.0 * (plan.price - plan.bound) / plan.bound)
        seconds.append(took_s)
        used.append(plan.price)
    yield Figure(
        name="1,000 GPUs, gap",
        value=max(gaps),
        unit="%",
        target=1.0,
        note=f"worst of {SEEDS} seeds, {min(used)} to {max(used)} GPUs used, bound by certificate",
    )
    yield Figure(
        name="1,000 GPUs, time",
        value=max(seconds),
        unit="CPU s",
        target=10.0,
        note=f"slowest of {SEEDS}, 500 workloads",
    )


def day_figures() -> Iterator[Figure]:
    """Days of changing demand, from today's layout and anew."""
    pairs: list[tuple[Day, Day]] = []
    for seed in range(DAYS):
        series = day_of_demand(seed, workloads=40, gpus=92.0, ticks=TICKS)
        _say(f"day {seed}: from today's layout, {TICKS} ticks")
        ours = play(series, incremental(MOVE_PRICE), gpus=110, seed=seed)
        _say(f"day {seed}: anew each tick")
        anew = play(series, from_scratch, gpus=110, seed=seed)
        pairs.append((ours, anew))
        yield from _day(f"day {seed}", [(ours, anew)])
        yield Figure(
            name=f"day {seed}, peak : mean",
            value=max(anew.gpus_in_use) / (anew.gpu_ticks / TICKS),
            unit="",
            target=2.0,
            better="higher",
            note=f"{max(anew.gpus_in_use)} GPUs at the peak, packed anew",
        )
    yield from _day("three days", pairs)
    yield Figure(
        name="slowest tick", value=max(max(ours.seconds) for ours, _ in pairs), unit="CPU s"
    )


def _day(name: str, pairs: Sequence[tuple[Day, Day]]) -> Iterator[Figure]:
    ours_ticks = sum(ours.gpu_ticks for ours, _ in pairs)
    anew_ticks = sum(anew.gpu_ticks for _, anew in pairs)
    ours_moves, anew_moves = (sum(p[i].moves for p in pairs) for i in (0, 1))
    ours_recuts, anew_recuts = (sum(p[i].recuts for p in pairs) for i in (0, 1))
    hours = 24.0 / TICKS
    yield Figure(
        name=f"{name}, GPU-hours above anew",
        value=100.0 * (ours_ticks / anew_ticks - 1.0),
        unit="%",
        target=5.0,
        note=f"{ours_ticks * hours:,.0f} and {anew_ticks * hours:,.0f} GPU-hours",
    )
    yield Figure(
        name=f"{name}, moves of anew's",
        value=100.0 * ours_moves / anew_moves,
        unit="%",
        target=10.0,
        note=f"{ours_moves} and {anew_moves} moves; {ours_recuts} and {anew_recuts} GPUs recut",
    )


def _say(what: str) -> None:
    print(f"bench-packing: {what} ...", file=sys.stderr, flush=True)


def main() -> None:
    """Take the figures and write the report."""
    figures = [*measured_figures(), *generated_figures(), *large_figures(), *day_figures()]
    report("packing", figures)


if __name__ == "__main__":
    main()
