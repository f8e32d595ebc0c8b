"""A day of changing demand, planned tick by tick: from today's layout, and anew with ties broken towards it.

Kubernetes is played by chance: a pod that starts gets any free slice of its shape on a GPU that is not being drained.
Which replica goes is as planned (pod-deletion-cost). A *move* is a replica that stops while another of the same
workload starts in the same tick; a geometry that changes stops everything on its GPU.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.packing.nodes import IdleGpu, recuts
from autoscaler.core.packing.pack import pack
from autoscaler.core.packing.problem import HeldGpu, PackingProblem
from autoscaler.core.packing.program import Limits, Program
from autoscaler.solver.highs import HighsSolver
from loadtests.bench.packing_data import Scenario, problem_of

SOLVER = HighsSolver()
LIMITS = Limits(nodes=100, gap_ratio=0.001)
# The baseline's ties are broken as well as the solver can within this.
TIE_LIMITS = Limits(nodes=2_000, gap_ratio=0.01)


@dataclass(slots=True)
class Fleet:
    """How each GPU is cut, and the replicas on it by variant."""

    geometries: dict[str, Geometry]
    replicas: dict[str, Counter[str]]

    @classmethod
    def idle(cls, gpus: int, geometry: Geometry) -> Fleet:
        names = [f"gpu{number:04}" for number in range(gpus)]
        return cls(
            geometries=dict.fromkeys(names, geometry), replicas={name: Counter() for name in names}
        )

    def held(self) -> tuple[HeldGpu, ...]:
        return tuple(
            HeldGpu(
                name=name,
                cell="a100",
                geometry=self.geometries[name],
                replicas=tuple(sorted(counts.items())),
            )
            for name, counts in self.replicas.items()
            if counts
        )

    @property
    def in_use(self) -> int:
        return sum(1 for counts in self.replicas.values() if counts)


@dataclass(slots=True)
class Day:
    """What a planner did with a day."""

    gpus_in_use: list[int] = field(default_factory=list)
    moves: int = 0
    starts: int = 0
    recuts: int = 0
    seconds: list[float] = field(default_factory=list)

    @property
    def gpu_ticks(self) -> int:
        return sum(self.gpus_in_use)


Planner = Callable[[PackingProblem, Fleet, random.Random], Fleet]


def play(series: Sequence[Scenario], planner: Planner, *, gpus: int, seed: int) -> Day:
    """Plans each tick; the first one fills an empty fleet and counts for no move."""
    rng = random.Random(seed)
    problem = problem_of(series[0], gpus)
    fleet, day = Fleet.idle(gpus, problem.cells[0].geometries[0]), Day()
    for tick, scenario in enumerate(series):
        problem = problem_of(scenario, gpus)
        start_s = time.process_time()
        new = planner(problem, fleet, rng)
        day.seconds.append(time.process_time() - start_s)
        if tick:
            count_moves(day, problem, fleet, new)
        fleet = new
        day.gpus_in_use.append(fleet.in_use)
    return day


def count_moves(day: Day, problem: PackingProblem, before: Fleet, after: Fleet) -> None:
    owner = {variant.name: workload.name for workload, variant in problem.variants()}
    started: Counter[str] = Counter()
    stopped: Counter[str] = Counter()
    for name, was in before.replicas.items():
        now = after.replicas[name]
        recut = before.geometries[name] != after.geometries[name]
        day.recuts += recut
        started.update(now if recut else now - was)
        stopped.update(was if recut else was - now)
    starts, stops = _by_owner(started, owner), _by_owner(stopped, owner)
    day.starts += sum(starts.values())
    day.moves += sum(min(count, stops[name]) for name, count in starts.items())


def _by_owner(counts: Counter[str], owner: dict[str, str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for variant, count in counts.items():
        found[owner[variant]] += count
    return found


def _bind(
    problem: PackingProblem,
    fleet: Fleet,
    usable: Iterable[str],
    wanted: dict[str, int],
    rng: random.Random,
) -> None:
    """Starts what is missing of `wanted` on free slices of the usable GPUs, wherever chance has it."""
    shapes = {variant.name: variant.shape for _, variant in problem.variants()}
    free: dict[str, list[str]] = {}
    running: Counter[str] = Counter()
    for name in usable:
        taken: Counter[str] = Counter()
        for variant, count in fleet.replicas[name].items():
            taken[shapes[variant]] += count
            running[variant] += count
        for shape, count in fleet.geometries[name].counts:
            free.setdefault(shape, []).extend([name] * (count - taken[shape]))
    for places in free.values():
        rng.shuffle(places)
    for variant, count in sorted(wanted.items()):
        for _ in range(count - running[variant]):
            fleet.replicas[free[shapes[variant]].pop()][variant] += 1


# ---------------------------------------------------------------- from today's layout


def incremental(move_price: int) -> Planner:
    """The planner itself."""

    def plan_tick(problem: PackingProblem, fleet: Fleet, rng: random.Random) -> Fleet:
        held = replace(problem, held=fleet.held())
        plan = pack(held, SOLVER, limits=LIMITS, move_price=move_price)
        kept = dict(plan.kept)
        new = Fleet(
            geometries=dict(fleet.geometries),
            replicas={name: Counter(dict(kept.get(name, ()))) for name in fleet.replicas},
        )
        idle = [
            IdleGpu(name=name, node=name, geometry=fleet.geometries[name])
            for name, counts in fleet.replicas.items()
            if not counts
        ]
        opened = {geometry: count for _, geometry, count in plan.opened}
        for change in recuts(idle, opened):
            new.geometries[change.gpu] = change.after
        usable = [*kept, *_opened(idle, opened, new)]
        _bind(problem, new, usable, dict(plan.replicas), rng)
        return new

    return plan_tick


def _opened(idle: Sequence[IdleGpu], opened: dict[Geometry, int], new: Fleet) -> list[str]:
    left = Counter(opened)
    names = []
    for gpu in idle:
        if left[new.geometries[gpu.name]] > 0:
            left[new.geometries[gpu.name]] -= 1
            names.append(gpu.name)
    return names


# ---------------------------------------------------------------- anew


def from_scratch(problem: PackingProblem, fleet: Fleet, rng: random.Random) -> Fleet:
    """As few GPUs as can be; of such plans one as near to today's as the solver finds; then GPUs matched to it.

    Nothing is frozen here: a GPU in use may be recut, which moves all that is on it.
    """
    gpus = pack(problem, SOLVER, limits=LIMITS).price
    replicas, geometries = _nearest(problem, fleet, gpus)
    targets = [geometry for geometry, count in geometries.items() for _ in range(count)]
    names = sorted(fleet.replicas)
    kept_if = np.array(
        [[_kept(fleet, name, geometry, replicas) for geometry in targets] for name in names]
    )
    rows, columns = linear_sum_assignment(-kept_if)
    new = Fleet(geometries=dict(fleet.geometries), replicas={name: Counter() for name in names})
    left = Counter(replicas)
    used = []
    for row, column in zip(rows, columns, strict=True):
        name = names[row]
        used.append(name)
        if fleet.geometries[name] == targets[column]:
            for variant, count in fleet.replicas[name].items():
                stays = min(count, left[variant])
                left[variant] -= stays
                new.replicas[name][variant] = stays
            new.replicas[name] = +new.replicas[name]
        new.geometries[name] = targets[column]
    _bind(problem, new, used, replicas, rng)
    return new


def _kept(fleet: Fleet, name: str, geometry: Geometry, replicas: dict[str, int]) -> float:
    """Replicas that would stay; an idle GPU that is cut right is a little better than one that is not."""
    if fleet.geometries[name] != geometry:
        return 0.0
    stays = sum(min(n, replicas.get(variant, 0)) for variant, n in fleet.replicas[name].items())
    return 0.1 + stays


def _nearest(
    problem: PackingProblem, fleet: Fleet, gpus: int
) -> tuple[dict[str, int], dict[Geometry, int]]:
    """Replicas and geometries on so many GPUs, with the fewest moves and recuts that counts can tell."""
    now: Counter[str] = Counter()
    for counts in fleet.replicas.values():
        now.update(counts)
    cut = Counter(fleet.geometries[name] for name, counts in fleet.replicas.items() if counts)
    program = Program()
    slices: dict[str, dict[int, int]] = {}
    places: dict[str, int] = {}
    for workload in problem.workloads:
        carried = sum(variant.capacity_mrps * now[variant.name] for variant in workload.variants)
        lacks = carried < workload.demand_mrps
        cover = {}
        for variant in workload.variants:
            most = max(now[variant.name], -(-workload.demand_mrps // variant.capacity_mrps))
            place = places[variant.name] = program.variable(1, most)
            cover[place] = variant.capacity_mrps
            slices.setdefault(variant.shape, {})[place] = -1
            moved = program.variable(100)
            if lacks:
                program.row({place: 1, moved: 1}, least=now[variant.name])
            else:
                program.row({place: 1, moved: -1}, most=now[variant.name])
        program.row(cover, least=workload.demand_mrps)
    opened = {}
    for geometry in problem.cells[0].geometries:
        place = opened[geometry] = program.variable(0, gpus)
        gone = program.variable(200)
        program.row({place: 1, gone: 1}, least=min(gpus, cut[geometry]))
        for shape, count in geometry.counts:
            slices.setdefault(shape, {})[place] = count
    for coefficients in slices.values():
        program.row(coefficients, least=0)
    program.row(dict.fromkeys(opened.values(), 1), most=gpus)
    solved = SOLVER.solve(program, TIE_LIMITS)
    if solved is None:
        plan = pack(problem, SOLVER, limits=LIMITS)
        return dict(plan.replicas), {geometry: count for _, geometry, count in plan.opened}
    values = [round(value) for value in solved.values]
    return (
        {name: values[place] for name, place in places.items() if values[place]},
        {geometry: values[place] for geometry, place in opened.items() if values[place]},
    )
