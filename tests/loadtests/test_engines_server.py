"""The vLLM stand-in over HTTP: what it serves is what the real one would, and its metrics are of that."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from loadtests.engines.server import app
from loadtests.engines.vllm import Engine, Speed
from tests.fakes.http import listening

# A step of a millisecond: an answer of five tokens is there in ten.
QUICK = Speed(base_s=0.001, each_s=0.0, prefill_s=0.0, max_sequences=1, cache_tokens=10_000)


@asynccontextmanager
async def engine() -> AsyncIterator[tuple[Engine, aiohttp.ClientSession]]:
    served = Engine(QUICK, model="m")
    async with listening(app(served, model="m"), handler_cancellation=True) as port:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            yield served, session


def count(served: Engine, name: str, **labels: str) -> float:
    labels = {"model_name": "m", "engine": "0", **labels}
    return served.metrics.registry.get_sample_value(name, labels) or 0.0


async def test_a_stream_has_an_event_for_each_token_then_usage_then_its_end() -> None:
    asked = {"model": "m", "prompt": [11, 12, 13], "max_tokens": 5, "stream": True}
    async with engine() as (served, session):
        body = asked | {"stream_options": {"include_usage": True}}
        async with session.post("/v1/completions", json=body) as response:
            assert response.content_type == "text/event-stream"
            text = await response.text()
        *events, done, rest = text.split("\n\n")
        told = [json.loads(event.removeprefix("data: ")) for event in events]
        assert (done, rest) == ("data: [DONE]", "")
        assert told[-1]["choices"] == []
        assert told[-1]["usage"] == {
            "prompt_tokens": 3,
            "completion_tokens": 5,
            "total_tokens": 8,
        }
        words = "".join(event["choices"][0]["text"] for event in told[:-1])
        assert words.split() == ["word"] * 5
        assert [event["choices"][0]["finish_reason"] for event in told[:-1]][-1] == "stop"
        assert count(served, "vllm:generation_tokens_total") == 5
        assert count(served, "vllm:request_success_total", finished_reason="stop") == 1


async def test_no_usage_unless_it_is_asked_for() -> None:
    body = {"prompt": "a few words", "max_tokens": 2, "stream": True}
    async with engine() as (_, session):
        async with session.post("/v1/completions", json=body) as response:
            assert "usage" not in await response.text()


async def test_whole_answers_are_as_before() -> None:
    async with engine() as (_, session):
        body = {"prompt": "a few words", "max_tokens": 2}
        async with session.post("/v1/completions", json=body) as response:
            told = await response.json()
        assert told["choices"][0]["text"].split() == ["word", "word"]
        assert told["usage"]["prompt_tokens"] == 3


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        pytest.param({"model": "x", "prompt": "a"}, 404, "`x` does not exist", id="model"),
        pytest.param({"prompt": "a", "max_tokens": 0}, 400, "at least 1", id="no tokens"),
        pytest.param({"prompt": [1] * 9_999, "max_tokens": 2}, 400, "9999 + 2", id="too long"),
        pytest.param({}, 400, "prompt", id="nothing"),
        pytest.param(["prompt"], 400, "prompt", id="a list"),
    ],
)
async def test_what_is_wrong_is_told_in_place_of_an_answer(
    body: object, status: int, says: str
) -> None:
    async with engine() as (served, session):
        async with session.post("/v1/completions", json=body) as response:
            told = await response.json()
        assert response.status == status
        assert says in told["error"]["message"]
        assert told["error"]["code"] == status
        assert not served.waiting


async def test_the_models_page_says_what_is_served_and_how_long_it_may_be() -> None:
    async with engine() as (_, session):
        async with session.get("/v1/models") as response:
            (card,) = (await response.json())["data"]
    assert (card["id"], card["max_model_len"]) == ("m", 10_000)


async def test_who_goes_away_frees_the_place() -> None:
    body = {"prompt": "a", "max_tokens": 9_000, "stream": True}
    async with engine() as (served, session):
        long = await session.post("/v1/completions", json=body)
        await long.content.readany()
        long.close()
        # There is but one place, so this one is answered only once the long answer's is free.
        async with session.post("/v1/completions", json={"prompt": "a", "max_tokens": 1}) as short:
            assert short.status == 200
        assert count(served, "vllm:request_success_total", finished_reason="abort") == 1
