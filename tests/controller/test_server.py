"""The HTTP server, over real sockets on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import aiohttp
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from autoscaler.codec import decode
from autoscaler.config import ServerSettings
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.server import CompliancePage, Health, Server, build_app
from autoscaler.core.compliance import WorkloadCompliance
from autoscaler.core.types import TickRecord
from tests.controller.test_accounts import an_hour
from tests.fakes.controller import FakeLeadership
from tests.fakes.recorded import RecordedStory


@dataclass
class Answer:
    status: int
    text: str


class Site:
    """A server and what it shows."""

    def __init__(self) -> None:
        self.metrics, self.leadership = Metrics(), FakeLeadership()
        self.stuck: str | None = None
        self.last: TickRecord | None = None
        self.compliance: tuple[WorkloadCompliance, ...] = ()
        health = Health(stuck=lambda: self.stuck, not_ready=lambda: None, last=lambda: self.last)
        app = build_app(
            metrics=self.metrics,
            leadership=self.leadership,
            health=health,
            compliance=lambda: self.compliance,
        )
        self.server = Server(app, ServerSettings(bind="127.0.0.1", port=0))

    async def get(self, *paths: str) -> list[Answer]:
        await self.server.start()
        answers = []
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{self.server.port}") as session:
                for path in paths:
                    async with session.get(path) as response:
                        answers.append(Answer(response.status, await response.text()))
        finally:
            await self.server.stop()
        return answers


def ticked() -> TickRecord:
    story = RecordedStory()
    return story.record(60, rate_rps=40)[-1]


async def test_health() -> None:
    site = Site()
    live, ready = await site.get("/livez", "/readyz")
    assert (live, ready) == (Answer(200, "ok\n"), Answer(200, "ok\n"))


async def test_a_stuck_controller_is_not_alive() -> None:
    site = Site()
    site.stuck = "no tick for 61 s"
    (live,) = await site.get("/livez")
    assert live == Answer(503, "no tick for 61 s\n")


async def test_a_follower_names_the_leader() -> None:
    (answer,) = await Site().get("/debug/decisions")
    assert answer.status == 503
    assert "the leader is other" in answer.text


async def test_decisions_with_their_specs() -> None:
    site = Site()
    site.leadership.leading, site.last = True, ticked()
    everything, one, none = await site.get(
        "/debug/decisions", "/debug/decisions?workload=team/bert", "/debug/decisions?workload=x/y"
    )
    assert everything == one
    assert '"workload":{"namespace":"team","name":"bert","kind":"Deployment"}' in one.text
    assert '"text":"99% < 300ms"' in one.text
    assert '"decisions":[]' in none.text


async def test_counters_exist_before_anything_has_happened() -> None:
    (answer,) = await Site().get("/metrics")
    for line in (
        'forescale_actuation_actions_total{outcome="Conflict"} 0.0',
        'forescale_engine_decisions_total{reason="NoData"} 0.0',
        'forescale_source_errors_total{source="prometheus"} 0.0',
        "forescale_tick_overruns_total 0.0",
        "forescale_journal_failures_total 0.0",
    ):
        assert line in answer.text


class Watching(Collector):
    """Sees in which thread it is asked."""

    threads: ClassVar[set[int]] = set()

    def collect(self) -> Iterator[Metric]:
        self.threads.add(threading.get_ident())
        return iter(())


async def test_a_scrape_of_a_large_fleet_stops_nothing_else() -> None:
    """It takes a second of a thousand workloads, in which a probe would fail and a lease not be renewed."""
    site = Site()
    site.metrics.registry.register(Watching())
    Watching.threads.clear()
    (answer,) = await site.get("/metrics")
    assert answer.status == 200
    assert Watching.threads
    assert threading.get_ident() not in Watching.threads


@pytest.mark.parametrize("series", ["target_replicas", "offered_inferences_per_second"])
def test_series_end_with_their_workload(series: str) -> None:
    metrics, record = Metrics(), ticked()
    labels = {"namespace": "team", "kind": "Deployment", "name": "bert"}
    metrics.ticked(record, 0.2)
    value = metrics.registry.get_sample_value(f"forescale_workload_{series}", labels)
    assert value is not None
    assert value > 0.0
    gone = replace(
        record,
        input=replace(record.input, workloads=()),
        result=replace(record.result, decisions=()),
    )
    metrics.ticked(gone, 0.2)
    assert metrics.registry.get_sample_value(f"forescale_workload_{series}", labels) is None


def test_what_is_unknown_has_no_series_and_its_hold_grows() -> None:
    story = RecordedStory()
    story.run(60, rate_rps=40)
    story.metrics_up = False
    metrics = Metrics()
    labels = {"namespace": "team", "kind": "Deployment", "name": "bert"}
    for record in story.record(180):
        metrics.ticked(record, 0.2)
    value = metrics.registry.get_sample_value
    assert value("forescale_workload_offered_inferences_per_second", labels) is None
    held_s = value("forescale_workload_unknown_hold_seconds", labels)
    assert held_s is not None
    assert held_s >= 120.0


async def test_compliance_is_shown_by_the_leader_alone() -> None:
    site = Site()
    accounts, _ = an_hour()
    site.compliance = accounts.compliance()
    (follower,) = await site.get("/debug/slo")
    assert follower.status == 503
    assert "the leader is other" in follower.text
    leader = Site()
    leader.compliance, leader.leadership.leading = accounts.compliance(), True
    (told,) = await leader.get("/debug/slo")
    assert decode(told.text, CompliancePage).workloads == accounts.compliance()
