"""From a start to an end as stories: who leads, who stops how, what is begun again, and what says that one is stuck."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from autoscaler.config import JournalSettings
from autoscaler.controller.checkpoint import pack, unpack
from autoscaler.controller.journal import Journal
from autoscaler.controller.process import STUCK_TICKS
from autoscaler.core.settings import EngineConfig
from autoscaler.core.state import EngineState
from autoscaler.errors import LeadershipLost
from autoscaler.rules.controller import INTERVAL, RULES
from autoscaler.simulation.journal_file import open_journal
from tests.controller.running import running, ticks
from tests.fakes.clock import settle
from tests.fakes.controller import FakeController


async def test_leadership_lost_in_mid_tick_ends_all_writing() -> None:
    c = FakeController()
    task = c.start()
    await settle()
    names = [f"w{i}" for i in range(9)]
    c.cluster.replicas = dict.fromkeys(names, 1)
    c.engine.targets = dict.fromkeys(names, 2)
    c.actuator.delays_s = dict.fromkeys(names, 1.0)
    await c.clock.advance(11.0)  # the first three are written
    sent, saves = list(c.actuator.sent), c.store.saves
    c.leadership.lose()
    await c.clock.advance(120)
    with pytest.raises(LeadershipLost):
        await task
    assert sum(replicas == 2 for replicas in c.cluster.replicas.values()) == 3
    assert c.actuator.sent == sent
    assert c.store.saves == saves
    assert not c.leadership.released
    assert len(c.events.notes) == 0


async def test_leadership_is_checked_right_before_each_write() -> None:
    """The lease runs out between two writes of one plan, before anybody has told the loop."""
    async with running(FakeController()) as c:
        names = [f"w{i}" for i in range(9)]
        c.cluster.replicas = dict.fromkeys(names, 1)
        c.engine.targets = dict.fromkeys(names, 2)
        written = []

        def expire() -> None:
            written.append(1)
            if len(written) == 4:
                c.leadership.leading = False

        c.actuator.before_write = expire
        await c.clock.advance(10)
        assert len(c.actuator.sent) <= 6  # those that were sent together with the fourth


async def test_a_follower_does_not_tick() -> None:
    c = FakeController()
    c.leadership.free.clear()
    async with running(c):
        await c.clock.advance(60)
        assert ticks(c) == []
        c.leadership.free.set()
        await c.clock.advance(0)
        assert ticks(c) == [60]


async def test_what_ends_the_wait_for_the_lease_is_what_ends_the_process() -> None:
    c = FakeController()

    async def fails() -> None:
        raise ValueError("token file is empty")

    c.leadership.acquire = fails  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="token file is empty"):
        await c.process.run(c.stop)


async def test_nothing_is_decided_before_everything_is_listed() -> None:
    c = FakeController()
    c.cluster.synced = False
    async with running(c):
        await c.clock.advance(30)
        assert not c.leadership.leading
        told = "not everything is listed from Kubernetes yet"
        assert c.process.not_ready() == told
        c.cluster.error = "/api/v1/pods: status 403"
        assert c.process.not_ready() == f"{told}: /api/v1/pods: status 403"
        c.cluster.error = None
        c.cluster.synced = True
        await c.clock.advance(1)
        assert len(ticks(c)) == 1
        assert c.process.not_ready() is None


async def test_a_clean_stop_finishes_saves_and_gives_the_lease_back(tmp_path: Path) -> None:
    journal = Journal(JournalSettings(path=str(tmp_path)), config=EngineConfig(), identity="me")
    c = FakeController(journal=journal)
    task = c.start()
    await settle()
    c.engine.targets = {"bert": 4}
    c.actuator.delays_s = {"bert": 2.0}
    await c.clock.advance(11)
    c.stop.set()  # in the middle of a write
    await c.clock.advance(3)
    await task
    assert c.cluster.replicas == {"bert": 4}
    assert c.leadership.released
    assert c.store.saves == 1
    assert c.store.data is not None
    assert unpack(c.store.data).final
    assert [note.message for note in c.events.notes] == ["Scaled from 2 to 4 replicas: as told"]
    with open_journal(tmp_path) as file:
        assert len(list(file.records())) == 2


async def test_a_stop_before_the_first_tick_leaves_what_is_stored() -> None:
    """It could not be read, and a cold start has nothing that would be worth its place."""
    c = FakeController()
    c.store.data, c.store.silent_loads = pack(EngineState(last_now_s=123.0), 130.0), 3
    stored = c.store.data
    task = c.start()
    await c.clock.advance(2)
    c.stop.set()
    await c.clock.advance(10)
    await task
    assert (ticks(c), c.store.saves, c.store.data) == ([], 0, stored)
    assert c.leadership.released


async def test_a_follower_stops_at_once() -> None:
    c = FakeController()
    c.leadership.free.clear()
    task = c.start()
    await c.clock.advance(5)
    c.stop.set()
    await settle()
    assert task.done()
    assert c.store.saves == 0


async def test_a_background_job_that_fails_is_begun_again() -> None:
    c = FakeController()
    begun = []

    async def fails() -> None:
        begun.append(c.clock.mono_s)
        await c.clock.sleep(15.0)
        raise RuntimeError("watch ended")

    object.__setattr__(c.process, "jobs", {"watch": fails})
    async with running(c):
        await c.clock.advance(45)
        assert begun == [0.0, 20.0, 40.0]
        assert len(ticks(c)) == 5


async def test_a_leader_that_never_comes_to_its_first_tick_shows_in_liveness() -> None:
    c = FakeController()

    async def hangs() -> None:
        await asyncio.Event().wait()

    c.process.archive.begin = hangs  # type: ignore[method-assign]
    async with running(c):
        await c.clock.advance(61)
        assert c.process.stuck() == "no tick has begun or ended for 61 s, expected one every 10 s"


async def test_a_stuck_tick_shows_in_liveness() -> None:
    async with running(FakeController()) as c:
        c.gatherer._collect_timeout_s = 1e6
        c.measures.delay_s = 1e6
        await c.clock.advance(69)
        assert c.process.stuck() is None
        await c.clock.advance(2)
        assert c.process.stuck() == "no tick has begun or ended for 61 s, expected one every 10 s"


async def test_the_interval_is_told_and_the_alert_waits_for_what_liveness_does() -> None:
    (rule,) = [rule for rule in RULES if rule.alert == "ForescaleNotTicking"]
    assert f"> {STUCK_TICKS:g} * max by (job) ({INTERVAL}) + {probed_s():g} and" in rule.expr
    assert FakeController(tick_s=25.0).metric(INTERVAL) == 25.0


def probed_s() -> float:
    """How long a failing /livez is probed before the pod is restarted."""
    text = (Path(__file__).parents[2] / "deploy/kustomize/base/deployment.yaml").read_text()
    (container,) = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"]
    probe = container["livenessProbe"]
    return float(probe["periodSeconds"] * probe["failureThreshold"])
