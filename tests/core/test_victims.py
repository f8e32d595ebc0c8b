"""Which pods go: from nodes that are to be emptied, then from the emptiest; and only where it may be said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core import plan
from autoscaler.core.reasons import Reason
from autoscaler.core.types import Decision, PodStatus, ReplicaStatus, WorkloadInput
from autoscaler.core.victims import loads, victims
from tests.core.story import START_S, spec


def pod(name: str, node: str | None, *, ready: bool = True, age_s: float = 0.0) -> PodStatus:
    created_s = START_S - age_s
    return PodStatus(
        name=name, created_s=created_s, ready_s=created_s if ready else None, node=node
    )


def workload(*pods: PodStatus, name: str = "bert", **changes: object) -> WorkloadInput:
    own = spec(name, **({"steer_victims": True} | changes))
    return WorkloadInput(spec=own, replicas=ReplicaStatus(desired=len(pods)), pods=pods)


# n1 holds three of bert; n2 one of it and two others; n3 one of it alone.
BERT = workload(
    pod("a", "n1"), pod("b", "n1"), pod("c", "n1"), pod("d", "n2"), pod("e", "n3", age_s=9.0)
)
OTHER = workload(pod("x", "n2"), pod("y", "n2"), name="other")
LOAD = loads([BERT, OTHER])


@pytest.mark.parametrize(
    ("left", "emptied", "going"),
    [
        pytest.param(4, (), ("e",), id="the emptiest node first"),
        pytest.param(2, (), ("e", "a", "b"), id="then by what a node holds"),
        pytest.param(4, ("n2",), ("d",), id="a node that is to be emptied goes before"),
        pytest.param(5, (), (), id="nothing goes"),
        pytest.param(0, (), ("e", "a", "b", "c", "d"), id="all of them"),
    ],
)
def test_who_goes(left: int, emptied: tuple[str, ...], going: tuple[str, ...]) -> None:
    assert LOAD == {"n1": 3, "n2": 3, "n3": 1}
    assert victims(BERT, left, LOAD, emptied) == going


def test_pods_that_are_not_ready_go_by_themselves() -> None:
    given = workload(pod("a", "n1"), pod("b", "n1"), pod("c", None, ready=False))
    assert victims(given, 2, {}, ()) == ()
    assert len(victims(given, 1, {}, ())) == 1


@pytest.mark.parametrize(
    "given",
    [
        replace(BERT, spec=replace(BERT.spec, steer_victims=False)),
        replace(BERT, pods_known=False),
    ],
)
def test_nothing_is_said_where_it_may_not_be_or_is_not_known(given: WorkloadInput) -> None:
    assert victims(given, 1, LOAD, ()) == ()


@pytest.mark.parametrize(("target", "going"), [(4, ("e",)), (6, ())])
def test_an_action_names_them(target: int, going: tuple[str, ...]) -> None:
    decision = Decision(
        workload=BERT.spec.id, current=5, target=target, reason=Reason.STEADY, message=""
    )
    steady = replace(decision, workload=OTHER.spec.id, current=2, target=2)
    (action,) = plan.actions([BERT, OTHER], [decision, steady])
    assert action.victims == going


def test_pods_on_a_node_that_stays_go_last() -> None:
    # n3 is the emptiest, and is there whether it is empty or not; the packing's own word goes before.
    assert victims(BERT, 4, LOAD, (), staying=("n3",)) == ("a",)
    assert victims(BERT, 4, LOAD, ("n3",), staying=("n3",)) == ("e",)
    everywhere = ("n1", "n2", "n3")
    assert victims(BERT, 4, LOAD, (), staying=everywhere) == ("e",)
