"""A day of the joint bench as forescale plans it: replicas, shapes and nodes in one question; what is begun when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from autoscaler.core.mig.choice import Option, part_of
from autoscaler.core.mig.geometry import Geometry, geometries
from autoscaler.core.packing.compact import PRICE
from autoscaler.core.packing.pack import pack
from autoscaler.core.packing.plan import PackingPlan
from autoscaler.core.packing.problem import Cell, HeldGpu, PackingProblem, Variant, Workload
from autoscaler.core.packing.program import Limits
from autoscaler.core.packing.turns import free_slices, take
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
from loadtests.bench.packing_data import A100, SHAPES, Scenario

PLAN_EVERY_MIN = 5
KEEP_S = window_s(60.0 * BOOT_MIN)
MOVE_PRICE = PRICE * 7 // 10
LIMITS = Limits(nodes=100, gap_ratio=0.005)
SOLVER = HighsSolver()
CUTS = geometries(A100, SHAPES.values())
Day = Sequence[Scenario]


def joint_day(day: Day, target: float) -> Outcome:
    """Each pool has one geometry; which replicas of which shape on which pools is one plan every five minutes.

    It is asked with the highest demand of the last minutes, by the product's rule; what runs is what is needed.
    """
    world = World(day[0].capacities_mrps, CUTS)
    sizer = Sizer(target)
    needed = sizer.needed_mrps(day[0].demand_mrps)
    plan = pack(problem_of(day[0], needed, world), SOLVER, limits=LIMITS, move_price=MOVE_PRICE)
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
        _fill(scenario, needed, world)
        leaving = _let_go(scenario, needed, world, leaving)
    return world.outcome


def problem_of(scenario: Scenario, needed: Mapping[str, int], world: World) -> PackingProblem:
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
    """Asks the packing and carries its plan out; what is to go afterwards is returned."""
    problem = problem_of(scenario, highest, world)
    try:
        plan = pack(problem, SOLVER, limits=LIMITS, move_price=MOVE_PRICE)
    except PackingError:
        return []
    held = {one.node for one in world.replicas}
    for cell, _, count in plan.opened:
        cut = CUTS[int(cell)]
        spare = sum(1 for n in world.nodes.values() if n.name not in held and n.geometry == cut)
        for _ in range(count - spare):
            world.node_of(cut)
    return begin(problem, plan, _needed_of(plan.replicas, scenario, needed), world)


def begin(
    problem: PackingProblem,
    plan: PackingPlan,
    counts: Mapping[tuple[str, str], int],
    world: World,
) -> list[Replica]:
    """Starts, of these replicas by workload and size, those that find a slice; returns those that are to go.

    One that is to take a slice which another leaves is left to a later plan: while it waited, it would have a node
    brought. Nothing moves from node to node: of a variant that is to have fewer, those on nodes to be emptied go first.
    """
    free, variants = free_slices(problem, plan), {one.name: one for _, one in problem.variants()}
    emptied = {drain.gpu for drain in plan.drained}
    running = Counter((one.workload, one.size) for one in world.replicas)
    leaving: list[Replica] = []
    started: Counter[str] = Counter()
    for (name, size), count in counts.items():
        more = count - running[name, size]
        if more > 0:
            turn = take(free, variants[f"{name}-{size}"], more)
            world.add(name, size, turn)
            started[name] += turn
        elif more < 0:
            leaving += _victims(world, name, size, emptied)[:-more]
    went = Counter(one.workload for one in leaving)
    world.outcome.moves += sum((started & went).values())
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


def _victims(world: World, name: str, size: str, emptied: Collection[str]) -> list[Replica]:
    """In the order of `core/victims`: not ready ones, then those on nodes to be emptied, then on the emptiest node."""
    load = Counter(one.node for one in world.replicas)
    return sorted(
        (one for one in world.of(name) if one.size == size),
        key=lambda one: (
            one.node is not None,
            one.ready_at is not None and one.ready_at <= world.minute,
            one.node not in emptied,
            load[one.node],
        ),
    )


def _fill(scenario: Scenario, needed: Mapping[str, int], world: World) -> None:
    """Between two plans: what is lacking comes on slices that are free, else on the cheapest; nothing leaves first."""
    for name, mrps in needed.items():
        capacities = scenario.capacities_mrps[name]
        there = sum(capacities[one.size] for one in world.of(name))
        while there < mrps:
            free = [
                size for size in capacities if any(n.free[size] > 0 for n in world.nodes.values())
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
