"""The control loop as stories: whatever a part does, ticks come on time and nothing is written that may not be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from autoscaler.config import JournalSettings
from autoscaler.controller.checkpoint import pack, unpack
from autoscaler.controller.journal import Journal
from autoscaler.controller.ports import Refused
from autoscaler.controller.process import STUCK_TICKS
from autoscaler.core.settings import EngineConfig
from autoscaler.core.state import EngineState
from autoscaler.core.types import HistoryPoint, ModelProfile, Outcome, ServerProfile, WorkloadId
from autoscaler.errors import (
    ActuationConflict,
    ActuationRejected,
    ActuationUnknown,
    LeadershipLost,
    Problem,
    SourceUnavailable,
)
from autoscaler.rules.controller import INTERVAL, RULES
from autoscaler.simulation.journal_file import files_in, open_journal
from tests.fakes.clock import START_S, settle
from tests.fakes.controller import Disk, FakeController

BERT = WorkloadId(namespace="team", name="bert")


@asynccontextmanager
async def running(controller: FakeController) -> AsyncIterator[FakeController]:
    task = controller.start()
    await settle()
    yield controller
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def ticks(controller: FakeController) -> list[float]:
    """When ticks began, in seconds since the start."""
    return [given.now_s - START_S for given in controller.engine.inputs]


async def test_ticks_come_every_ten_seconds_and_write_what_is_decided() -> None:
    async with running(FakeController()) as c:
        c.engine.targets = {"bert": 5}
        await c.clock.advance(30)
        assert ticks(c) == [0, 10, 20, 30]
        assert c.cluster.replicas == {"bert": 5}
        assert c.actuator.sent == ["bert"]
        (result,) = c.engine.acknowledged[1]
        assert result.outcome is Outcome.APPLIED


async def test_a_prometheus_that_hangs_costs_half_a_tick_and_its_samples() -> None:
    async with running(FakeController()) as c:
        c.measures.delay_s = 1000.0
        await c.clock.advance(30)
        assert ticks(c) == [0, 10, 20]  # the one at 30 still waits for it
        given = c.engine.inputs[-1].workloads[0]
        assert given.samples == ()
        assert given.samples_error == "Prometheus did not answer within 5 s"
        assert c.metric("forescale_source_errors_total", source="prometheus") == 2.0


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SourceUnavailable("503 from Prometheus"), "503 from Prometheus"),
        (KeyError("x"), "metrics source failed: KeyError: 'x'"),
    ],
)
async def test_a_source_that_fails_leaves_a_reason_and_the_tick_goes_on(
    error: Exception, said: str
) -> None:
    async with running(FakeController()) as c:
        c.measures.error = error
        await c.clock.advance(10)
        assert c.engine.inputs[-1].workloads[0].samples_error == said
        assert len(ticks(c)) == 2


async def test_a_broken_watch_is_counted_and_the_ticks_go_on() -> None:
    async with running(FakeController()) as c:
        c.cluster.error = "/api/v1/pods: connection refused"
        await c.clock.advance(20)
        assert c.metric("forescale_source_errors_total", source="kubernetes") == 2.0
        assert len(ticks(c)) == 3


async def test_samples_go_to_the_pods_they_are_of() -> None:
    async with running(FakeController()) as c:
        c.cluster.replicas = {"bert": 2, "llama": 1}
        await c.clock.advance(10)
        given = {w.spec.id.name: w for w in c.engine.inputs[-1].workloads}
        assert [s.pod for s in given["bert"].samples] == ["bert-0", "bert-1"]
        assert [s.pod for s in given["llama"].samples] == ["llama-0"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ActuationConflict("changed"), Outcome.CONFLICT),
        (ActuationRejected("forbidden"), Outcome.REJECTED),
        (ActuationUnknown("no answer"), Outcome.UNKNOWN),
        (SourceUnavailable("503"), Outcome.UNKNOWN),
        (ValueError("a bug"), Outcome.UNKNOWN),
    ],
)
async def test_one_workload_that_fails_does_not_stop_the_others(
    error: Exception, outcome: Outcome
) -> None:
    async with running(FakeController()) as c:
        c.cluster.replicas = {"a": 1, "b": 1, "c": 1}
        c.engine.targets = {"a": 2, "b": 2, "c": 2}
        c.actuator.errors = {"b": error}
        await c.clock.advance(10)
        assert c.cluster.replicas == {"a": 2, "b": 1, "c": 2}
        results = {r.action.workload.name: r.outcome for r in c.engine.acknowledged[-1]}
        assert results == {"a": Outcome.APPLIED, "b": outcome, "c": Outcome.APPLIED}


async def test_a_write_that_hangs_is_unknown_and_the_next_tick_is_on_time() -> None:
    async with running(FakeController()) as c:
        c.cluster.replicas = {"a": 1, "b": 1}
        c.engine.targets = {"a": 2, "b": 2}
        c.actuator.delays_s = {"a": 1000.0}
        await c.clock.advance(25)
        assert ticks(c) == [0, 10, 20]
        results = {r.action.workload.name: r for r in c.engine.acknowledged[1]}
        assert results["a"].outcome is Outcome.UNKNOWN
        assert results["a"].message == "the API server did not answer within 4 s"
        assert results["b"].outcome is Outcome.APPLIED


async def test_what_does_not_fit_into_a_tick_is_not_sent_and_says_so() -> None:
    async with running(FakeController()) as c:
        names = [f"w{i}" for i in range(12)]
        c.cluster.replicas = dict.fromkeys(names, 1)
        c.engine.targets = dict.fromkeys(names, 2)
        c.actuator.delays_s = dict.fromkeys(names, 3.9)  # three at once, three rounds in 9 s
        await c.clock.advance(19.9)
        results = c.engine.acknowledged[1]
        assert [r.outcome for r in results[:6]] == [Outcome.APPLIED] * 6
        assert [r.outcome for r in results[6:9]] == [Outcome.UNKNOWN] * 3
        assert [r.message for r in results[9:]] == ["not sent: the time of the tick was up"] * 3
        assert len(c.actuator.sent) == 9


async def test_a_tick_that_overruns_costs_the_next_its_turn_and_nothing_piles_up() -> None:
    async with running(FakeController()) as c:
        c.gatherer._collect_timeout_s = 23.0
        c.measures.delay_s = 22.0
        await c.clock.advance(10)
        c.measures.delay_s = 0.0
        await c.clock.advance(50)
        assert ticks(c) == [0, 10, 40, 50, 60]
        assert c.metric("forescale_tick_overruns_total") == 2.0


async def test_an_error_in_a_tick_is_counted_and_the_next_goes_on() -> None:
    async with running(FakeController()) as c:
        c.engine.failures = 1
        await c.clock.advance(10)
        assert c.metric("forescale_tick_failures_total") == 1.0
        c.cluster.fault = RuntimeError("cache")
        await c.clock.advance(10)
        c.cluster.fault = None
        c.engine.targets = {"bert": 3}
        await c.clock.advance(10)
        assert c.metric("forescale_tick_failures_total") == 2.0
        assert c.cluster.replicas == {"bert": 3}


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


async def test_what_a_leader_learned_is_taken_over() -> None:
    c = FakeController()
    c.store.data = pack(EngineState(last_now_s=123.0), 130.0)
    async with running(c):
        assert c.engine.restored == EngineState(last_now_s=123.0)


async def test_what_was_learned_is_asked_for_again_where_there_is_no_answer() -> None:
    """A minute later a cold start would have written over it."""
    c = FakeController()
    c.store.data, c.store.silent_loads = pack(EngineState(last_now_s=123.0), 130.0), 2
    async with running(c):
        await c.clock.advance(5)
        assert c.engine.restored == EngineState(last_now_s=123.0)
        assert ticks(c) == [4]


@pytest.mark.parametrize("data", [b"rubbish", pack(EngineState(version=99), 1.0), b""])
async def test_a_checkpoint_that_cannot_be_read_is_counted_and_ignored(data: bytes) -> None:
    c = FakeController()
    c.store.data = data
    async with running(c):
        assert c.engine.restored is None
        assert c.metric("forescale_checkpoint_failures_total") == 1.0
        assert len(ticks(c)) == 1


async def test_a_checkpoint_a_minute_and_failures_are_no_harm() -> None:
    async with running(FakeController()) as c:
        await c.clock.advance(125)
        assert c.store.saves == 2
        assert c.store.data is not None
        assert not unpack(c.store.data).final
        c.store.error = SourceUnavailable("503")
        await c.clock.advance(60)
        assert c.metric("forescale_checkpoint_failures_total") == 1.0
        assert len(ticks(c)) == 19


async def test_a_full_disk_costs_the_journal_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("a file where the folder should be")
    journal = Journal(
        JournalSettings(path=str(tmp_path / "j")), config=EngineConfig(), identity="me"
    )
    async with running(FakeController(journal=journal)) as c:
        c.engine.targets = {"bert": 3}
        await c.clock.advance(20)
        assert c.cluster.replicas == {"bert": 3}
        assert c.metric("forescale_journal_writable") == 0.0
        assert (c.metric("forescale_journal_failures_total") or 0.0) >= 3.0
        (tmp_path / "j").unlink()
        await c.clock.advance(20)
        assert c.metric("forescale_journal_writable") == 1.0
        assert len(files_in(tmp_path / "j")) == 1


async def test_a_disk_that_hangs_costs_the_journal_and_nothing_else(tmp_path: Path) -> None:
    """A volume over the network whose server has gone: no error, no answer."""
    disk = Disk()
    journal = Journal(JournalSettings(path=str(tmp_path)), config=EngineConfig(), identity="me")
    async with running(FakeController(journal=journal, disk=disk)) as c:
        await c.clock.advance(10)
        disk.answers.clear()
        begun = disk.begun
        c.engine.targets = {"bert": 3}
        await c.clock.advance(40)
        assert ticks(c) == [0, 10, 20, 30, 40, 50]
        assert c.cluster.replicas == {"bert": 3}
        assert disk.begun == begun + 1  # nothing piles up behind it
        assert c.metric("forescale_journal_writable") == 0.0
        assert c.metric("forescale_journal_failures_total") == 4.0
        disk.answers.set()
        await c.clock.advance(20)
        assert c.metric("forescale_journal_writable") == 1.0
    # With a gap, neither replays as one file.
    lengths = []
    for path in files_in(tmp_path):
        with open_journal(path) as file:
            lengths.append(len(list(file.records())))
    assert lengths == [3, 1]


async def test_a_disk_that_hangs_from_the_start_does_not_keep_the_lead_without_a_tick(
    tmp_path: Path,
) -> None:
    disk = Disk()
    disk.answers.clear()
    journal = Journal(JournalSettings(path=str(tmp_path)), config=EngineConfig(), identity="me")
    async with running(FakeController(journal=journal, disk=disk)) as c:
        await c.clock.advance(30)
        assert ticks(c) == [5, 15, 25]


async def test_a_leader_that_never_comes_to_its_first_tick_shows_in_liveness() -> None:
    c = FakeController()

    async def hangs() -> None:
        await asyncio.Event().wait()

    c.process.archive.begin = hangs  # type: ignore[method-assign]
    async with running(c):
        await c.clock.advance(61)
        assert c.process.stuck() == "no tick has begun or ended for 61 s, expected one every 10 s"


async def test_history_is_asked_for_once_and_handed_over_once() -> None:
    c = FakeController()
    c.measures.history = {BERT: (HistoryPoint(minute_s=60.0, offered_rps=3.0),)}
    async with running(c):
        await c.clock.advance(30)
        assert c.measures.history_asked == [("bert",)]
        given = [len(t.workloads[0].backfill) for t in c.engine.inputs]
        assert given == [0, 1, 0, 0]
        c.cluster.replicas["llama"] = 1
        await c.clock.advance(20)
        assert c.measures.history_asked == [("bert",), ("llama",)]


@pytest.mark.parametrize("error", [SourceUnavailable("503"), KeyError("values")])
async def test_history_that_fails_is_asked_for_again_minutes_later(error: Exception) -> None:
    c = FakeController()
    c.measures.history_error = error
    async with running(c):
        await c.clock.advance(290)
        assert len(c.measures.history_asked) == 1
        await c.clock.advance(20)
        assert len(c.measures.history_asked) == 2


async def test_each_profile_is_handed_over_once() -> None:
    async with running(FakeController()) as c:
        profile = ServerProfile(
            pod="bert-0", template_hash="h", sampled_at_s=1.0, models=(ModelProfile(model="m"),)
        )
        c.profiles.fresh = {BERT: (profile,)}
        await c.clock.advance(20)
        assert [t.workloads[0].profiles for t in c.engine.inputs[1:]] == [(profile,), ()]


async def test_a_freeze_reaches_the_engine() -> None:
    async with running(FakeController()) as c:
        c.frozen = "incident 12"
        await c.clock.advance(10)
        assert c.engine.inputs[-1].frozen == "incident 12"
        assert c.metric("forescale_fleet_frozen") == 1.0


async def test_a_clock_that_steps_back_is_passed_on_and_ticks_stay_on_the_grid() -> None:
    async with running(FakeController()) as c:
        await c.clock.advance(10)
        c.clock.wall_s -= 3600.0
        await c.clock.advance(20)
        assert ticks(c) == [0, 10, 20 - 3600, 30 - 3600]


async def test_changes_and_refusals_become_events() -> None:
    async with running(FakeController()) as c:
        c.cluster.refused = (
            Refused(
                workload=WorkloadId(namespace="team", name="odd"),
                api_version="apps/v1",
                problems=(Problem("forescale.io/slo", "'fast'", "must be like p95 < 200ms"),),
            ),
        )
        c.engine.targets = {"bert": 3}
        await c.clock.advance(50)
        assert [(n.workload.name, n.reason, n.message) for n in c.events.notes] == [
            ("bert", "DemandRising", "Scaled from 2 to 3 replicas: as told"),
            ("odd", "InvalidAnnotation", "forescale.io/slo: 'fast', must be like p95 < 200ms"),
        ]
        await c.clock.advance(3600)
        assert [n.workload.name for n in c.events.notes] == ["bert", "odd", "odd"]
        assert c.metric("forescale_fleet_refused_workloads") == 1.0


async def test_a_write_that_is_refused_in_every_tick_is_told_once_an_hour() -> None:
    async with running(FakeController()) as c:
        c.engine.targets = {"bert": 3}
        c.actuator.errors = {"bert": ActuationRejected("status 403: forbidden")}
        await c.clock.advance(3500)
        told = ("ScaleRejected", "Not scaled from 2 to 3 replicas: status 403: forbidden")
        assert [(n.reason, n.message) for n in c.events.notes] == [told]
        assert len(c.actuator.sent) == 350
        await c.clock.advance(200)
        assert [n.reason for n in c.events.notes] == ["ScaleRejected"] * 2
        c.actuator.errors = {}
        await c.clock.advance(10)
        assert c.events.notes[-1].message == "Scaled from 2 to 3 replicas: as told"


async def test_a_fleet_that_may_not_be_written_is_one_line_a_tick(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(FakeController()) as c:
        names = [f"w{i}" for i in range(7)]
        c.cluster.replicas = dict.fromkeys(names, 1)
        c.engine.targets = dict.fromkeys(names, 2)
        c.actuator.errors = dict.fromkeys(names, ActuationRejected("status 403: forbidden"))
        with caplog.at_level("WARNING", logger="autoscaler.controller"):
            await c.clock.advance(30)
        lines = [line for line in caplog.records if line.msg == "actions not carried out"]
        told = [(vars(line)["about"], vars(line)["error"]) for line in lines]
        some = "team/w0, team/w1, team/w2, team/w3, team/w4 and 2 more"
        assert told == [(some, "status 403: forbidden")] * 3


async def test_an_event_that_cannot_be_written_is_counted() -> None:
    async with running(FakeController()) as c:
        c.events.error = SourceUnavailable("503")
        c.engine.targets = {"bert": 3}
        await c.clock.advance(20)
        assert c.metric("forescale_events_dropped_total") == 1.0
        assert c.cluster.replicas == {"bert": 3}


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
    assert f"> {STUCK_TICKS:g} * max({INTERVAL}) + {probed_s():g} and" in rule.expr
    assert FakeController(tick_s=25.0).metric(INTERVAL) == 25.0


def probed_s() -> float:
    """How long a failing /livez is probed before the pod is restarted."""
    text = (Path(__file__).parents[2] / "deploy/kustomize/base/deployment.yaml").read_text()
    (container,) = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"]
    probe = container["livenessProbe"]
    return float(probe["periodSeconds"] * probe["failureThreshold"])
