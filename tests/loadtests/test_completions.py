"""Streamed completions: what a stream tells, and each way in which one can go wrong."""

from __future__ import annotations

import asyncio
import errno
import json
import math
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectorError

from loadtests.engines.server import app
from loadtests.engines.vllm import Engine, Speed
from loadtests.load import request_log
from loadtests.load.__main__ import main
from loadtests.load.completions import Completions
from loadtests.load.driver import Driver
from loadtests.load.events import LONGEST_EVENT, Completion, Events
from loadtests.load.protocol import Answer, RequestFailed
from loadtests.load.request_log import OK, Request
from loadtests.load.served import check
from loadtests.load.targets import ReadyPods
from tests.controller.doctor.test_examine import kubeconfig
from tests.fakes.cluster_api import ClusterApi, put_pods
from tests.fakes.completions_http import (
    LAST,
    TOKEN,
    WHOLE,
    FakeCompletions,
    serving,
    stream,
    usage,
)
from tests.fakes.http import listening


def asks(requests: int = 1, **changed: Any) -> Completions:
    given = {"prompt_tokens": [4] * requests, "answer_tokens": [3] * requests, "model": "m"}
    return Completions(**(given | changed))


def read(*pieces: bytes) -> Answer:
    """An answer whose n-th piece comes at second n."""
    events, completion = Events(), Completion()
    for at_s, piece in enumerate(pieces, 1):
        for data in events.feed(piece):
            completion.take(data, float(at_s))
    return completion.answer()


EMPTY = '{"choices": [{"index": 0, "text": "", "finish_reason": null}]}'
TWO = '{"choices": [{"index": 0, "text": " a b", "finish_reason": "length"}]}'
RUNNING = '{"choices": [{"index": 0, "text": " a"}], "usage": {"completion_tokens": 1}}'


@pytest.mark.parametrize(
    ("pieces", "answer"),
    [
        pytest.param([WHOLE], Answer(1.0, 3), id="all at once"),
        pytest.param(
            [WHOLE[n : n + 1] for n in range(len(WHOLE))],
            Answer(float(len(stream(TOKEN))), 3),
            id="byte by byte",
        ),
        pytest.param(
            [stream(TOKEN), stream(TWO, usage(3)), stream("[DONE]")],
            Answer(1.0, 3),
            id="several tokens in an event",
        ),
        pytest.param([stream(EMPTY), stream(LAST, usage(2), "[DONE]")], Answer(1.0, 2), id="half"),
        pytest.param([stream(TOKEN, "[DONE]")], Answer(1.0, None), id="no usage"),
        pytest.param(
            [stream(RUNNING, TOKEN, usage(2), "[DONE]")], Answer(1.0, 2), id="usage all along"
        ),
        pytest.param([stream(LAST, usage(1), "[DONE]")], Answer(1.0, 1), id="one token"),
        pytest.param([WHOLE.replace(b"\n", b"\r\n")], Answer(1.0, 3), id="CRLF"),
        pytest.param(
            [b": ping\n\nevent: x\nid: 1\n\n", WHOLE], Answer(2.0, 3), id="what keeps it alive"
        ),
        pytest.param([WHOLE.replace(b"data: ", b"data:")], Answer(1.0, 3), id="no space"),
        pytest.param(
            [stream(TOKEN).replace(b", ", b",\ndata: "), stream(usage(1), "[DONE]")],
            Answer(1.0, 1),
            id="an event in lines",
        ),
    ],
)
def test_what_a_stream_tells(pieces: list[bytes], answer: Answer) -> None:
    assert read(*pieces) == answer


@pytest.mark.parametrize(
    ("pieces", "says"),
    [
        pytest.param([stream(TOKEN, usage(1))], "without [DONE]", id="no end"),
        pytest.param([stream(TOKEN), WHOLE[:-1]], "without [DONE]", id="an end without an end"),
        pytest.param([], "without [DONE]", id="nothing at all"),
        pytest.param([stream("[DONE]")], "no tokens", id="an end alone"),
        pytest.param([stream(usage(0), "[DONE]")], "no tokens", id="none are counted"),
        pytest.param(
            [stream(TOKEN, '{"error": {"message": "out of\\n memory", "code": 500}}', "[DONE]")],
            "error: out of memory",
            id="an error event",
        ),
        pytest.param(
            [stream('{"error": "overloaded", "error_type": "overloaded"}')],
            "error: overloaded",
            id="an error in a word",
        ),
        pytest.param(
            [stream('{"object": "error", "message": "too long", "code": 400}', "[DONE]")],
            "error: too long",
            id="an error as older ones told it",
        ),
        pytest.param(
            [stream(TOKEN.replace("null", '"abort"'), usage(1), "[DONE]")],
            "gave it up: finish_reason abort",
            id="given up",
        ),
        pytest.param([stream("hello", "[DONE]")], "can't be read", id="not JSON"),
        pytest.param([stream('{"choices": 3}', "[DONE]")], "can't be read", id="another shape"),
        pytest.param([b"data: \xff\n\n"], "can't be read", id="not text"),
        pytest.param(
            [b"data: " + b"x" * LONGEST_EVENT], f"more than {LONGEST_EVENT} bytes", id="no line"
        ),
        pytest.param([b"data: xy\n" * LONGEST_EVENT], "more than", id="lines without an end"),
    ],
)
def test_what_goes_wrong_within_a_stream(pieces: list[bytes], says: str) -> None:
    with pytest.raises(RequestFailed) as caught:
        read(*pieces)
    assert says in str(caught.value)


async def outcome(fake: FakeCompletions) -> str:
    async with serving(fake):
        client = asks().connect(fake.address)
        try:
            await client.ask(0)
        except RequestFailed as failure:
            return str(failure)
        finally:
            await client.close()
    return OK


@pytest.mark.parametrize(
    ("fake", "says"),
    [
        pytest.param(FakeCompletions(), OK, id="well"),
        pytest.param(
            FakeCompletions(status=400, pieces=(b'{"error": {"message": "too long"}}',)),
            "400: too long",
            id="refused",
        ),
        pytest.param(
            FakeCompletions(status=404, pieces=(b'{"object": "error", "message": "no x"}',)),
            "404: no x",
            id="a model that is not there",
        ),
        pytest.param(
            FakeCompletions(status=422, pieces=(b'{"detail": [{"msg": "needed"}]}',)),
            "422: [{'msg': 'needed'}]",
            id="a field that is not there",
        ),
        pytest.param(FakeCompletions(status=500, pieces=()), "500: Internal Server Error", id="5xx"),
        pytest.param(
            FakeCompletions(status=503, pieces=(b"no healthy upstream",)),
            "503: no healthy upstream",
            id="a proxy's word",
        ),
        pytest.param(
            FakeCompletions(status=502, pieces=(b"<html>Bad</html>",)),
            "502: Bad Gateway",
            id="a proxy's page",
        ),
        pytest.param(
            FakeCompletions(content_type="application/json", pieces=(b"{}",)),
            "not a stream, but application/json",
            id="an answer that comes whole",
        ),
        pytest.param(
            FakeCompletions(pieces=(stream(TOKEN),), cut=True),
            "cut: the connection ended within the stream",
            id="cut",
        ),
        pytest.param(
            FakeCompletions(pieces=(stream(TOKEN),)), "cut: the stream ended without [DONE]", id="short"
        ),
    ],
)  # fmt: skip
async def test_over_http(fake: FakeCompletions, says: str) -> None:
    assert await outcome(fake) == says


async def test_nobody_listens() -> None:
    client = asks().connect("127.0.0.1:9")
    with pytest.raises(RequestFailed, match="ClientConnectorError"):
        await client.ask(0)
    await client.close()


async def test_a_client_that_may_open_no_more_files_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = asks().connect("127.0.0.1:9")

    def refused(*_given: object, **_named: object) -> None:
        error = OSError(errno.EMFILE, "Too many open files")
        raise ClientConnectorError(client._session, error)  # type: ignore[arg-type]

    monkeypatch.setattr(client._session, "post", refused)
    with pytest.raises(RequestFailed, match="ulimit -n"):
        await client.ask(0)
    await client.close()


async def test_what_is_sent() -> None:
    async with serving(FakeCompletions()) as fake:
        client = asks(2, prompt_tokens=[4, 6], answer_tokens=[3, 5], key="k").connect(fake.address)
        await client.ask(1)
        await client.ask(0)
        await client.close()
    long, short = fake.asked
    assert [(len(one["prompt"]), one["max_tokens"]) for one in (short, long)] == [(4, 3), (6, 5)]
    assert all(1_000 <= token < 30_000 for token in long["prompt"])
    assert short["prompt"] != long["prompt"][:4], "no cache of prefixes may know it"
    del short["prompt"]
    assert short == {
        "model": "m",
        "max_tokens": 3,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert fake.keys == ["Bearer k", "Bearer k"]
    assert len(fake.peers) == 2, "a connection of its own each"


def test_prompts_are_the_seeds() -> None:
    assert asks(seed=1).body(0) == asks(seed=1).body(0)
    assert asks(seed=1).body(0) != asks(seed=2).body(0)


async def test_the_record_of_a_run_has_what_the_streams_told() -> None:
    async with serving(FakeCompletions()) as fake:
        host, port = fake.address.split(":")
        targets = ReadyPods(lambda: {"a": host}, asks(2), port=int(port))
        driver = Driver(targets)
        await driver.run([0.0, 0.0])
    assert [(r.outcome, r.tokens) for r in driver.requests] == [(OK, 3), (OK, 3)]
    for request in driver.requests:
        assert request.ttft_s is not None
        assert request.latency_s is not None
        assert request.tpot_s is not None
        assert 0.0 < request.ttft_s <= request.latency_s
        assert request.tpot_s * 2 == pytest.approx(request.latency_s - request.ttft_s)


async def test_the_stand_in_counts_what_the_client_counts() -> None:
    engine = Engine(Speed(base_s=0.001, each_s=0.0, prefill_s=0.0), model="m")
    asked = asks(20, prompt_tokens=[7] * 20, answer_tokens=[1, 2, 3, 4] * 5)
    async with listening(app(engine, model="m"), handler_cancellation=True) as port:
        await check(f"127.0.0.1:{port}", asked)
        driver = Driver(ReadyPods(lambda: {"a": "127.0.0.1"}, asked, port=port))
        await driver.run([0.001 * number for number in range(20)])
    told = {
        name: engine.metrics.registry.get_sample_value(name, {"model_name": "m", "engine": "0"})
        for name in (
            "vllm:prompt_tokens_total",
            "vllm:generation_tokens_total",
            "vllm:time_to_first_token_seconds_count",
            "vllm:time_to_first_token_seconds_sum",
            "vllm:request_time_per_output_token_seconds_count",
        )
    }
    assert [r.outcome for r in driver.requests] == [OK] * 20
    first_s = [r.first_token_s - r.due_s for r in driver.requests if r.first_token_s is not None]
    assert list(told.values()) == [
        140.0,
        sum(r.tokens or 0 for r in driver.requests),
        20.0,
        told["vllm:time_to_first_token_seconds_sum"],
        sum(r.tpot_s is not None for r in driver.requests),
    ]
    # The way there and back is in the client's alone.
    assert (told["vllm:time_to_first_token_seconds_sum"] or math.inf) < sum(first_s)


async def test_a_run_by_its_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log.csv.gz"
    async with serving(FakeCompletions()) as fake:
        arguments = f"--protocol=openai --address={fake.address} --model=m --load=100x0.2 --json --log={log}"
        limits = ["--threshold=ttft: p(95) < 9s", "--threshold=tpot: max < 1ms"]
        # In a thread, where it has an event loop of its own.
        code = await asyncio.to_thread(main, [*arguments.split(), "--answer-tokens=3", *limits])
    shown = json.loads(capsys.readouterr().out)
    requests = request_log.read(log)
    assert shown["requests"] == len(requests) > 0
    assert shown["failed"] == 0
    assert shown["tokens"] == 3 * len(requests)
    assert [one["text"] for one in shown["thresholds"]] == ["ttft: p(95) < 9s", "tpot: max < 1ms"]
    # How late the client was, and how fast the tokens came, is the machine's.
    assert code in (0, 1, 99)
    assert {r.tokens for r in requests} == {3}


async def test_the_ready_pods_of_a_deployment_are_loaded_at_their_port(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api = ClusterApi()
    for name in ("chat-h1", "chat-large-h1"):
        put_pods(api, name, 1)
        pod = api.objects[f"/api/v1/namespaces/team/pods/{name}-0"]
        pod["status"]["podIP"] = "127.0.0.1"
    async with api.serving(), serving(FakeCompletions()) as fake:
        where = f"--kubeconfig={kubeconfig(tmp_path, api.url)} --namespace=team --deployment=chat --model=m"
        what = f"--port={fake.address.split(':')[1]} --protocol=openai --load=100x0.1"
        log = tmp_path / "log.csv.gz"
        await asyncio.to_thread(main, [*where.split(), *what.split(), f"--log={log}"])
    assert "failed" in capsys.readouterr().out
    assert {(r.server, r.outcome) for r in request_log.read(log)} == {("chat-h1-0", OK)}


@pytest.mark.parametrize(
    ("pieces", "says"),
    [
        pytest.param((stream(TOKEN, "[DONE]"),), "answers told no usage", id="no usage"),
        pytest.param((WHOLE,), "answers had 3 tokens in the mean, 9 were asked for", id="short"),
    ],
)
async def test_what_makes_the_figures_other_than_they_seem_is_told(
    pieces: tuple[bytes, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(FakeCompletions(pieces=pieces)) as fake:
        arguments = f"--protocol=openai --address={fake.address} --model=m --load=100x0.1"
        lengths = ["--answer-tokens=9", "--answer-cv=0"]
        await asyncio.to_thread(main, [*arguments.split(), *lengths])
    assert says in capsys.readouterr().err


async def test_streams_that_wait_hold_nothing_up() -> None:
    """Forty of them, none of which is answered before all have been sent: in an open loop they are."""
    all_here = asyncio.Event()

    class Patient(FakeCompletions):
        async def complete(self, request: Any) -> Any:
            self.asked.append({})
            if len(self.asked) == 40:
                all_here.set()
            await all_here.wait()
            return await FakeCompletions.complete(self, request)

    async with serving(Patient()) as fake:
        host, port = fake.address.split(":")
        driver = Driver(ReadyPods(lambda: {"a": host}, asks(40), port=int(port)))
        await driver.run([0.0] * 40)
    assert [r.outcome for r in driver.requests] == [OK] * 40


def test_an_answer_whose_tokens_nobody_counted_keeps_no_limit() -> None:
    request = Request(1.0, 1.0, 2.0, "a", OK, first_token_s=1.5, tokens=None)
    assert request.ttft_s == 0.5
    assert request.tpot_s == math.inf
