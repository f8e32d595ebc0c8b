"""`make bench-joint`: replicas, shapes and nodes planned together, beside HPA on whole GPUs and on the best static cut.

Generated models and days (`packing_data`), several workloads at once, each policy with the same sizing - the last
minute's demand over a target, the highest of five minutes - and with the highest target of a grid at which the day
attains 99 %: found in hindsight for everybody, so that the figure is about shapes, packing and nodes, and not about
forecasts. The static cut is the cheapest in hindsight over every geometry that nothing can be added to, with each
workload on its best slice of it, and over a pool of its own for each slice size.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from rich.console import Console

from autoscaler.core.mig.geometry import Geometry
from loadtests.bench.joint_plan import CUTS, Day, joint_day
from loadtests.bench.joint_world import PARTS, Outcome, Sizer, World, start
from loadtests.bench.packing_data import SHAPES, Scenario, day_of_demand
from loadtests.bench.report import Figure, report

WORKLOADS, GPUS, MINUTES = 12, 16.0, 1440
SEEDS = (1, 2, 3)
TARGETS = tuple(round(1.3 - 0.05 * step, 2) for step in range(15))
ATTAINED = 0.99
EVEN = tuple(
    Geometry(((SHAPES[size], n),))
    for size, n in zip(("1g", "2g", "3g", "7g"), (7, 3, 2, 1), strict=True)
)


def rough_day(seed: int) -> Day:
    """A generated day by the minute, with 8 % of noise from one minute to the next and, for each workload, one surge.

    A surge doubles the demand within five minutes, for twenty, at some time of the day.
    """
    rng = np.random.default_rng(3000 + seed)
    smooth = day_of_demand(seed, workloads=WORKLOADS, gpus=GPUS, ticks=MINUTES)
    names = list(smooth[0].demand_mrps)
    level = np.exp(rng.normal(0.0, 0.08, (MINUTES, len(names))))
    ramp = np.interp(np.arange(30), (0, 5, 25, 29), (1.0, 2.0, 2.0, 1.0))
    for place in range(len(names)):
        begin = int(rng.integers(60, MINUTES - 60))
        level[begin : begin + 30, place] *= ramp
    return [
        replace(
            one,
            demand_mrps={
                name: max(1, int(one.demand_mrps[name] * level[minute, place]))
                for place, name in enumerate(names)
            },
        )
        for minute, one in enumerate(smooth)
    ]


# ---------------------------------------------------------------- HPA on a static cut


def static_day(day: Day, cut: Sequence[Geometry], target: float) -> Outcome | None:
    """None: a workload fits on no slice of it."""
    sizes = _best_sizes(day[0], cut)
    if sizes is None:
        return None
    world = World(day[0].capacities_mrps, cut)
    sizer = Sizer(target)
    first = sizer.needed_mrps(day[0].demand_mrps)
    counts = {
        (name, size): _count(first[name], day[0].capacities_mrps[name][size])
        for name, size in sizes.items()
    }
    start(day[0], world, counts)
    for scenario in day:
        world.step(scenario.demand_mrps)
        for name, mrps in sizer.needed_mrps(scenario.demand_mrps).items():
            size = sizes[name]
            _scale(world, name, size, _count(mrps, scenario.capacities_mrps[name][size]))
    return world.outcome


def _best_sizes(scenario: Scenario, cut: Sequence[Geometry]) -> dict[str, str] | None:
    """The slice of the cut that carries most for its part of the GPU, by workload."""
    offered = {size for size in SHAPES for g in cut if g.count(SHAPES[size])}
    found = {}
    for name, capacities in scenario.capacities_mrps.items():
        able = [size for size in capacities if size in offered]
        if not able:
            return None
        found[name] = max(able, key=lambda size: (capacities[size] / PARTS[size], size))
    return found


def _scale(world: World, name: str, size: str, wanted: int) -> None:
    """More at once; of too many first those that wait or start, then those on the emptiest node."""
    there = [one for one in world.of(name) if one.size == size]
    if len(there) < wanted:
        world.add(name, size, wanted - len(there))
        return
    load = Counter(one.node for one in world.replicas)
    order = sorted(
        there,
        key=lambda one: (one.node is not None, -(one.ready_at or 10**9), load[one.node]),
    )
    for one in order[: len(there) - wanted]:
        world.stop(one)


def _count(needed_mrps: int, capacity_mrps: int) -> int:
    return max(1, math.ceil(needed_mrps / capacity_mrps))


# ---------------------------------------------------------------- at 99 %


def at_goal(run: Callable[[float], Outcome | None]) -> tuple[float, Outcome] | None:
    """(target, outcome) of the highest target that attains the goal, which costs least; None: none does."""
    for target in TARGETS:
        outcome = run(target)
        if outcome is None:
            return None
        if outcome.attained_ratio >= ATTAINED:
            return target, outcome
    return None


def best_static(day: Day) -> tuple[str, float, Outcome]:
    """Of every cut, the one whose day at the goal cost least."""
    found: tuple[str, float, Outcome] | None = None
    for cut in (*((one,) for one in CUTS), EVEN):
        done = at_goal(partial(static_day, day, cut))
        name = "a pool for each size" if cut is EVEN else str(cut[0])
        if done and (found is None or done[1].node_gpu_hours < found[2].node_gpu_hours):
            found = (name, *done)
    assert found is not None
    return found


def main() -> None:
    console = Console(stderr=True)
    totals: Counter[str] = Counter()
    figures = []
    for seed in SEEDS:
        day = rough_day(seed)
        console.print(f"day {seed}: HPA on whole GPUs ...")
        whole = at_goal(partial(static_day, day, (EVEN[-1],)))
        console.print(f"day {seed}: HPA on {len(CUTS) + 1} static cuts ...")
        name, static_target, static = best_static(day)
        console.print(f"day {seed}: the joint plan ...")
        joint = at_goal(partial(joint_day, day))
        assert whole is not None
        assert joint is not None
        for key, outcome in (("whole", whole[1]), ("static", static), ("joint", joint[1])):
            totals[key] += round(outcome.node_gpu_hours * 1000)
        note = (
            f"{whole[1].node_gpu_hours:.0f} whole, {static.node_gpu_hours:.0f} static ({name}), "
            f"{joint[1].node_gpu_hours:.0f} joint; targets {whole[0]}, {static_target}, {joint[0]}; attained "
            f"{whole[1].attained_ratio:.2%}, {static.attained_ratio:.2%}, {joint[1].attained_ratio:.2%}; "
            f"moves {static.moves}, {joint[1].moves}"
        )
        figures.append(
            Figure(
                name=f"day {seed}, fewer node GPU-hours than whole GPUs",
                value=100.0 * (1.0 - joint[1].node_gpu_hours / whole[1].node_gpu_hours),
                unit="%",
                better="higher",
                note=note,
            )
        )
    for key, aim, text in (("whole", 40.0, "whole GPUs"), ("static", 10.0, "the best static cut")):
        figures.append(
            Figure(
                name=f"fewer node GPU-hours than HPA on {text}",
                value=100.0 * (1.0 - totals["joint"] / totals[key]),
                unit="%",
                target=aim,
                better="higher",
                note=f"{len(SEEDS)} days together, everybody at >= 99 %",
            )
        )
    report("joint", figures)


if __name__ == "__main__":
    main()
