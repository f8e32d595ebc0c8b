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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from rich.console import Console

from autoscaler.core.mig.choice import Option, part_of
from autoscaler.core.mig.geometry import Geometry, geometries
from autoscaler.core.packing.compact import PRICE
from autoscaler.core.packing.pack import pack
from autoscaler.core.packing.problem import Cell, HeldGpu, PackingProblem, Variant, Workload
from autoscaler.core.packing.program import Limits
from autoscaler.core.slices.demanded import keep, window_s
from autoscaler.core.slices.state import High
from autoscaler.errors import PackingError
from autoscaler.solver.highs import HighsSolver
from loadtests.bench.joint_world import (
    BOOT_MIN,
    GPUS_PER_NODE,
    PARTS,
    Outcome,
    Replica,
    Sizer,
    World,
    start,
)
from loadtests.bench.packing_data import A100, SHAPES, Scenario, day_of_demand
from loadtests.bench.report import Figure, report

WORKLOADS, GPUS, MINUTES = 12, 16.0, 1440
SEEDS = (1, 2, 3)
TARGETS = tuple(round(1.3 - 0.05 * step, 2) for step in range(15))
ATTAINED = 0.99
PLAN_EVERY_MIN = 5
KEEP_S = window_s(60.0 * BOOT_MIN)
MOVE_PRICE = PRICE * 7 // 10
LIMITS = Limits(nodes=100, gap_ratio=0.005)
SOLVER = HighsSolver()
CUTS = geometries(A100, SHAPES.values())
EVEN = tuple(
    Geometry(((SHAPES[size], n),))
    for size, n in zip(("1g", "2g", "3g", "7g"), (7, 3, 2, 1), strict=True)
)
Day = Sequence[Scenario]


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
    world = World(day[0].capacities_mrps, cut, consolidates=True)
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


# ---------------------------------------------------------------- the joint plan


def joint_day(day: Day, target: float) -> Outcome:
    """Each pool has one geometry; which replicas of which shape on which pools is one plan every five minutes.

    It is asked with the highest demand of the last minutes, by the product's rule; what runs is what is needed.
    """
    world = World(day[0].capacities_mrps, CUTS, consolidates=False)
    sizer = Sizer(target)
    needed = sizer.needed_mrps(day[0].demand_mrps)
    plan = pack(_problem(day[0], needed, world), SOLVER, limits=LIMITS, move_price=MOVE_PRICE)
    counts: dict[tuple[str, str], int] = {}
    for cell, _, count in plan.opened:
        for _ in range(count):
            world.node_of(CUTS[int(cell)])
    for variant, count in plan.replicas:
        name, size = variant.rsplit("-", 1)
        counts[name, size] = count
    start(day[0], world, counts)
    leaving: list[Replica] = []
    past: dict[str, tuple[High, ...]] = {}
    for scenario in day:
        world.step(scenario.demand_mrps)
        needed, now_s = sizer.needed_mrps(scenario.demand_mrps), 60.0 * world.minute
        past = {
            name: keep(past.get(name, ()), mrps, now_s=now_s, window_s=KEEP_S)
            for name, mrps in needed.items()
        }
        if world.minute % PLAN_EVERY_MIN == 0:
            highest = {name: highs[0].amount for name, highs in past.items()}
            leaving = _planned(scenario, needed, highest, world)
        _fill(scenario, needed, world, leaving)
        leaving = _let_go(scenario, needed, world, leaving)
    return world.outcome


def _problem(scenario: Scenario, needed: Mapping[str, int], world: World) -> PackingProblem:
    """A node is one thing with all its slices, as in `core/slices/question`; pools have no end."""
    cells = tuple(
        Cell(
            name=str(index),
            gpus=200,
            geometries=(Geometry(tuple((p, n * GPUS_PER_NODE) for p, n in cut.counts)),),
            price=GPUS_PER_NODE,
        )
        for index, cut in enumerate(CUTS)
    )
    names = frozenset(cell.name for cell in cells)
    place = {cut: str(index) for index, cut in enumerate(CUTS)}
    on: dict[str, Counter[str]] = {}
    for one in world.replicas:
        if one.node is not None:
            on.setdefault(one.node, Counter())[f"{one.workload}-{one.size}"] += 1
    return PackingProblem(
        cells=cells,
        workloads=tuple(
            Workload(
                name=name,
                demand_mrps=max(1, needed[name]),
                variants=tuple(
                    Variant(
                        name=f"{name}-{size}",
                        shape=SHAPES[size],
                        capacity_mrps=capacity,
                        cells=frozenset(c for c in names if CUTS[int(c)].count(SHAPES[size])),
                    )
                    for size, capacity in capacities.items()
                ),
            )
            for name, capacities in scenario.capacities_mrps.items()
        ),
        held=tuple(
            HeldGpu(
                name=node,
                cell=place[world.nodes[node].geometry],
                geometry=cells[int(place[world.nodes[node].geometry])].geometries[0],
                replicas=tuple(sorted(counts.items())),
            )
            for node, counts in sorted(on.items())
        ),
    )


def _planned(
    scenario: Scenario, needed: Mapping[str, int], highest: Mapping[str, int], world: World
) -> list[Replica]:
    """Carries a plan out: asks for nodes and pods; what is to go afterwards is returned."""
    problem = _problem(scenario, highest, world)
    try:
        plan = pack(problem, SOLVER, limits=LIMITS, move_price=MOVE_PRICE)
    except PackingError:
        return []
    for node in world.nodes.values():
        node.going = False
    for drain in plan.drained:
        world.nodes[drain.gpu].going = True
    held = {one.node for one in world.replicas}
    for cell, _, count in plan.opened:
        cut = CUTS[int(cell)]
        spare = sum(1 for n in world.nodes.values() if n.name not in held and n.geometry == cut)
        for _ in range(count - spare):
            world.node_of(cut)
    kept = {node: Counter(dict(counts)) for node, counts in plan.kept}
    leaving: list[Replica] = []
    running: Counter[str] = Counter()
    for one in world.replicas:
        variant = f"{one.workload}-{one.size}"
        if one.node is not None and kept.get(one.node, Counter())[variant] > 0:
            kept[one.node][variant] -= 1
            running[variant] += 1
        elif one.node is not None:
            leaving.append(one)
        else:
            running[variant] += 1
    for (name, size), count in _needed_of(plan.replicas, scenario, needed).items():
        more = count - running[f"{name}-{size}"]
        if more > 0:
            world.add(name, size, more)
        elif more < 0:
            leaving += _victims(world, name, size, leaving)[:-more]
    world.outcome.moves += sum(
        min(
            sum(one.workload == name for one in leaving),
            sum(one.workload == name and one.node is None for one in world.replicas),
        )
        for name in scenario.demand_mrps
    )
    return leaving


def _needed_of(
    planned: Sequence[tuple[str, int]], scenario: Scenario, needed: Mapping[str, int]
) -> dict[tuple[str, str], int]:
    """By workload and size: of what a plan has room for, what is needed now, as in a variant group."""
    room = dict(planned)
    counts = {}
    for name, capacities in scenario.capacities_mrps.items():
        options = [
            Option(shape=size, capacity_mrps=capacity, price=PARTS[size])
            for size, capacity in capacities.items()
        ]
        found = {size: room.get(f"{name}-{size}", 0) for size in capacities}
        for size, count in part_of(options, found, needed[name]).items():
            counts[name, size] = count
    return counts


def _victims(world: World, name: str, size: str, without: Sequence[Replica]) -> list[Replica]:
    """In the order of `core/victims`: those that are not ready, then those on the emptiest node."""
    load = Counter(one.node for one in world.replicas)
    there = [one for one in world.of(name) if one.size == size and one not in without]
    return sorted(
        there,
        key=lambda one: (
            one.node is not None,
            one.ready_at is not None and one.ready_at <= world.minute,
            load[one.node],
        ),
    )


def _fill(
    scenario: Scenario, needed: Mapping[str, int], world: World, leaving: Sequence[Replica]
) -> None:
    """Between two plans: what is lacking comes on slices that are free, else on the cheapest; nothing leaves first."""
    for name, mrps in needed.items():
        capacities = scenario.capacities_mrps[name]
        there = sum(capacities[one.size] for one in world.of(name))
        while there < mrps:
            free = [
                size
                for size in capacities
                if any(n.free[size] > 0 and not n.going for n in world.nodes.values())
            ]
            size = max(free or capacities, key=lambda s: (capacities[s] / PARTS[s], s))
            world.add(name, size, 1)
            world._bind()
            there += capacities[size]


def _let_go(
    scenario: Scenario, needed: Mapping[str, int], world: World, leaving: Sequence[Replica]
) -> list[Replica]:
    """Old ones go, the largest first, as far as all others that are ready carry what is needed."""
    left = [one for one in leaving if one in world.replicas]
    for one in sorted(left, key=lambda one: -scenario.capacities_mrps[one.workload][one.size]):
        capacities = scenario.capacities_mrps[one.workload]
        others = sum(
            capacities[o.size]
            for o in world.of(one.workload)
            if o is not one and o.ready_at is not None and o.ready_at <= world.minute
        )
        if others >= needed[one.workload]:
            world.stop(one)
            left.remove(one)
    return left


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
