"""From today's layout: moves have a price, and what is in use is never touched."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscaler.core.mig.geometry import Geometry, GpuState, Slice, diff, geometry_of, realise
from autoscaler.core.packing.compact import PRICE
from autoscaler.core.packing.nodes import IdleGpu, Recut, recuts
from autoscaler.core.packing.pack import pack
from autoscaler.core.packing.plan import PackingPlan
from autoscaler.core.packing.problem import Domain, HeldGpu, PackingProblem, Spread, Workload
from autoscaler.errors import PackingInfeasible
from autoscaler.solver.highs import HighsSolver
from tests.core.packing.fleet import A100, cell, cut, workload

SINGLES, HALVES = cut(g1=7), cut(g3=2)


def gpu(name: str, geometry: Geometry, **replicas: int) -> HeldGpu:
    """`gpu("g0", SINGLES, bert_1g=3)`."""
    pairs = tuple((variant.replace("_", "-"), n) for variant, n in replicas.items())
    return HeldGpu(name=name, cell="a", geometry=geometry, replicas=pairs)


def planned(
    held: tuple[HeldGpu, ...], *workloads: Workload, gpus: int = 10, move_price: int = PRICE // 3
) -> PackingPlan:
    problem = PackingProblem(cells=(cell(gpus=gpus),), workloads=workloads, held=held)
    return pack(problem, HighsSolver(), move_price=move_price)


def bert(rps: float) -> Workload:
    return workload("bert", rps, {"1g": 100, "3g": 180})


def test_what_carries_its_demand_stays_as_it_is() -> None:
    plan = planned((gpu("g0", SINGLES, bert_1g=5),), bert(500))
    assert plan.kept == (("g0", (("bert-1g", 5),)),)
    assert (plan.opened, plan.drained) == ((), ())


def test_growth_takes_slices_that_are_free() -> None:
    plan = planned((gpu("g0", SINGLES, bert_1g=5),), bert(700))
    assert plan.replicas == (("bert-1g", 7),)
    assert (plan.kept, plan.opened) == ((("g0", (("bert-1g", 5),)),), ())


def test_growth_beyond_them_opens_an_idle_gpu() -> None:
    plan = planned((gpu("g0", SINGLES, bert_1g=7),), bert(800))
    assert plan.kept == (("g0", (("bert-1g", 7),)),)
    assert sum(count for _, _, count in plan.opened) == 1


def test_a_shrinking_workload_leaves_the_gpu_that_holds_least() -> None:
    held = (gpu("g0", SINGLES, bert_1g=2), gpu("g1", SINGLES, bert_1g=7))
    plan = planned(held, bert(700))
    assert plan.kept == (("g1", (("bert-1g", 7),)),)
    assert [drain.gpu for drain in plan.drained] == ["g0"]


def test_two_moves_pay_for_a_gpu_and_three_do_not() -> None:
    two = (gpu("g0", SINGLES, bert_1g=2), gpu("g1", SINGLES, bert_1g=4))
    plan = planned(two, bert(600), move_price=PRICE * 2 // 5)
    assert [drain.gpu for drain in plan.drained] == ["g0"]
    assert plan.replicas == (("bert-1g", 6),)
    three = (gpu("g0", SINGLES, bert_1g=3), gpu("g1", SINGLES, bert_1g=4))
    assert planned(three, bert(700), move_price=PRICE * 2 // 5).drained == ()


def test_a_geometry_is_not_changed_under_a_replica() -> None:
    # A 3g is wanted; the only GPU with room is cut into singles and in use.
    large = workload("large", 50, {"3g": 50})
    plan = planned((gpu("g0", SINGLES, bert_1g=3),), bert(300), large, move_price=PRICE // 2)
    assert plan.kept == (("g0", (("bert-1g", 3),)),)
    assert sum(count for _, _, count in plan.opened) == 1


def test_a_drained_gpu_is_not_idle_yet() -> None:
    # One GPU in all: the large model would need it recut, and the replica on it has nowhere to go.
    large = workload("large", 50, {"3g": 50})
    with pytest.raises(
        PackingInfeasible, match=r"would fit if GPUs in use were cut anew \(GPUs needed then: 1\)"
    ):
        planned((gpu("g0", SINGLES, bert_1g=1),), bert(100), large, gpus=1)


def test_too_few_gpus_are_said_to_be_too_few() -> None:
    with pytest.raises(PackingInfeasible, match="does not fit onto the GPUs that there are"):
        planned((gpu("g0", SINGLES, bert_1g=7),), bert(1500), gpus=1)


def test_what_carries_nothing_any_more_goes() -> None:
    slow = workload("bert", 300, {"1g": 0, "3g": 180})
    plan = planned((gpu("g0", SINGLES, bert_1g=3),), slow)
    assert plan.replicas == (("bert-3g", 2),)
    assert plan.count("bert-1g") == 0


def test_small_changes_of_demand_move_nothing() -> None:
    rng = random.Random(7)
    held = (gpu("g0", SINGLES, bert_1g=5, vgg_1g=2), gpu("g1", HALVES, vgg_3g=2))
    for _ in range(30):
        plan = planned(
            held,
            bert(rng.uniform(401, 500)),
            workload("vgg", rng.uniform(821, 920), {"1g": 100, "3g": 360}),
        )
        assert plan.kept == tuple((g.name, g.replicas) for g in held)
        assert (plan.opened, plan.drained) == ((), ())


def test_a_layout_that_survives_a_zone_stays_and_one_that_does_not_is_added_to() -> None:
    zones = tuple(cell(name, zone=name) for name in "xyz")
    spread = workload(
        *("bert", 400, {"1g": 100}),
        cells=frozenset("xyz"),
        spread=Spread(over=Domain.ZONE),
        survive=Domain.ZONE,
    )

    def from_today(*counts: int) -> PackingPlan:
        held = tuple(
            HeldGpu(name=f"g{zone}", cell=zone, geometry=SINGLES, replicas=(("bert-1g", n),))
            for zone, n in zip("xyz", counts, strict=False)
        )
        problem = PackingProblem(cells=zones, workloads=(spread,), held=held)
        return pack(problem, HighsSolver())

    stays = from_today(2, 2, 2)
    assert (stays.count("bert-1g"), stays.opened, stays.drained) == (6, (), ())
    added = from_today(2, 2)
    assert (added.count("bert-1g"), [name for name, _, _ in added.opened]) == (6, ["z"])


def test_a_large_fleet_is_looked_at_in_passes() -> None:
    # Seventy GPUs with one replica each, sixty-four looked at in one program: ten can hold them all.
    held = tuple(gpu(f"g{n:02}", SINGLES, bert_1g=1) for n in range(70))
    plan = planned(held, workload("bert", 7000, {"1g": 100}), gpus=70)
    assert (plan.price, len(plan.drained)) == (10, 60)
    assert plan.replicas == (("bert-1g", 70),)


# ---------------------------------------------------------------- nodes

IDLE = (
    IdleGpu(name="n1-0", node="n1", geometry=SINGLES),
    IdleGpu(name="n2-0", node="n2", geometry=HALVES),
    IdleGpu(name="n2-1", node="n2", geometry=HALVES),
    IdleGpu(name="n3-0", node="n3", geometry=SINGLES),
)


def test_what_is_cut_right_is_taken_first() -> None:
    assert recuts(IDLE, {SINGLES: 2, HALVES: 1}) == ()


def test_few_nodes_are_touched() -> None:
    changes = recuts(IDLE, {cut(g7=1): 2})
    assert [change.gpu for change in changes] == ["n2-0", "n2-1"]
    assert changes[0] == Recut(gpu="n2-0", node="n2", before=HALVES, after=cut(g7=1))


# ---------------------------------------------------------------- random histories


@dataclass
class Fleet:
    """GPUs with places, and pods on them: what Kubernetes and the MIG manager would make of plans."""

    states: dict[str, GpuState]
    pods: dict[tuple[str, Slice], str] = field(default_factory=dict)

    def held(self) -> tuple[HeldGpu, ...]:
        found: dict[str, Counter[str]] = {}
        for (name, _), variant in self.pods.items():
            found.setdefault(name, Counter())[variant] += 1
        return tuple(
            HeldGpu(
                name=name,
                cell="a",
                geometry=geometry_of(self.states[name].layout),
                replicas=tuple(sorted(counts.items())),
            )
            for name, counts in sorted(found.items())
        )

    def carry_out(self, problem: PackingProblem, plan: PackingPlan, rng: random.Random) -> None:
        in_use = {name for name, _ in self.pods}
        idle = [
            IdleGpu(name=name, node="n", geometry=geometry_of(state.layout))
            for name, state in self.states.items()
            if name not in in_use
        ]
        opened = Counter({geometry: count for _, geometry, count in plan.opened})
        for change in recuts(idle, opened):
            state = self.states[change.gpu]
            assert not any(name == change.gpu for name, _ in self.pods), "a GPU in use is cut"
            # Refuses by itself if a slice is in use.
            made = diff(A100, state, change.after)
            self.states[change.gpu] = GpuState(layout=made.create)
        self._start_and_stop(problem, plan, rng)
        self.states = {
            name: replace(state, in_use=frozenset(s for g, s in self.pods if g == name))
            for name, state in self.states.items()
        }

    def _start_and_stop(
        self, problem: PackingProblem, plan: PackingPlan, rng: random.Random
    ) -> None:
        """What is to go goes, what is to start gets any free slice of its shape that Kubernetes likes."""
        before = dict(self.pods)
        staying = Counter({(name, variant): n for name, kept in plan.kept for variant, n in kept})
        for key in sorted(before):
            staying[key[0], before[key]] -= 1
            if staying[key[0], before[key]] < 0:
                del self.pods[key]
        shapes = {variant.name: variant.shape for _, variant in problem.variants()}
        running = Counter(self.pods.values())
        drained = {drain.gpu for drain in plan.drained}
        for variant, count in plan.replicas:
            for _ in range(count - running[variant]):
                free = [
                    (name, piece)
                    for name, state in sorted(self.states.items())
                    for piece in state.layout
                    if piece.profile == shapes[variant]
                    and (name, piece) not in self.pods
                    and name not in drained
                ]
                assert free, f"{variant} finds no slice"
                self.pods[rng.choice(free)] = variant
        # Nothing that was to stay was touched: same pod, same GPU, same place.
        for name, kept in plan.kept:
            now = Counter(v for (g, s), v in self.pods.items() if g == name and (g, s) in before)
            assert all(now[variant] >= count for variant, count in kept)


@settings(
    max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(seed=st.integers(0, 10_000))
def test_no_device_in_use_is_ever_touched(seed: int) -> None:
    rng = random.Random(seed)
    first = realise(A100, SINGLES)
    assert first is not None
    fleet = Fleet(states={f"g{n:02}": GpuState(layout=first) for n in range(14)})
    capacities = {
        "flat": {"1g": 100, "2g": 150, "7g": 240},
        "steep": {"1g": 100, "3g": 360, "4g": 420},
        "large": {"3g": 50, "7g": 110},
    }
    demand = dict.fromkeys(capacities, 200.0)
    for _ in range(8):
        for name in demand:
            demand[name] = min(
                600.0, max(0.0, demand[name] * rng.choice([0.3, 0.8, 1.0, 1.2, 2.5]))
            )
        problem = PackingProblem(
            cells=(cell(gpus=14),),
            workloads=tuple(
                workload(name, demand[name] / (4 if name == "large" else 1), capacities[name])
                for name in capacities
            ),
            held=fleet.held(),
        )
        before = dict(fleet.states)
        pods = dict(fleet.pods)
        plan = pack(problem, HighsSolver(), move_price=rng.choice([0, PRICE // 3, PRICE]))
        fleet.carry_out(problem, plan, rng)
        for name, piece in pods:
            assert piece in fleet.states[name].layout, f"{piece} of {name} was in use"
            assert before[name].layout == fleet.states[name].layout
