"""The load driver: due times, no retries, and pods that come and go."""

from __future__ import annotations

import asyncio
import gzip
import time
from pathlib import Path

import pytest
from tritonclient.utils import InferenceServerException

from loadtests.load import request_log
from loadtests.load.driver import Driver, lateness_p99_s
from loadtests.load.profile import Step, arrivals, duration_s, rate_at
from loadtests.load.protocol import Answer, RequestFailed
from loadtests.load.request_log import OK, Request
from loadtests.load.targets import ReadyPods, Server
from loadtests.load.triton import InferenceClient, Inferences


class FakeClient:
    """Answers at once, or fails."""

    def __init__(self, error: Exception | None = None, answer: Answer | None = None) -> None:
        self.error = error
        self.answer = answer or Answer()
        self.asked: list[int] = []

    async def ask(self, number: int) -> Answer:
        self.asked.append(number)
        if self.error is not None:
            raise self.error
        return self.answer

    async def close(self) -> None:
        pass


class FakeTargets:
    """Hands out servers as told; None: there is none."""

    def __init__(self, *servers: Server | None) -> None:
        self.servers = list(servers)
        self.closed = False

    def pick(self) -> Server | None:
        return self.servers.pop(0) if len(self.servers) > 1 else self.servers[0]

    async def close(self) -> None:
        self.closed = True


def server(name: str, client: FakeClient | None = None) -> Server:
    return Server(name=name, client=client or FakeClient())


async def test_latency_counts_from_when_a_request_was_due() -> None:
    targets = FakeTargets(server("a"))
    driver = Driver(targets)
    # The run began two seconds ago: what was due then is late already.
    await driver.run([0.0], started_s=time.time() - 2.0)
    (request,) = driver.requests
    assert request.outcome == OK
    assert request.latency_s is not None
    assert request.latency_s >= 2.0
    assert targets.closed


async def test_a_failure_is_recorded_and_not_tried_again() -> None:
    client = FakeClient(RequestFailed("unavailable"))
    driver = Driver(FakeTargets(server("a", client)))
    await driver.run([0.0])
    (request,) = driver.requests
    assert client.asked == [0]
    assert request.latency_s is None
    assert request.sent_s is not None
    assert request.outcome == "unavailable"


async def test_what_a_stream_tells_is_in_the_record_by_the_same_clock() -> None:
    told = Answer(first_token_s=time.monotonic() + 1.0, tokens=3)
    driver = Driver(FakeTargets(server("a", FakeClient(answer=told))))
    await driver.run([0.0])
    (request,) = driver.requests
    assert request.tokens == 3
    assert request.ttft_s == pytest.approx(1.0, abs=0.5)


async def test_who_does_not_answer_is_given_up_after_the_time_that_was_told() -> None:
    class Silent(FakeClient):
        async def ask(self, number: int) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError

    driver = Driver(FakeTargets(server("a", Silent())), timeout_s=0.01)
    await driver.run([0.0])
    assert driver.requests[0].outcome == "no answer within 0.01 s"


class Infers:
    """As tritonclient's, with an answer that it can't take apart."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def infer(self, model: str, inputs: object) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        pytest.param(InferenceServerException("unavailable"), "unavailable", id="a refusal"),
        pytest.param(ValueError("Parse error at offset 0"), "Parse error", id="a page"),
        pytest.param(KeyError("outputs"), "KeyError", id="half an answer"),
    ],
)
async def test_an_answer_that_can_not_be_read_is_one_failure_and_does_not_end_the_run(
    error: Exception, told: str
) -> None:
    client = InferenceClient(Infers(error), "m", 1)
    driver = Driver(FakeTargets(Server(name="a", client=client)))
    await driver.run([0.0, 0.0])
    assert [told in request.outcome for request in driver.requests] == [True, True]


async def test_a_clock_that_is_set_moves_no_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    hour_back = iter([1e9, *[1e9 - 3600.0] * 9])
    monkeypatch.setattr("loadtests.load.driver.time.time", lambda: next(hour_back))
    driver = Driver(FakeTargets(server("a")))
    await driver.run([0.0, 0.0])
    assert [0.0 <= (request.latency_s or -1.0) < 1.0 for request in driver.requests] == [True, True]


async def test_a_request_waits_for_the_first_server() -> None:
    driver = Driver(FakeTargets(None, server("a")))
    await driver.run([0.0])
    (request,) = driver.requests
    assert (request.server, request.outcome) == ("a", OK)


async def test_pods_are_used_from_ready_on_and_left_out_from_deletion_on() -> None:
    ready = {"a": "127.77.0.2"}
    pods = ReadyPods(lambda: ready, Inferences("m"))
    first = pods.pick()
    assert first is not None
    assert first.name == "a"
    first.outstanding = 3
    ready["b"] = "127.77.0.3"
    second = pods.pick()
    assert second is not None
    assert second.name == "b"
    del ready["b"]
    third = pods.pick()
    assert third is not None
    assert third.name == "a"
    del ready["a"]
    assert pods.pick() is None
    await pods.close()


def test_lateness_is_the_clients_own() -> None:
    on_time = [Request(1.0, 1.001, 1.1, "a", OK)] * 98
    late = [Request(1.0, 1.5, 1.6, "a", OK)] * 2
    assert lateness_p99_s(on_time + late) == pytest.approx(0.5)
    assert lateness_p99_s(on_time) == pytest.approx(0.001)
    assert lateness_p99_s([]) == 0.0


def test_a_profile_in_steps() -> None:
    steps = (Step(duration_s=10.0, rate_rps=100.0), Step(duration_s=5.0, rate_rps=0.0))
    assert (duration_s(steps), rate_at(steps, 9.9), rate_at(steps, 10.0), rate_at(steps, 99.0)) == (
        15.0,
        100.0,
        0.0,
        0.0,
    )
    due = arrivals(steps, seed=1)
    assert due == arrivals(steps, seed=1)
    assert due != arrivals(steps, seed=2)
    assert list(due) == sorted(due)
    assert len(due) == pytest.approx(1000, abs=150)
    assert max(due) < 10.0


def test_a_profile_without_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 500000"):
        arrivals((Step(duration_s=1e6, rate_rps=1e3),), seed=1)


def test_the_log_is_read_back_as_written(tmp_path: Path) -> None:
    requests = [
        Request(2.0, 2.5, 3.0, "a", OK, first_token_s=2.75, tokens=6),
        Request(1.0, None, None, "", "no server"),
    ]
    request_log.write(tmp_path / "log.csv.gz", requests)
    assert request_log.read(tmp_path / "log.csv.gz") == (requests[1], requests[0])


def test_a_log_from_before_answers_streamed_is_read(tmp_path: Path) -> None:
    rows = "due_s,sent_s,done_s,server,outcome,waited\n1.0000,,,,no server,1\n2.0000,2.5000,3.0000,a,ok,0\n"
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress(rows.encode()))
    assert request_log.read(tmp_path / "log.csv.gz") == (
        Request(1.0, None, None, "", "no server", waited=True),
        Request(2.0, 2.5, 3.0, "a", OK),
    )
