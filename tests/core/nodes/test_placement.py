"""Which nodes keep which pods away, as the scheduler judges, and what can't be judged."""

from __future__ import annotations

import pytest

from autoscaler.codec import decode, encode
from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.nodes.placement import (
    Placement,
    Requirement,
    SpreadRule,
    Taint,
    Toleration,
    kept_by_taint,
    kept_from_labels,
    lasting,
)

ZONE = "topology.kubernetes.io/zone"
LABELS = {"pool": "mig", ZONE: "a", "gpus": "8"}


def wants(key: str, operator: str, *values: str) -> Requirement:
    return Requirement(key=key, operator=operator, values=values)


@pytest.mark.parametrize(
    ("term", "reason"),
    [
        ((wants(ZONE, "In", "a", "b"),), None),
        ((wants(ZONE, "In", "b"),), f"{ZONE} In b is asked for, {ZONE} is a"),
        ((wants("disk", "In", "ssd"),), "disk In ssd is asked for, disk is missing"),
        ((wants(ZONE, "NotIn", "b"),), None),
        ((wants("disk", "NotIn", "ssd"),), None),
        ((wants(ZONE, "NotIn", "a"),), f"{ZONE} NotIn a is asked for, {ZONE} is a"),
        ((wants("pool", "Exists"),), None),
        ((wants("disk", "Exists"),), "disk Exists is asked for, disk is missing"),
        ((wants("disk", "DoesNotExist"),), None),
        ((wants("pool", "DoesNotExist"),), "pool DoesNotExist is asked for, pool is mig"),
        ((wants("gpus", "Gt", "4"),), None),
        ((wants("gpus", "Gt", "8"),), "gpus Gt 8 is asked for, gpus is 8"),
        ((wants("gpus", "Lt", "9"),), None),
        ((wants("pool", "Lt", "9"),), "pool Lt 9 is asked for, pool is mig"),
        # Not a word of Kubernetes 1.34: it can't be judged, so the node is not counted on.
        ((wants("gpus", "Near", "8"),), "gpus Near 8 is asked for, gpus is 8"),
        ((wants("pool", "Exists"), wants(ZONE, "In", "b")), f"{ZONE} In b is asked for, {ZONE} is a"),
        ((), "an empty term of the required node affinity matches no node"),
    ],
)  # fmt: skip
def test_a_term_of_node_affinity(term: tuple[Requirement, ...], reason: str | None) -> None:
    assert kept_from_labels(Placement(terms=(term,)), (), LABELS, complete=True) == reason


def test_one_term_of_several_is_enough_and_none_is_not() -> None:
    b, a = (wants(ZONE, "In", "b"),), (wants(ZONE, "In", "a"),)
    assert kept_from_labels(Placement(terms=(b, a)), (), LABELS, complete=True) is None
    assert kept_from_labels(Placement(terms=(b, b)), (), LABELS, complete=True) is not None
    assert kept_from_labels(Placement(terms=()), (), LABELS, complete=True) is not None


def test_a_selector_must_be_met_beside_the_affinity() -> None:
    placement = Placement(terms=((wants(ZONE, "In", "a"),),))
    assert kept_from_labels(placement, (("pool", "mig"),), LABELS, complete=True) is None
    assert (
        kept_from_labels(placement, (("pool", "other"),), LABELS, complete=True)
        == "pool is mig, other is asked for"
    )


@pytest.mark.parametrize("operator", ["In", "NotIn", "Exists", "DoesNotExist", "Gt"])
def test_a_pools_labels_tell_nothing_of_others(operator: str) -> None:
    """`pool: mig` names the pool; whether its nodes have a disk is not known from that."""
    placement = Placement(terms=((wants("disk", operator, "7"),),))
    assert kept_from_labels(placement, (("zone", "a"),), {"pool": "mig"}, complete=False) is None


@pytest.mark.parametrize(
    ("toleration", "kept"),
    [
        (Toleration(key="dedicated", value="bert", effect="NoSchedule"), False),
        (Toleration(key="dedicated", value="bert"), False),
        (Toleration(key="dedicated", operator="Exists"), False),
        (Toleration(operator="Exists"), False),
        (Toleration(key="dedicated", value="llama"), True),
        (Toleration(key="dedicated", value="bert", effect="NoExecute"), True),
        (Toleration(key="nvidia.com/gpu", operator="Exists"), True),
        (Toleration(key="dedicated", operator="Near", value="bert"), True),
        (Toleration(), True),
    ],
)
def test_a_taint_and_a_toleration(toleration: Toleration, kept: bool) -> None:
    taints = (Taint(key="dedicated", value="bert"),)
    reason = kept_by_taint(Placement(tolerations=(toleration,)), taints)
    assert reason == ("the taint dedicated=bert:NoSchedule is not tolerated" if kept else None)


def test_every_taint_must_be_tolerated() -> None:
    taints = (Taint(key="dedicated", value="bert"), Taint(key="spot", effect="NoExecute"))
    one = Placement(tolerations=(Toleration(key="dedicated", operator="Exists"),))
    assert kept_by_taint(one, taints) == "the taint spot:NoExecute is not tolerated"
    assert kept_by_taint(Placement(), ()) is None


def test_taints_that_tell_a_nodes_state_are_not_judged() -> None:
    dedicated = Taint(key="dedicated", value="bert")
    taints = (
        Taint(key="node.kubernetes.io/unschedulable"),
        Taint(key="karpenter.sh/unregistered", effect="NoExecute"),
        Taint(key="busy", effect="PreferNoSchedule"),
        dedicated,
        dedicated,
    )
    assert lasting(taints) == (dedicated,)


def test_what_pods_ask_for_goes_through_a_journal_unchanged() -> None:
    needs = NodeNeeds(
        resource="nvidia.com/mig-1g.10gb",
        count=1,
        placement=Placement(
            terms=((wants("disk", "In", "ssd"), wants("gpus", "Gt", "4")),),
            tolerations=(Toleration(key="dedicated", operator="Exists"),),
            spreads=(SpreadRule(key=ZONE, max_skew=2),),
            alone=True,
        ),
    )
    assert decode(encode(needs), NodeNeeds) == needs
    # A journal from before it was read.
    old = decode('{"resource": "nvidia.com/gpu", "count": 1, "selector": []}', NodeNeeds)
    assert old.placement == Placement()
