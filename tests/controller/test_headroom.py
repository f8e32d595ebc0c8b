"""Headroom is written while this process leads, asks before it lets go, and says at the pool what became of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from autoscaler.controller.fence import Fence
from autoscaler.controller.headroom import HeadroomWriter, pool_notes
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.notes import Notebook
from autoscaler.core.nodes.observed import Backend, PoolDecision, PoolFacts, SetHeadroom
from autoscaler.core.reasons import Reason
from autoscaler.core.types import (
    HeadroomResult,
    Outcome,
    ScalingPlan,
    Severity,
    TickInput,
    TickRecord,
    TickResult,
)
from tests.fakes.clock import FakeClock
from tests.fakes.controller import FakeLeadership

NAMESPACE = "forescale-headroom"


def change(pool: str, before: int, after: int, *beside: str) -> SetHeadroom:
    return SetHeadroom(
        pool=pool,
        beside=beside,
        backend=Backend.PLACEHOLDER,
        observed=before,
        units=after,
        reason=Reason.NODE_DEMAND_AHEAD,
        message="7 expected, 2 held",
    )


@dataclass
class Hands:
    """Writes what it is told to, unless a pool is named in `refuses`."""

    refuses: set[str] = field(default_factory=set)
    sent: list[tuple[str, int]] = field(default_factory=list)
    hangs: bool = False

    async def apply(self, action: SetHeadroom) -> HeadroomResult:
        if self.hangs:
            await asyncio.Event().wait()
        self.sent.append((action.pool, action.units))
        refused = action.pool in self.refuses
        return HeadroomResult(
            action=action, outcome=Outcome.REJECTED if refused else Outcome.APPLIED, message="no"
        )


def writer(hands: Hands, *, leading: bool = True) -> HeadroomWriter:
    leadership = FakeLeadership()
    leadership.leading = leading
    return HeadroomWriter(hands, Fence(leadership=leadership, clock=FakeClock(), call_s=4.0))


async def test_nothing_is_let_go_where_what_replaces_it_could_not_be_asked_for() -> None:
    hands = Hands(refuses={"dear"})
    actions = (change("dear", 0, 5), change("cheap", 5, 0, "dear"), change("third", 0, 1))
    results = await writer(hands).carry_out(actions, until_s=9.0)
    assert hands.sent == [("dear", 5), ("third", 1)]
    assert [r.outcome for r in results] == [Outcome.REJECTED, Outcome.REJECTED, Outcome.APPLIED]
    assert results[1].message == "not sent: what may replace it could not be asked for (dear)"


async def test_what_is_refused_in_each_tick_is_a_line_of_the_log_for_each_pool(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hands = Hands(refuses={"dear"})
    hand = writer(hands)
    with caplog.at_level("INFO", logger="autoscaler.controller.headroom"):
        for _ in range(30):
            await hand.carry_out((change("dear", 0, 5),), until_s=1e6)
        hands.refuses.clear()
        await hand.carry_out((change("dear", 0, 5),), until_s=1e6)
    assert [line.msg for line in caplog.records] == [
        "headroom not set",
        "dear: headroom is set again",
        "headroom set",
    ]


async def test_a_pool_whose_object_is_refused_for_ever_holds_no_other_teams_headroom() -> None:
    """An admission policy refuses one pool's buffer; another's headroom was kept, and paid, until somebody noticed."""
    hands = Hands(refuses={"theirs"})
    actions = (change("theirs", 0, 5), change("ours", 5, 0, "spare"))
    results = await writer(hands).carry_out(actions, until_s=9.0)
    assert [r.outcome for r in results] == [Outcome.REJECTED, Outcome.APPLIED]


async def test_another_back_end_of_the_same_pool_is_kept_until_the_next_one_is_asked() -> None:
    hands = Hands(refuses={"h100"})
    actions = (change("h100", 0, 5), change("h100", 5, 0))
    results = await writer(hands).carry_out(actions, until_s=9.0)
    assert [r.outcome for r in results] == [Outcome.REJECTED, Outcome.REJECTED]


async def test_a_process_that_leads_no_more_writes_nothing() -> None:
    hands = Hands()
    (result,) = await writer(hands, leading=False).carry_out((change("h100", 0, 5),), until_s=9.0)
    assert (result.outcome, hands.sent) == (Outcome.REJECTED, [])


async def test_the_end_of_the_ticks_time_stops_it() -> None:
    hands = Hands()
    (result,) = await writer(hands).carry_out((change("h100", 0, 5),), until_s=0.0)
    assert result.message == "not sent: the time of the tick was up"
    hands.hangs = True
    (result,) = await writer(hands).carry_out((change("h100", 0, 5),), until_s=9.0)
    assert (result.outcome, result.message) == (
        Outcome.UNKNOWN,
        "the API server did not answer within 4 s",
    )


def record(decision: PoolDecision, *results: HeadroomResult, at_s: float = 0.0) -> TickRecord:
    return TickRecord(
        input=TickInput(now_s=at_s, workloads=()),
        result=TickResult(now_s=at_s, decisions=(), plan=ScalingPlan(), pools=(decision,)),
        headroom=results,
    )


SOLD_OUT = PoolDecision(
    pool="h100",
    headroom=0,
    reason=Reason.NODE_STOCK_OUT,
    message="",
    available=False,
    findings=((Reason.NODE_STOCK_OUT, "none left; asked again in 300 s"),),
    facts=PoolFacts(lead_time_s=210.0, demand=7),
)


def test_a_change_is_an_event_at_the_pools_deployment() -> None:
    done = HeadroomResult(action=change("h100", -1, 5), outcome=Outcome.APPLIED)
    (changed, _), (finding, topic) = pool_notes(record(SOLD_OUT, done), NAMESPACE)
    assert (str(changed.workload), changed.severity) == (f"{NAMESPACE}/h100", Severity.NORMAL)
    assert changed.message == "headroom from 0 to 5 units (placeholder): 7 expected, 2 held"
    assert (finding.reason, finding.severity, topic) == (
        "NodeStockOut",
        Severity.WARNING,
        "NodeStockOut",
    )


def test_what_lasts_is_told_once_an_hour_and_what_was_refused_too() -> None:
    refused = HeadroomResult(action=change("h100", 0, 5), outcome=Outcome.REJECTED, message="no")
    notebook = Notebook(NAMESPACE)
    told = [
        [note.reason for note in notebook.notes(record(SOLD_OUT, refused, at_s=at_s), ())]
        for at_s in (0.0, 10.0, 3600.0)
    ]
    assert told == [["HeadroomRefused", "NodeStockOut"], [], ["HeadroomRefused", "NodeStockOut"]]


def test_a_change_that_somebody_undoes_in_each_tick_is_told_once_an_hour() -> None:
    """GitOps that keeps the object at nothing, or a policy that strips its annotation: six Events a minute."""
    notebook, told = Notebook(NAMESPACE), []
    for tick in range(361):
        changes = [change("h100", 0, 5)] if tick != 7 else [change("h100", 0, 6)]
        done = [HeadroomResult(action=one, outcome=Outcome.APPLIED) for one in changes]
        calm = replace(SOLD_OUT, findings=())
        told.append(
            [n.message[:28] for n in notebook.notes(record(calm, *done, at_s=tick * 10.0), ())]
        )
    assert [(tick, what) for tick, what in enumerate(told) if what] == [
        (0, ["headroom from 0 to 5 units ("]),
        (7, ["headroom from 0 to 6 units ("]),
        (360, ["headroom from 0 to 5 units ("]),
    ]


def test_metrics_of_a_pool_end_with_it_and_leave_out_what_is_unknown() -> None:
    metrics = Metrics()
    metrics.pools.take(record(SOLD_OUT))

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(
            f"forescale_pool_{name}", {"pool": "h100", **labels}
        )

    assert value("headroom_units") == 0.0
    assert value("available") == 0.0
    assert value("lead_time_seconds") == 210.0
    assert value("free_units") is None
    assert value("finding_active", reason="NodeStockOut") == 1.0
    empty = TickRecord(
        input=TickInput(now_s=0.0, workloads=()),
        result=TickResult(now_s=0.0, decisions=(), plan=ScalingPlan()),
    )
    metrics.pools.take(empty)
    assert value("available") is None
