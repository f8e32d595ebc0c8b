"""Onto which nodes the packing counts for whom: taints, labels and what is not known. Solved for real."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.mig.catalogue import gpus_of
from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.nodes.observed import NodeNeeds, NodeStatus, PoolInput
from autoscaler.core.nodes.placement import Placement, Requirement, Taint, Toleration
from autoscaler.core.nodes.settings import NodeSettings, PoolSettings
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.cells import kept_away, stranded
from autoscaler.core.slices.observed import Holder, MigState, SliceNode, SlicePlan, SlicesInput
from autoscaler.core.slices.question import Question, question
from autoscaler.core.slices.settings import SlicePoolSettings, SliceSettings, SlicesMode
from autoscaler.core.slices.state import SlicesState
from autoscaler.core.slices.step import step
from autoscaler.core.types import (
    Decision,
    PodStatus,
    ReplicaStatus,
    TickInput,
    WorkloadInput,
)
from autoscaler.solver.slices import solve
from tests.core.slices.records import record
from tests.core.story import START_S, spec

ONES, THREES = "all-1g.10gb", "all-3g.40gb"
POOL = SlicePoolSettings(
    labels={"pool": "mig"},
    gpu="A100-80GB",
    configs={ONES: "7x1g.10gb", THREES: "2x3g.40gb"},
    gpus_per_node=1,
)
CONFIG = EngineConfig(slices=SliceSettings(mode=SlicesMode.AUTO, pools={"mig": POOL}))
BERT = Taint(key="dedicated", value="bert")
FOR_BERT = Placement(tolerations=(Toleration(key="dedicated", value="bert"),))


def node(name: str, *pods: str, config: str = ONES, **changes: object) -> SliceNode:
    """One GPU; each pod is `name:shape`. All of its labels that matter are known."""
    base = SliceNode(
        name=name,
        pool="mig",
        config=config,
        state=MigState.SUCCESS,
        slices=POOL.slices_of(config),
        holders=tuple(Holder(pod=p.split(":")[0], shape=p.split(":")[1]) for p in pods),
        devices=len(pods),
        labels=(),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def asks(shape: str = "3g.40gb", placement: Placement | None = None) -> NodeNeeds:
    resource = "nvidia.com/gpu" if shape == "gpu" else f"nvidia.com/mig-{shape}"
    return NodeNeeds(resource=resource, count=1, placement=placement or Placement())


def workload(
    name: str, target: int, needs: NodeNeeds, *, pods: tuple[PodStatus, ...] = ()
) -> tuple[WorkloadInput, Decision]:
    own = spec(name, node_needs=needs)
    seen = WorkloadInput(spec=own, replicas=ReplicaStatus(desired=max(1, len(pods))), pods=pods)
    decision = Decision(
        workload=own.id,
        current=len(pods),
        target=target,
        reason=Reason.STEADY,
        message="",
        mode=own.mode,
    )
    return seen, decision


def running(name: str, count: int, where: str | None = None) -> tuple[PodStatus, ...]:
    return tuple(PodStatus(name=f"{name}-{i}", created_s=START_S, node=where) for i in range(count))


def ask(
    nodes: list[SliceNode],
    *workloads: tuple[WorkloadInput, Decision],
    pools: tuple[PoolInput, ...] = (),
    config: EngineConfig = CONFIG,
) -> Question:
    asked = question(record(nodes, *workloads, pools=pools), config)
    assert asked is not None
    return asked


def plan(nodes: list[SliceNode], *workloads: tuple[WorkloadInput, Decision]) -> SlicePlan:
    return solve(ask(nodes, *workloads), START_S)


def cells(asked: Question) -> dict[str, int]:
    return {cell.name: cell.gpus for cell in asked.problem.cells}


def may(asked: Question, name: str) -> set[str]:
    return {cell for _, one in asked.problem.variants() if one.name == name for cell in one.cells}


def test_nodes_that_all_may_use_alike_are_one_cell() -> None:
    zoned = [node("n1", zone="a"), node("n2", zone="b", labels=(("disk", "ssd"),))]
    assert cells(ask(zoned, workload("a", 1, asks()))) == {"mig": 2}


def test_a_taint_splits_the_pool_for_whom_it_keeps_away() -> None:
    nodes = [node("n1", taints=(BERT,)), node("n2"), node("n3", taints=(BERT,))]
    asked = ask(nodes, workload("bert", 1, asks(placement=FOR_BERT)), workload("other", 1, asks()))
    assert cells(asked) == {"mig/n1": 2, "mig/n2": 1}
    assert may(asked, "team/bert") == {"mig/n1", "mig/n2"}
    assert may(asked, "team/other") == {"mig/n2"}


def test_a_node_is_cut_for_those_who_tolerate_it() -> None:
    """Either node could hold two; only `n2` is for pods without the toleration."""
    nodes = [node("n1", taints=(BERT,)), node("n2")]
    assert plan(nodes, workload("other", 2, asks())).nodes == (("n2", THREES),)
    third = plan(nodes, workload("other", 3, asks()))
    assert third.infeasible is not None


def test_a_toleration_lets_pods_in_and_an_affinity_keeps_them_there() -> None:
    """Pods that only tolerate the taint may take the slices of those who have nowhere else to go."""
    nodes = [node("n1", taints=(BERT,), labels=(("dedicated", "bert"),)), node("n2")]
    other = workload("other", 2, asks())
    crowded = plan(nodes, other, workload("bert", 2, asks(placement=FOR_BERT))).infeasible
    assert crowded is not None
    assert crowded.endswith(
        "replicas of team/bert may take 3g.40gb that team/other needs on mig/n2, and are counted there too: a node "
        "selector or affinity to other nodes keeps them away"
    )
    there = Requirement(key="dedicated", operator="In", values=("bert",))
    bound = replace(FOR_BERT, terms=((there,),))
    both = plan(nodes, other, workload("bert", 2, asks(placement=bound)))
    assert both.nodes == (("n1", THREES), ("n2", THREES))


@pytest.mark.parametrize(
    ("term", "cut"),
    [
        (Requirement(key="disk", operator="In", values=("ssd",)), "n2"),
        (Requirement(key="disk", operator="DoesNotExist"), "n1"),
        (Requirement(key="disk", operator="NotIn", values=("ssd",)), "n1"),
        (Requirement(key="metadata.name", operator="In", values=("n2",)), "n2"),
    ],
)
def test_a_node_is_cut_for_those_whose_affinity_it_meets(term: Requirement, cut: str) -> None:
    nodes = [node("n1"), node("n2", labels=(("disk", "ssd"),))]
    needs = asks(placement=Placement(terms=((term,),)))
    assert plan(nodes, workload("a", 2, needs)).nodes == ((cut, THREES),)


def test_labels_that_were_not_observed_keep_nobody_away() -> None:
    needs = asks(placement=Placement(terms=((Requirement(key="disk", operator="Exists"),),)))
    assert kept_away(needs, node("n1", labels=None), CONFIG) is None
    assert kept_away(needs, node("n1"), CONFIG) == "disk Exists is asked for, disk is missing"


def test_pods_on_a_node_that_was_tainted_since_stay_and_need_no_room_elsewhere() -> None:
    """Two run where no third may go; of three, one is to find a slice on the other node."""
    held = [f"team/a-{i}:3g.40gb" for i in range(2)]
    nodes = [node("n1", *held, config=THREES, taints=(BERT,)), node("n2")]
    asked = ask(nodes, workload("a", 3, asks(), pods=running("a", 2)))
    demands = {one.name: one.demand_mrps for one in asked.problem.workloads}
    assert demands == {"team/a": 1000, "others on mig/n1 with 3g.40gb": 2000}
    assert solve(asked, START_S).nodes == (("n2", THREES),)


def test_a_workload_that_no_node_is_for_does_not_stand_in_the_others_way() -> None:
    nodes = [node("n1", taints=(BERT,)), node("n2", taints=(BERT,))]
    found = plan(nodes, workload("a", 9, asks()), workload("b", 2, asks(placement=FOR_BERT)))
    assert (found.infeasible, found.nodes) == (None, (("n1", THREES),))


def test_it_is_said_that_no_node_is_for_a_workload() -> None:
    nodes = (node("n1", taints=(BERT,)), node("n2", taints=(BERT,)))
    seen, decision = workload("a", 1, asks())
    stepped = step(
        TickInput(now_s=START_S, workloads=(seen,), slices=SlicesInput(nodes=nodes, fronts=())),
        (decision,),
        {},
        {},
        SlicesState(),
        losses={},
        config=CONFIG,
    )
    (finding,) = stepped.decisions[0].findings
    assert (finding.reason, finding.message) == (
        Reason.UNSCHEDULABLE,
        "no node of mig is for its pods: n1, and 1 more nodes: the taint dedicated=bert:NoSchedule is not tolerated",
    )


def test_it_is_not_said_while_one_node_or_another_pool_is_left() -> None:
    whole = PoolSettings(labels={"pool": "ones"}, max_headroom=7, resource="nvidia.com/mig-1g.10gb")
    elsewhere = replace(CONFIG, nodes=NodeSettings(pools={"ones": whole}))
    tainted = node("n1", taints=(BERT,))
    assert stranded(asks(), [tainted, node("n2")], CONFIG) is None
    assert stranded(asks(), [], CONFIG) is None
    assert stranded(asks("1g.10gb"), [tainted], elsewhere) is None
    assert stranded(asks("1g.10gb"), [tainted], CONFIG) is not None


def test_a_grown_pool_whose_every_node_has_a_taint_is_for_those_who_tolerate_it() -> None:
    whole = PoolSettings(labels={"pool": "whole"}, max_headroom=8, units_per_node=2)
    config = replace(CONFIG, nodes=NodeSettings(pools={"whole": whole}))
    seen = PoolInput(
        pool="whole", nodes=(NodeStatus(name="w1", units=2),), foreign_units=0, taints=(BERT,)
    )
    asked = ask(
        [node("n1")],
        workload("bert", 1, asks("gpu", FOR_BERT)),
        workload("other", 1, asks("gpu")),
        pools=(seen,),
        config=config,
    )
    assert may(asked, "team/bert") == {"whole"}
    assert [one.name for one in asked.problem.workloads] == ["team/bert"]


def test_a_pod_on_a_grown_node_that_was_tainted_since_holds_its_gpu() -> None:
    whole = PoolSettings(labels={"pool": "whole"}, max_headroom=0, units_per_node=2)
    config = replace(CONFIG, nodes=NodeSettings(pools={"whole": whole}))
    seen = PoolInput(
        pool="whole", nodes=(NodeStatus(name="w1", units=2),), foreign_units=0, taints=(BERT,)
    )
    asked = ask(
        [node("n1")],
        workload("bert", 2, asks("gpu", FOR_BERT)),
        workload("other", 1, asks("gpu"), pods=running("other", 1, "w1")),
        pools=(seen,),
        config=config,
    )
    (held,) = asked.problem.held
    assert (held.name, held.replicas) == ("w1", (("others on whole with gpu", 1),))
    assert solve(asked, START_S).infeasible is not None


def test_a_grown_node_costs_its_gpus_however_they_are_cut_and_a_fixed_one_next_to_nothing() -> None:
    """Nodes of four GPUs: 28 sevenths, 12 of two sevenths, 8 halves. What is there anyway is filled first."""
    units = {"1g.10gb": 28, "2g.20gb": 12, "3g.40gb": 8}
    pools = {
        shape: PoolSettings(
            labels={"pool": shape},
            max_headroom=0,
            resource=f"nvidia.com/mig-{shape}",
            units_per_node=count,
        )
        for shape, count in units.items()
    }
    config = replace(CONFIG, nodes=NodeSettings(pools=pools))
    seen = tuple(
        PoolInput(pool=one, nodes=(NodeStatus(name=f"{one}-0", units=units[one]),), foreign_units=0)
        for one in pools
    )
    alone = ask([node("n1")], workload("bert", 1, asks()))
    assert [cell.price for cell in alone.problem.cells] == [1000]
    asked = ask([node("n1")], workload("bert", 1, asks()), pools=seen, config=config)
    prices = {cell.name: cell.price for cell in asked.problem.cells}
    assert prices == {"mig": 10, "1g.10gb": 4000, "2g.20gb": 4000, "3g.40gb": 4000}
    # A move is still weighed against a GPU.
    assert asked.gpu_price == alone.gpu_price == 1000


@pytest.mark.parametrize(
    ("profile", "slices", "gpus"),
    [
        ("1g.10gb", 28, 4),
        ("2g.20gb", 12, 4),
        ("3g.40gb", 8, 4),
        ("7g.80gb", 4, 4),
        ("1g.6gb", 16, 4),  # an A30 has four
        ("1g.20gb", 4, 1),  # the seventh with twice the memory
        ("3g.999gb", 8, 4),  # of a GPU that is not known
        ("1g.10gb", 29, 5),
    ],
)
def test_slices_are_on_as_many_gpus_as_they_need(profile: str, slices: int, gpus: int) -> None:
    assert gpus_of(profile, slices) == gpus


KEYS = ("dedicated", "spot")
TAINTS = st.lists(st.sampled_from(KEYS), max_size=2, unique=True).map(
    lambda keys: tuple(Taint(key=key) for key in sorted(keys))
)
TOLERATIONS = st.lists(st.sampled_from(KEYS), max_size=2, unique=True).map(
    lambda keys: tuple(Toleration(key=key, operator="Exists") for key in sorted(keys))
)


@settings(max_examples=60, deadline=None)
@given(
    nodes=st.lists(st.tuples(TAINTS, st.sampled_from([ONES, THREES])), min_size=1, max_size=5),
    wanted=st.lists(
        st.tuples(TOLERATIONS, st.sampled_from(["1g.10gb", "3g.40gb"]), st.integers(1, 6)),
        min_size=1,
        max_size=3,
    ),
)
def test_no_plan_counts_on_a_node_whose_taints_are_not_tolerated(
    nodes: list[tuple[tuple[Taint, ...], str]],
    wanted: list[tuple[tuple[Toleration, ...], str, int]],
) -> None:
    """Once the nodes are cut, every set of workloads of one shape has as many slices, on nodes that one of them
    tolerates, as replicas: by Hall's theorem each replica finds one."""
    there = [
        node(f"n{i}", config=config, taints=taints) for i, (taints, config) in enumerate(nodes)
    ]
    able = [
        {
            one.name
            for one in there
            if {taint.key for taint in one.taints} <= {each.key for each in tolerations}
        }
        for tolerations, _, _ in wanted
    ]
    asked = ask(
        there,
        *(
            workload(f"w{i}", count, asks(shape, Placement(tolerations=tolerations)))
            for i, (tolerations, shape, count) in enumerate(wanted)
        ),
    )
    for i, names in enumerate(able):
        cells_of = may(asked, f"team/w{i}")
        assert {name for name, cell in asked.of_node.items() if cell in cells_of} == names
    found = solve(asked, START_S)
    if found.infeasible is not None:
        return
    after = dict(found.nodes)
    for chosen in range(1, 2 ** len(wanted)):
        # One that no node is for stays out of the question.
        some = [i for i in range(len(wanted)) if chosen >> i & 1 and able[i]]
        for shape in {wanted[i][1] for i in some}:
            alike = [i for i in some if wanted[i][1] == shape]
            reach = set[str]().union(*(able[i] for i in alike))
            slices = sum(
                POOL.slices_of(after.get(one.name, one.config)).count(shape)
                for one in there
                if one.name in reach
            )
            assert slices >= sum(wanted[i][2] for i in alike)


def test_no_plan_counts_on_slices_that_are_not_offered() -> None:
    """A broken device plugin: one node offers nothing, and one of two GPUs of the other is gone."""
    pool = replace(POOL, gpus_per_node=2)
    config = EngineConfig(slices=SliceSettings(mode=SlicesMode.AUTO, pools={"mig": pool}))
    needs = asks("1g.10gb")
    pods = tuple(PodStatus(name=f"p{i}", created_s=START_S, node="n2") for i in range(2))
    nodes = [
        replace(node("n1"), slices=Geometry.of({})),
        replace(
            node("n2", "team/p0:1g.10gb", "team/p1:1g.10gb"), slices=Geometry.of({"1g.10gb": 7})
        ),
    ]
    fits = question(record(nodes, workload("bert", 7, needs, pods=pods)), config)
    assert fits is not None
    assert [(held.name, dict(held.replicas)) for held in fits.problem.held] == [
        ("n2", {"team/bert": 2, "others on mig with 1g.10gb": 7})
    ]
    assert solve(fits, START_S).infeasible is None
    more = question(record(nodes, workload("bert", 8, needs, pods=pods)), config)
    assert more is not None
    assert solve(more, START_S).infeasible is not None


shown = st.tuples(st.integers(0, 7), st.integers(0, 7), st.booleans())


@settings(max_examples=60, deadline=None)
@given(st.lists(shown, min_size=1, max_size=5), st.integers(0, 30))
def test_a_plan_is_found_for_just_what_is_offered(
    nodes: list[tuple[int, int, bool]], wanted: int
) -> None:
    """Each node offers so many sevenths, of which so many are held; or its MIG manager failed."""
    config = EngineConfig(
        slices=SliceSettings(
            mode=SlicesMode.AUTO, pools={"mig": replace(POOL, configs={ONES: "7x1g.10gb"})}
        )
    )
    made, room, pods = [], 0, []
    for number, (offered, held, failed) in enumerate(nodes):
        name, mine = f"n{number}", [f"p{number}-{i}" for i in range(held)]
        state = MigState.FAILED if failed else MigState.SUCCESS
        slices = Geometry.of({"1g.10gb": offered} if offered else {})
        made.append(node(name, *(f"team/{p}:1g.10gb" for p in mine), state=state, slices=slices))
        pods += [PodStatus(name=p, created_s=START_S, node=name) for p in mine]
        # What a pod holds is there, whatever is shown; of an idle node all of it must be.
        room += max(offered, held) if held else (7 if offered == 7 and not failed else 0)
    asked = question(
        record(made, workload("bert", max(wanted, len(pods)), asks("1g.10gb"), pods=tuple(pods))),
        config,
    )
    assert asked is not None
    found = solve(asked, START_S)
    assert (found.infeasible is None) == (max(wanted, len(pods)) <= room)
