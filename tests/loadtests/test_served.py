"""What is found out of a server before the load is sent."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from aiohttp import ClientConnectorError, web
from aiohttp.client_reqrep import ConnectionKey

from autoscaler.errors import SourceError
from loadtests.load.__main__ import main
from loadtests.load.completions import Completions
from loadtests.load.served import check
from loadtests.load.triton import Inferences
from tests.fakes.http import listening

TRITON = Inferences("m")
OPENAI = Completions(model="m", prompt_tokens=[40, 80], answer_tokens=[20, 10])
MODEL, SERVER, INDEX = "/v2/models/m", "/v2", "/v2/repository/index"
ONE = (200, '{"name": "m", "versions": ["1"], "platform": "python"}')
ITSELF = (200, '{"name": "triton", "version": "2.51.0", "extensions": []}')
MODELS, COMPLETIONS = "/v1/models", "/v1/completions"


def cards(*names: str, longest: int | None = None) -> tuple[int, str]:
    return 200, json.dumps({"data": [{"id": name, "max_model_len": longest} for name in names]})


async def found(protocol: Inferences | Completions, paths: dict[str, tuple[int, str]]) -> str:
    """What is said of a server that answers so; anything else is not there."""

    async def answer(request: web.Request) -> web.Response:
        status, text = paths.get(request.path, (404, "not found"))
        return web.Response(status=status, text=text)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with listening(app) as port:
        address = f"127.0.0.1:{port}"
        try:
            await check(address, protocol)
        except SourceError as error:
            return str(error).replace(f"http://{address}", "it")
    return "fine"


@pytest.mark.parametrize(
    ("protocol", "paths", "says"),
    [
        pytest.param(TRITON, {MODEL: ONE}, "fine", id="triton"),
        pytest.param(TRITON, {MODEL: (503, "")}, "fine", id="triton that is ill is measured"),
        pytest.param(
            TRITON,
            {MODEL: (400, ""), SERVER: ITSELF, INDEX: (200, '[{"name":"b","state":"READY"},{"name":"a"}]')},
            "it has no model m that is ready; it has a (not loaded), b (ready)",
            id="another model of triton's",
        ),
        pytest.param(
            TRITON,
            {MODEL: (404, ""), SERVER: ITSELF},
            "it has no model m that is ready",
            id="a server that lists nothing",
        ),
        pytest.param(
            TRITON,
            {MODELS: cards("m")},
            "it does not speak the protocol triton: no /v2/models; it speaks OpenAI's: --protocol openai",
            id="vLLM, asked as Triton",
        ),
        pytest.param(
            TRITON, {}, "it does not speak the protocol triton: no /v2/models", id="neither"
        ),
        pytest.param(
            TRITON,
            {MODEL: (200, ""), SERVER: (200, ""), MODELS: (200, "")},
            "it does not speak the protocol triton: no /v2/models",
            id="the port of its metrics",
        ),
        pytest.param(OPENAI, {MODELS: cards("a", "m")}, "fine", id="openai"),
        pytest.param(OPENAI, {MODELS: cards("m", longest=90)}, "fine", id="just long enough"),
        pytest.param(
            OPENAI,
            {MODELS: cards("m", longest=64)},
            "prompt and answer have up to 90 tokens, and m takes 64: give --max-model-tokens 64",
            id="longer than it takes",
        ),
        pytest.param(
            OPENAI,
            {MODELS: cards(*"gfedcba")},
            "it serves no model m; it serves a, b, c, d, e and 2 more",
            id="another model",
        ),
        pytest.param(OPENAI, {MODELS: cards()}, "it serves no model m; it serves none", id="empty"),
        pytest.param(
            OPENAI, {MODELS: (401, "")}, "it wants a key: set OPENAI_API_KEY", id="a key"
        ),
        pytest.param(OPENAI, {MODELS: (503, "")}, "fine", id="openai that is ill is measured"),
        pytest.param(
            OPENAI, {COMPLETIONS: (400, "")}, "fine", id="a gateway that passes on completions alone"
        ),
        pytest.param(
            OPENAI,
            {MODEL: ONE, SERVER: ITSELF},
            "it does not speak the protocol openai: no /v1/completions; it speaks Triton's: --protocol triton",
            id="Triton, asked as vLLM",
        ),
        pytest.param(
            OPENAI,
            {MODELS: (200, "<html>")},
            "it does not speak the protocol openai: no /v1/completions",
            id="a page",
        ),
        pytest.param(
            OPENAI,
            {MODELS: (200, ""), SERVER: (200, "")},
            "it does not speak the protocol openai: no /v1/completions",
            id="the port of Triton's metrics, asked as vLLM",
        ),
    ],
)  # fmt: skip
async def test_what_a_server_says_of_itself(
    protocol: Inferences | Completions, paths: dict[str, Any], says: str
) -> None:
    assert await found(protocol, paths) == says


async def test_a_key_that_is_not_taken() -> None:
    keyed = Completions(model="m", prompt_tokens=[1], answer_tokens=[1], key="k")
    said = await found(keyed, {MODELS: (403, "")})
    assert said == "it does not take the key in OPENAI_API_KEY"


async def test_what_is_no_http_is_told_to_be_none() -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\x00\x18\x04\x00")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        with pytest.raises(SourceError, match="does not answer in HTTP; is it a port of gRPC"):
            await check(f"{host}:{port}", TRITON)


async def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    key = ConnectionKey("nowhere", 8000, False, True, None, None, None)
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def refused(*_given: object, **_named: object) -> None:
        raise ClientConnectorError(key, unknown)

    monkeypatch.setattr("aiohttp.ClientSession.get", refused)
    with pytest.raises(SourceError, match="^nowhere:8000: Name or service not known; does"):
        await check("nowhere:8000", OPENAI)


@pytest.mark.parametrize("protocol", ["triton", "openai"])
def test_a_port_at_which_nobody_listens_sends_nothing(
    protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--address=127.0.0.1:9", "--model=m", "--load=5x4", f"--protocol={protocol}"]
    assert main(arguments) == 1
    shown = capsys.readouterr()
    assert shown.err == "load: 127.0.0.1:9: Connection refused; does the server listen there?\n"
    assert shown.out == ""
