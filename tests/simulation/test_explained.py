"""Decisions as a page shows them."""

from __future__ import annotations

import pytest

from autoscaler.core.reasons import Reason
from autoscaler.core.types import Decision, Facts, WorkloadId
from autoscaler.report.content import Kind, Turn
from autoscaler.simulation.explained import explained, kind_of


def decision(
    current: int, target: int, reason: Reason, offered_rps: float | None = 9.0
) -> Decision:
    return Decision(
        workload=WorkloadId(namespace="team", name="bert"),
        current=current,
        target=target,
        reason=reason,
        message="because",
        facts=Facts(offered_rps=offered_rps, upper_rps=None),
    )


def test_the_last_of_a_step_stands_for_it_but_a_turn_keeps_its_reason() -> None:
    told = explained(
        [
            (10.0, decision(2, 2, Reason.STEADY)),
            (20.0, decision(2, 3, Reason.DEMAND_RISING)),
            (30.0, decision(3, 3, Reason.STARTING)),
            (70.0, decision(3, 3, Reason.NO_DATA, offered_rps=None)),
        ],
        step_s=60.0,
        count=3,
    )
    assert told.turns == (Turn(at_s=20.0, before=2, after=3, why="DemandRising: because"),)
    assert told.targets == (3, 3, None)
    assert told.seen_rps == (9.0, None, None)
    assert told.why.texts == ("2 → 3 DemandRising: because", "NoData: because", "")
    assert told.why.kinds == (Kind.UP, Kind.BLIND, Kind.HOLD)


def test_a_recommendation_that_nobody_follows_is_one_turn() -> None:
    held = [(at_s, decision(5, 2, Reason.DEMAND_FALLING)) for at_s in (10.0, 20.0, 30.0)]
    assert [turn.after for turn in explained(held, step_s=60.0, count=1).turns] == [2]


@pytest.mark.parametrize(
    ("reason", "change", "kind"),
    [
        (Reason.DEMAND_RISING, 1, Kind.UP),
        (Reason.DEMAND_FALLING, -1, Kind.DOWN),
        (Reason.STEADY, 0, Kind.HOLD),
        (Reason.PANIC, 3, Kind.RISK),
        (Reason.SLO_AT_RISK, 0, Kind.RISK),
        (Reason.STALE_DATA, 0, Kind.BLIND),
    ],
)
def test_kinds(reason: Reason, change: int, kind: Kind) -> None:
    assert kind_of(reason, change) is kind
