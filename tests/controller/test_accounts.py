"""SLO accounts of a running controller: kept over a restart, shown as metrics, gone with their workload."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from autoscaler.controller.accounts import (
    ABSENT_KEPT_S,
    SAVE_EVERY_S,
    AccountKeeper,
    Accounts,
    pack,
    unpack,
)
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.slo_metrics import SloSeries
from autoscaler.core.types import TickInput, WorkloadId
from autoscaler.errors import SourceInvalid, SourceUnavailable
from tests.core.test_ledger import START_S, Service, slo
from tests.fakes.clock import SteppedClock, settle
from tests.fakes.controller import FakeLeadership, FakeStore, inline

BERT = {"namespace": "team", "kind": "Deployment", "name": "bert", "objective": "99% < 200ms"}


def watched(
    service: Service, accounts: Accounts, seconds: float, *, slow: float = 0.0
) -> TickInput:
    """Ticks each 10 s; returns the last input."""
    given = TickInput(now_s=service.now_s, workloads=(service.given(),))
    accounts.take(given)
    for _ in range(round(seconds / 10.0)):
        service.serve(10.0, slow=slow)
        given = TickInput(now_s=service.now_s, workloads=(service.given(),))
        accounts.take(given)
    return given


def an_hour(*, slow: float = 0.005) -> tuple[Accounts, Service]:
    accounts, service = Accounts(stale_after_s=30.0), Service(slo("99% < 200ms"))
    watched(service, accounts, 3610, slow=slow)
    return accounts, service


def registry_of(accounts: Accounts) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(SloSeries(accounts))
    return registry


def test_metrics_show_budget_and_bounds() -> None:
    accounts, _ = an_hour()
    registry = registry_of(accounts)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"forescale_slo_{name}", {**BERT, **labels})

    assert value("target_ratio") == 0.99
    assert value("source_active", source="histogram") == 1.0
    assert value("requests_total") == pytest.approx(36_000, rel=0.01)
    for bound in ("low", "estimate", "high"):
        assert value("bad_requests_total", bound=bound) == pytest.approx(180, rel=0.01)
    assert value("watched_seconds_total", state="known") == pytest.approx(3600)
    assert value("watched_seconds_total", state="unknown") == 0.0
    for window in ("1h", "24h", "28d"):
        assert value("known_ratio", window=window) == 1.0
        for bound in ("low", "estimate", "high"):
            shown = {"window": window, "bound": bound}
            assert value("compliance_ratio", **shown) == pytest.approx(0.995)
            assert value("burn_rate_ratio", **shown) == pytest.approx(0.5)
            assert value("budget_left_ratio", **shown) == pytest.approx(0.5)


def test_series_go_with_their_workload_and_the_account_stays_a_day() -> None:
    """A mistake in an annotation must not cost four weeks of accounting."""
    accounts, service = an_hour()
    accounts.take(TickInput(now_s=service.now_s + 10.0, workloads=()))
    assert registry_of(accounts).get_sample_value("forescale_slo_requests_total", BERT) is None
    assert accounts.compliance() == ()
    service.serve(600.0)
    watched(service, accounts, 70)
    (told,) = accounts.compliance()
    assert told.objectives[0].windows[1].requests > 36_000
    accounts.take(TickInput(now_s=service.now_s + ABSENT_KEPT_S, workloads=()))
    assert accounts.snapshot() == ()


def test_what_is_stored_is_what_is_shown_again() -> None:
    accounts, _ = an_hour()
    other = Accounts(stale_after_s=30.0)
    other.restore(unpack(pack(accounts.snapshot())))
    (kept,), (before,) = other.snapshot(), accounts.snapshot()
    assert kept.seen == ()
    assert kept.ledgers[0].total.requests == 0.0
    assert kept.ledgers[0].window.total().requests == pytest.approx(
        before.ledgers[0].window.total().requests
    )


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x1f\x8b garbage", id="not gzip"),
        pytest.param(pack(())[:-4], id="cut short"),
    ],
)
def test_what_can_not_be_read_is_named(data: bytes) -> None:
    with pytest.raises(SourceInvalid, match="SLO accounts: can't be read"):
        unpack(data)


class Kept:
    """A keeper with fakes around it."""

    def __init__(self) -> None:
        self.accounts = Accounts(stale_after_s=30.0)
        self.store, self.clock, self.leadership = FakeStore(), SteppedClock(), FakeLeadership()
        self.leadership.leading = True
        self.metrics = Metrics()
        self.keeper = AccountKeeper(
            self.accounts,
            self.store,
            leadership=self.leadership,
            clock=self.clock,
            metrics=self.metrics,
            offload=inline,
        )

    def metric(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"forescale_slo_accounts_{name}")


async def test_the_next_leader_takes_the_accounts_over() -> None:
    first, second = Kept(), Kept()
    await first.keeper.begin()
    service = Service(slo("99% < 200ms"))
    await first.keeper.keep(watched(service, first.accounts, 600, slow=0.02))
    await first.keeper.finish()
    second.store.data = first.store.data
    await second.keeper.begin()
    service.serve(10.0)
    await second.keeper.keep(TickInput(now_s=service.now_s, workloads=(service.given(),)))
    (told,) = second.accounts.compliance()
    assert told.objectives[0].windows[0].burn_rate.estimate == pytest.approx(2.0)


async def test_it_is_saved_every_ten_minutes_and_only_by_the_leader() -> None:
    kept = Kept()
    await kept.keeper.begin()
    given = TickInput(now_s=START_S, workloads=())
    await kept.keeper.keep(given)
    await settle()
    assert kept.store.saves == 0
    await kept.clock.advance(SAVE_EVERY_S)
    await kept.keeper.keep(given)
    await settle()
    assert kept.store.saves == 1
    assert kept.metric("size_bytes") == len(kept.store.data or b"")
    assert kept.metric("last_saved_timestamp_seconds") == kept.clock.now_s()
    assert kept.metric("failures_total") == 0.0
    kept.leadership.leading = False
    await kept.clock.advance(SAVE_EVERY_S)
    await kept.keeper.keep(given)
    await kept.keeper.finish()
    assert kept.store.saves == 1


async def test_accounts_of_four_weeks_are_asked_for_again_where_there_is_no_answer() -> None:
    """They would be written over ten minutes later."""
    first, second = Kept(), Kept()
    await first.keeper.begin()
    await first.keeper.keep(watched(Service(slo("99% < 200ms")), first.accounts, 600))
    await first.keeper.finish()
    second.store.data, second.store.silent_loads = first.store.data, 2
    begun = asyncio.create_task(second.keeper.begin())
    await second.clock.advance(5)
    await begun
    assert len(second.accounts.snapshot()) == 1


async def test_a_store_that_fails_stops_nothing() -> None:
    kept = Kept()
    kept.store.error = SourceUnavailable("no answer")
    begun = asyncio.create_task(kept.keeper.begin())
    await kept.clock.advance(10)
    await begun
    service = Service(slo("99% < 200ms"))
    await kept.keeper.keep(watched(service, kept.accounts, 600))
    await kept.keeper.finish()
    assert kept.accounts.compliance() != ()
    # Not taken over, and not saved.
    assert kept.metric("failures_total") == 2.0
    assert kept.metric("last_saved_timestamp_seconds") == 0.0


def test_a_workload_of_another_kind_has_its_own_account() -> None:
    accounts, service = Accounts(stale_after_s=30.0), Service(slo("99% < 200ms"))
    one = service.given()
    other = replace(
        one,
        spec=replace(one.spec, id=WorkloadId(namespace="team", name="bert", kind="StatefulSet")),
    )
    accounts.take(TickInput(now_s=service.now_s, workloads=(one, other)))
    assert [str(item.workload) for item in accounts.compliance()] == [
        "team/bert",
        "team/statefulset/bert",
    ]
