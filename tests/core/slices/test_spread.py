"""What spreads replicas over nodes and zones, and the loss that they are to survive. Solved for real."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.nodes.placement import HOST_LABEL, ZONE_LABEL, Placement, SpreadRule
from autoscaler.core.packing.problem import Domain, Spread
from autoscaler.core.reasons import Reason
from autoscaler.core.slices.observed import SlicePlan, SlicesInput
from autoscaler.core.slices.question import question
from autoscaler.core.slices.spread import EVERYTHING, Honour, left_out, names_of, survivors
from autoscaler.core.slices.state import SlicesState
from autoscaler.core.slices.step import step
from autoscaler.core.survival import STAGE, losses, unspread
from autoscaler.core.types import (
    Decision,
    DecisionStep,
    Survive,
    TickInput,
    WorkloadId,
    WorkloadInput,
    WorkloadSpec,
)
from autoscaler.solver.slices import solve
from tests.core.slices.records import record
from tests.core.slices.test_cells import (
    CONFIG,
    THREES,
    ask,
    asks,
    cells,
    node,
    plan,
    running,
    workload,
)
from tests.core.story import START_S

OVER_NODES = Placement(spreads=(SpreadRule(key=HOST_LABEL),))
OVER_ZONES = Placement(spreads=(SpreadRule(key=ZONE_LABEL),))
ALONE = Placement(alone=True)
NODES = [node(f"n{i}", zone="abc"[i % 3]) for i in range(6)]
"""Six GPUs, two in each of three zones, idle and cut into sevenths."""


def surviving(
    target: int, needs: NodeNeeds, survive: Survive = Survive.NONE
) -> tuple[WorkloadInput, Decision]:
    seen, decision = workload("a", target, needs)
    return replace(seen, spec=replace(seen.spec, survive=survive)), decision


def cut(found: SlicePlan) -> int:
    assert found.infeasible is None
    return sum(config == THREES for _, config in found.nodes)


@pytest.mark.parametrize(
    ("placement", "survive", "target", "nodes"),
    [
        # Two slices of 3g on a node: four replicas take two nodes where nothing spreads them.
        (Placement(), Survive.NONE, 4, 2),
        # One on a node at most.
        (ALONE, Survive.NONE, 4, 4),
        # A node with none is among the six, so none gets a second.
        (OVER_NODES, Survive.NONE, 4, 4),
        # Eight are more than one on each: whether they can run, other nodes decide.
        (OVER_NODES, Survive.NONE, 8, 4),
        # Of four over three zones, 2, 1 and 1; the two may come in any: room for two in each.
        (OVER_ZONES, Survive.NONE, 4, 3),
        # A single one may be anywhere.
        (OVER_ZONES, Survive.NONE, 1, 1),
        # One more, on one more node.
        (ALONE, Survive.NODE, 4, 5),
        (OVER_NODES, Survive.NODE, 4, 5),
        # Six, two in each zone: any four that are left are enough.
        (OVER_ZONES, Survive.ZONE, 4, 3),
        # Nine, three in each zone, which is two nodes of two slices.
        (OVER_ZONES, Survive.ZONE, 6, 6),
    ],
)
def test_nodes_that_are_cut_for_replicas_of_3g(
    placement: Placement, survive: Survive, target: int, nodes: int
) -> None:
    given = surviving(target, asks(placement=placement), survive)
    assert cut(solve(ask(NODES, given), START_S)) == nodes


@pytest.mark.parametrize(
    ("survive", "kept", "nodes"),
    [
        # Four, and a fifth that is there already for the loss of a node: not a sixth for its own.
        (Survive.NODE, EVERYTHING, 5),
        # Where no room is kept for that, the four are what is to find some.
        (Survive.NODE, Honour(surviving_ratio=0.0), 4),
    ],
)
def test_what_runs_for_a_loss_is_not_counted_twice(
    survive: Survive, kept: Honour, nodes: int
) -> None:
    seen, decision = surviving(5, asks(placement=ALONE), survive)
    step = DecisionStep(
        stage=STAGE, before=4, after=5, reason=Reason.SURVIVES_LOSS, message="one more"
    )
    tick = record(NODES, (seen, replace(decision, steps=(step,))))
    asked = question(tick, CONFIG, honour=kept)
    assert asked is not None
    assert cut(solve(asked, START_S)) == nodes


def test_zones_split_a_pool_only_where_somebody_is_spread_over_them() -> None:
    assert cells(ask(NODES, workload("a", 2, asks(placement=OVER_NODES)))) == {"mig": 6}
    spread = ask(NODES, workload("a", 2, asks(placement=OVER_ZONES)))
    assert cells(spread) == {"mig/n0": 2, "mig/n1": 2, "mig/n2": 2}
    assert [cell.zone for cell in spread.problem.cells] == ["a", "b", "c"]
    ((_, variant),) = spread.problem.variants()
    assert (variant.spread, variant.per_gpu) == (Spread(over=Domain.ZONE), None)


def test_a_node_in_no_zone_is_for_nobody_who_is_spread_over_zones() -> None:
    nodes = [node("n1", zone="a"), node("n2")]
    asked = ask(nodes, workload("a", 2, asks(placement=OVER_ZONES)))
    ((_, variant),) = asked.problem.variants()
    assert variant.cells == {"mig/n1"}


def test_zones_that_were_not_observed_spread_nothing() -> None:
    nodes = [node("n1", labels=None), node("n2", labels=None)]
    asked = ask(nodes, workload("a", 2, asks(placement=OVER_ZONES)))
    ((_, variant),) = asked.problem.variants()
    assert (variant.spread, cells(asked)) == (None, {"mig": 2})


def test_a_full_node_takes_no_more() -> None:
    """`b` holds both slices of `n0`: alone on a node, three of `a` need three others."""
    held = node("n0", "team/b-0:3g.40gb", "team/b-1:3g.40gb", config=THREES)
    others = [node("n1"), node("n2"), node("n3", config=THREES)]
    b = workload("b", 2, asks(), pods=running("b", 2))
    found = plan([held, *others], workload("a", 3, asks(placement=ALONE)), b)
    assert found.nodes == (("n1", THREES), ("n2", THREES))


def test_what_does_not_fit_is_left_out_and_said() -> None:
    """Four nodes: four fit alone, and none is left over for the loss of one."""
    given = surviving(4, asks(placement=ALONE), Survive.NODE)
    strict = solve(ask(NODES[:4], given), START_S)
    assert strict.infeasible is not None
    assert said([given[0].spec], EVERYTHING) == ""
    nothing = Honour(surviving_ratio=0.0)
    assert said([given[0].spec], nothing) == (
        "no room is kept for the loss of a node: it does not fit"
    )
    assert said([], nothing) == ""


def said(specs: list[WorkloadSpec], honour: Honour) -> str:
    return left_out(honour, *survivors(specs, honour))


@pytest.mark.parametrize(
    ("ratio", "kept", "left"),
    [
        (1.0, {"a", "b", "c"}, ""),
        (0.5, {"b", "c"}, "no room is kept for the loss of a node of team/a: it does not fit"),
        (0.25, {"b"}, "no room is kept for the loss of a node of team/a, team/c: it does not fit"),
        (0.0, set(), "no room is kept for the loss of a node: it does not fit"),
    ],
)
def test_whose_survival_is_left_out_goes_by_priority(
    ratio: float, kept: set[str], left: str
) -> None:
    asked = asks(placement=ALONE)
    one = surviving(2, asked, Survive.NODE)[0].spec
    given = [
        replace(one, id=WorkloadId(namespace="team", name=name), priority=priority)
        for name, priority in (("a", 0), ("b", 9), ("c", 5))
    ]
    honour = Honour(surviving_ratio=ratio)
    names, others = map(names_of, survivors(given, honour))
    assert names == {f"team/{name}" for name in kept}
    assert others == {f"team/{name}" for name in {"a", "b", "c"} - kept}
    assert said(given, honour) == left


def told(
    given: tuple[WorkloadInput, Decision], made: SlicePlan | None = None
) -> list[tuple[Reason, str]]:
    """The workload's findings."""
    tick_input = TickInput(
        now_s=START_S,
        workloads=(given[0],),
        slices=SlicesInput(nodes=tuple(NODES), fronts=()),
        slice_plan=made,
    )
    stepped = step(
        tick_input,
        (given[1],),
        {},
        {},
        SlicesState(),
        losses=losses(tick_input),
        config=CONFIG,
    )
    return [(one.reason, one.message) for one in stepped.decisions[0].findings]


@pytest.mark.parametrize(
    ("survive", "placement", "message"),
    [
        (
            Survive.ZONE,
            OVER_NODES,
            "survive: zone, and nothing spreads its pods: a topology spread constraint over "
            "topology.kubernetes.io/zone with DoNotSchedule is needed, else Kubernetes may put all of them into one",
        ),
        (
            Survive.NODE,
            OVER_ZONES,
            "survive: node, and nothing spreads its pods: a topology spread constraint over "
            "kubernetes.io/hostname with DoNotSchedule or required anti-affinity to its own pods there is needed, else "
            "Kubernetes may put all of them into one",
        ),
        (Survive.ZONE, OVER_ZONES, None),
        (Survive.NODE, OVER_NODES, None),
        (Survive.NODE, ALONE, None),
        (Survive.NONE, Placement(), None),
    ],
)
def test_it_is_said_that_nothing_spreads_what_is_to_survive(
    survive: Survive, placement: Placement, message: str | None
) -> None:
    given = surviving(2, asks(placement=placement), survive)
    assert unspread(given[0].spec, survive) == message
    # It stays in the question, and stands in nobody's way.
    assert solve(ask(NODES, given), START_S).infeasible is None


def test_it_is_said_that_no_room_is_kept() -> None:
    made = SlicePlan(
        made_at_s=START_S, left_out="no room is kept for the loss of a node", unkept=("team/a",)
    )
    keeps = surviving(2, asks(placement=ALONE), Survive.NODE)
    assert told(keeps, made) == [(Reason.NO_FREE_SLICE, "no room is kept for the loss of a node")]
    assert told(surviving(2, asks()), made) == []
