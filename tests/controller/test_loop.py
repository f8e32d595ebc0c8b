"""The control loop as stories: whatever a part does, ticks come on time and nothing is written that may not be."""

from __future__ import annotations

import pytest

from autoscaler.controller.ports import Refused
from autoscaler.core.types import HistoryPoint, ModelProfile, Outcome, ServerProfile, WorkloadId
from autoscaler.errors import (
    ActuationConflict,
    ActuationRejected,
    ActuationUnknown,
    Problem,
    SourceUnavailable,
)
from tests.controller.running import running, ticks
from tests.fakes.clock import START_S
from tests.fakes.controller import FakeController

BERT = WorkloadId(namespace="team", name="bert")


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


async def test_workloads_behind_a_webhook_that_hangs_hold_no_others_up() -> None:
    """On a real API server 24 of them took every tick's time: three at once here, 4 s each, and nine seconds."""
    async with running(FakeController()) as c:
        hung = [f"a{i:02}" for i in range(12)]
        c.cluster.replicas = dict.fromkeys([*hung, "well"], 1)
        c.engine.targets = dict.fromkeys(hung, 2)
        c.actuator.delays_s = dict.fromkeys(hung, 30.0)
        await c.clock.advance(19.9)
        c.engine.targets["well"] = 2
        c.actuator.sent.clear()
        # Three that were not sent yet hang for the first time; nobody knew.
        await c.clock.advance(4.2)
        assert c.cluster.replicas["well"] == 2
        # Then the others, in half of the time that is left: what is written after them has the rest.
        await c.clock.advance(5.0)
        assert c.actuator.sent == ["a09", "a10", "a11", "well", *hung[:3]]
        c.actuator.sent.clear()
        c.engine.targets["well"] = 3
        await c.clock.advance(1.0)
        assert c.cluster.replicas["well"] == 3
        # Those that were not sent come first among them.
        await c.clock.advance(8.0)
        assert c.actuator.sent == ["well", *hung[3:9]]
        # Once the webhook answers all are written.
        c.actuator.delays_s = {}
        await c.clock.advance(10.0)
        assert c.cluster.replicas == {**dict.fromkeys(hung, 2), "well": 3}


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


async def test_history_is_asked_for_again_after_a_clock_that_was_ahead() -> None:
    """Minutes that had not come were written over it."""
    async with running(FakeController()) as c:
        await c.clock.advance(30)
        c.clock.wall_s -= 3600.0
        await c.clock.advance(30)
        assert c.measures.history_asked == [("bert",)] * 2


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


async def test_a_fleet_that_may_not_be_written_is_one_line_until_it_may(
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
        assert told == [(some, "status 403: forbidden")]


async def test_an_event_that_may_not_be_written_is_counted() -> None:
    async with running(FakeController()) as c:
        c.events.error = ActuationRejected("events is forbidden")
        c.engine.targets = {"bert": 3}
        await c.clock.advance(20)
        assert c.metric("forescale_events_dropped_total") == 1.0
        assert c.cluster.replicas == {"bert": 3}


async def test_an_event_that_the_api_server_has_no_time_for_is_written_later_and_once() -> None:
    """A refused write is told once an hour: lost with a 429 it would not be told at all."""
    async with running(FakeController()) as c:
        c.events.error = ActuationUnknown("status 429", retry_after_s=4.0)
        c.engine.targets = {"bert": 3}
        await c.clock.advance(300)
        assert c.cluster.replicas == {"bert": 3}
        # After 4, 4, 5, 10, and then each 30 s.
        assert c.events.refused == 13
        c.events.error = None
        await c.clock.advance(30)
        assert [note.message for note in c.events.notes] == ["Scaled from 2 to 3 replicas: as told"]
        assert c.events.times_s == [START_S + 10.0]
        assert c.metric("forescale_events_dropped_total") == 0.0
        await c.clock.advance(60)
        assert len(c.events.notes) == 1


async def test_an_event_whose_answer_was_lost_is_not_written_twice() -> None:
    async with running(FakeController()) as c:
        c.events.error = ActuationUnknown("no answer in time")
        c.engine.targets = {"bert": 3}
        await c.clock.advance(10)
        c.events.error = ActuationConflict("already exists")
        await c.clock.advance(60)
        assert c.events.refused == 2
        assert c.metric("forescale_events_dropped_total") == 0.0


async def test_events_in_a_namespace_that_is_being_deleted_are_no_news(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(FakeController()) as c:
        c.events.error = ActuationRejected(
            'POST /api/v1/namespaces/team/events: status 403: events "bert.af98" is forbidden: unable to '
            "create new content in namespace team because it is being terminated"
        )
        c.engine.targets = {"bert": 3}
        await c.clock.advance(60)
        assert c.metric("forescale_events_dropped_total") == 1.0
        assert not [r for r in caplog.records if r.message == "event not written"]


async def test_an_event_that_is_refused_for_a_quarter_of_an_hour_is_given_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(FakeController()) as c:
        c.events.error = ActuationUnknown("status 429")
        c.engine.targets = {"bert": 3}
        await c.clock.advance(1000)
        assert c.metric("forescale_events_dropped_total") == 1.0
        (line,) = [r for r in caplog.records if r.message == "event not written"]
        assert vars(line)["told"] == "Scaled from 2 to 3 replicas: as told"
