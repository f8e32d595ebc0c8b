"""Prometheus' answers, good and bad: unknown is unknown, and an error says which query it was."""

from __future__ import annotations

import json
import socket
import ssl
from base64 import b64decode
from pathlib import Path

import pytest

from autoscaler.clients.prometheus import PrometheusClient
from autoscaler.errors import AutoscalerError, SourceDenied, SourceInvalid, SourceUnavailable
from tests.fakes.certificates import certified
from tests.fakes.http import serving


def vector(*entries: tuple[dict[str, str], str], at_s: float = 1000.5) -> str:
    result = [{"metric": labels, "value": [at_s, value]} for labels, value in entries]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


@pytest.mark.parametrize(
    ("text", "value"),
    [("12.5", 12.5), ("0", 0.0), ("NaN", None), ("+Inf", None), ("-Inf", None), ("1e308", None)],
)
async def test_what_is_not_finite_is_unknown(text: str, value: float | None) -> None:
    async with serving((200, vector(({"pod": "a"}, text)))) as server:
        client = PrometheusClient(server.url, timeout_s=2.0)
        (series,) = await client.query("up", 1000.5)
        client.close()
    assert (series.labels, series.value) == ({"pod": "a"}, value)


async def test_the_time_is_the_callers() -> None:
    async with serving((200, vector())) as server:
        client = PrometheusClient(server.url, timeout_s=2.0)
        assert await client.query("up", 1000.5) == ()
        client.close()
    assert "time=1000.500" in server.asked[0].body


async def test_what_time_it_is_there() -> None:
    behind = vector(({}, "1270.25"), at_s=1300.25)
    async with serving((200, behind), (200, vector())) as server:
        client = PrometheusClient(server.url, timeout_s=2.0)
        assert [await client.clock_s(), await client.clock_s()] == [1300.25, None]
        client.close()
    # With a time it would be the caller's.
    assert [asked.body for asked in server.asked] == ["query=vector%28time%28%29%29"] * 2


async def test_a_query_of_a_thousand_names_is_no_part_of_the_url() -> None:
    """A proxy before Prometheus answers 414 to a URL above 8 KB."""
    names = "|".join(f"team-{number}-model" for number in range(1000))
    async with serving((200, vector())) as server:
        client = PrometheusClient(server.url, timeout_s=2.0)
        await client.query(f'up{{name=~"{names}"}}', 1000.5)
        await client.query_range("up", start_s=0.0, end_s=60.0, step_s=60.0)
        client.close()
    assert [(asked.method, asked.query) for asked in server.asked] == [("POST", {})] * 2
    assert len(server.asked[0].body) > 16_000
    assert "query=up&" in server.asked[1].body


@pytest.mark.parametrize(
    ("code", "body", "error"),
    [
        pytest.param(401, "", SourceDenied, id="401"),
        pytest.param(403, "", SourceDenied, id="403"),
        pytest.param(429, "", SourceUnavailable, id="429"),
        pytest.param(503, "", SourceUnavailable, id="503"),
        pytest.param(400, "parse error", SourceInvalid, id="400"),
        pytest.param(200, "<html>", SourceInvalid, id="not JSON"),
        pytest.param(200, '{"data": {"result": [{"me', SourceInvalid, id="truncated"),
        pytest.param(200, '{"status": "success"}', SourceInvalid, id="no data"),
        pytest.param(200, '{"data": {"result": 3}}', SourceInvalid, id="no list"),
        pytest.param(200, '{"data": {"result": [{"metric": {}}]}}', SourceInvalid, id="no value"),
        pytest.param(
            200,
            '{"data": {"result": [{"metric": {}, "value": [1, "x"]}]}}',
            SourceInvalid,
            id="no number",
        ),
    ],
)
async def test_bad_answers(code: int, body: str, error: type[AutoscalerError]) -> None:
    async with serving((code, body)) as server:
        client = PrometheusClient(server.url, timeout_s=2.0)
        with pytest.raises(error):
            await client.query("up", 1.0)
        client.close()
    assert len(server.asked) == 1  # no retries within a tick


async def test_a_slow_and_an_absent_prometheus() -> None:
    async with serving((200, vector()), slow_s=0.5) as server:
        client = PrometheusClient(server.url, timeout_s=0.05)
        with pytest.raises(SourceUnavailable, match="no answer in time"):
            await client.query("up", 1.0)
        client.close()
    client = PrometheusClient(server.url, timeout_s=1.0)
    with pytest.raises(SourceUnavailable, match="no connection, refused"):
        await client.query("up", 1.0)
    client.close()
    client = PrometheusClient("http://prometheus.invalid:9090", timeout_s=1.0)
    with pytest.raises(SourceUnavailable, match="no connection, its name is not known here"):
        await client.query("up", 1.0)
    client.close()


async def test_a_process_without_files_left_is_told_in_the_system_s_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with a limit of 21 files: it was `no connection`, and people looked at the network."""

    def none_left(*_: object, **__: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "socket", none_left)
    client = PrometheusClient("http://127.0.0.1:9090", timeout_s=1.0)
    with pytest.raises(SourceUnavailable, match="no connection, too many open files$"):
        await client.query("up", 1.0)
    client.close()


async def test_a_token_that_is_exchanged_is_sent_from_the_next_query_on(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    async with serving((200, vector())) as server:
        client = PrometheusClient(
            server.url,
            timeout_s=2.0,
            bearer_token_file=str(token),
            headers={"X-Scope-OrgID": "team"},
        )
        await client.query("up", 1.0)
        token.write_text("second")
        await client.query("up", 2.0)
        token.unlink()
        with pytest.raises(SourceDenied, match="token: No such file"):
            await client.query("up", 3.0)
        client.close()
    assert [asked.headers["Authorization"] for asked in server.asked] == [
        "Bearer first",
        "Bearer second",
    ]
    assert server.asked[0].headers["X-Scope-OrgID"] == "team"


async def test_a_password_that_is_exchanged_is_sent_from_the_next_query_on(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("first\n")
    async with serving((200, vector())) as server:
        client = PrometheusClient(
            server.url, timeout_s=2.0, username="me", password_file=str(password)
        )
        await client.query("up", 1.0)
        password.write_text("second")
        await client.query("up", 2.0)
        client.close()
    assert [b64decode(a.headers["Authorization"].partition(" ")[2]) for a in server.asked] == [
        b"me:first",
        b"me:second",
    ]


async def test_a_certificate_of_the_client_that_is_exchanged_is_shown_without_a_restart(
    tmp_path: Path,
) -> None:
    """A server that asks for one takes the new one only."""
    shown, key = tmp_path / "shown.pem", tmp_path / "shown.key"
    for name in ("old", "new"):
        certified(tmp_path, name)

    def show(name: str) -> None:
        shown.write_bytes((tmp_path / f"{name}.pem").read_bytes())
        key.write_bytes((tmp_path / f"{name}.key").read_bytes())

    demanding = certified(tmp_path, "server")
    demanding.verify_mode = ssl.CERT_REQUIRED
    demanding.load_verify_locations(tmp_path / "new.pem")
    async with serving((200, vector(), {"Connection": "close"}), tls=demanding) as server:
        client = PrometheusClient(
            server.url,
            timeout_s=2.0,
            ca_file=str(tmp_path / "server.pem"),
            cert_file=str(shown),
            key_file=str(key),
        )
        with pytest.raises(SourceUnavailable, match=r"shown\.pem"):
            await client.query("up", 1.0)
        show("old")
        with pytest.raises(SourceUnavailable):
            await client.query("up", 2.0)
        show("new")
        assert await client.query("up", 3.0) == ()
        client.close()


async def test_a_certificate_that_is_exchanged_is_trusted_without_a_restart(tmp_path: Path) -> None:
    """And one that is not trusted is told of as that: it was `no connection`."""
    ca = tmp_path / "ca.pem"
    old, new = certified(tmp_path, "old"), certified(tmp_path, "new")
    ca.write_bytes((tmp_path / "old.pem").read_bytes())
    answer = (200, vector(), {"Connection": "close"})
    async with serving(answer, tls=old) as server:
        client = PrometheusClient(server.url, timeout_s=2.0, ca_file=str(ca))
        assert await client.query("up", 1.0) == ()
    port = int(server.url.rpartition(":")[2])
    async with serving(answer, tls=new, port=port):
        with pytest.raises(SourceUnavailable, match=r"TLS: certificate verify failed: self.signed"):
            await client.query("up", 2.0)
        ca.write_bytes((tmp_path / "new.pem").read_bytes())
        assert await client.query("up", 3.0) == ()
    client.close()
    client = PrometheusClient(server.url, timeout_s=2.0, ca_file=str(tmp_path / "missing.pem"))
    with pytest.raises(SourceUnavailable, match=r"missing\.pem"):
        await client.query("up", 4.0)
    client.close()


async def test_a_range_keeps_its_holes() -> None:
    result = [{"metric": {"pod": "a"}, "values": [[60, "1"], [120, "NaN"], [180, "3"]]}]
    async with serving((200, json.dumps({"data": {"result": result}}))) as server:
        client = PrometheusClient(server.url, timeout_s=2.0)
        (series,) = await client.query_range("x", start_s=60.0, end_s=180.0, step_s=60.0)
        client.close()
    assert series.points == ((60.0, 1.0), (120.0, None), (180.0, 3.0))


@pytest.mark.parametrize(
    ("warnings", "incomplete"),
    [
        ([], None),
        (["PromQL info: metric might not be a counter", "PromQL warning: bad bucket label"], None),
        (
            ["PromQL info: x", "store 10.0.0.7:10901: down"],
            "the answer is not whole, store 10.0.0.7:10901: down",
        ),
        (["no [store] matches"], "the answer is not whole, no [store] matches"),
    ],
)
async def test_an_answer_that_its_source_calls_partial_is_known_to_be(
    warnings: list[str], incomplete: str | None
) -> None:
    told = json.loads(vector(({"pod": 'a "warnings":["x"]'}, "1")))
    body = json.dumps(told | {"warnings": warnings}, separators=(",", ":"))
    async with serving((200, body), (200, vector())) as server:
        client = PrometheusClient(server.url, timeout_s=2.0, max_concurrent=1)
        answer = await client.answer("up", 1.0)
        assert (len(answer.series), answer.incomplete) == (1, incomplete)
        assert (await client.answer("up", 1.0)).incomplete is None
        client.close()


async def test_a_past_that_is_not_whole_is_no_answer() -> None:
    body = json.dumps({"data": {"result": []}, "warnings": ["store 10.0.0.7:10901: down"]})
    async with serving((200, body)) as server:
        client = PrometheusClient(server.url, timeout_s=2.0)
        with pytest.raises(SourceUnavailable, match="up: the answer is not whole, store 10"):
            await client.query_range("up", start_s=0.0, end_s=60.0, step_s=60.0)
        client.close()


async def test_prometheus_own_words_are_told_and_nothing_else_of_an_answer() -> None:
    body = '{"status":"error","errorType":"bad_data","error":"1:4: parse error: unclosed \\"(\\""}'
    async with serving((400, body), (400, "token=secret")) as server:
        client = PrometheusClient(server.url, timeout_s=2.0)
        with pytest.raises(SourceInvalid) as told:
            await client.query("sum(up", 1.0)
        with pytest.raises(SourceInvalid) as silent:
            await client.query("sum(up", 1.0)
        client.close()
    assert "status 400, 1:4: parse error: unclosed" in str(told.value)
    assert str(silent.value) == "sum(up: status 400"


async def test_a_redirect_that_loses_the_query_is_told() -> None:
    """A proxy that sends from http to https answers 301, and a POST becomes a GET without its form."""
    login = {"Location": "/login?state=secret"}
    async with serving((301, "", login), (400, "")) as server:
        client = PrometheusClient(server.url, timeout_s=2.0)
        with pytest.raises(SourceInvalid) as error:
            await client.query("up", 1.0)
        client.close()
    assert str(error.value) == (
        f"{server.url}/api/v1/query: is redirected to {server.url}/login, where the query does not arrive; "
        "give prometheus.url as it is after the redirect"
    )


async def test_a_redirect_that_keeps_the_query_is_followed() -> None:
    async with serving((307, "", {"Location": "/other"}), (200, vector())) as server:
        client = PrometheusClient(server.url, timeout_s=2.0)
        assert await client.query("up", 1.0) == ()
        client.close()
    assert [(asked.method, asked.path) for asked in server.asked] == [
        ("POST", "/api/v1/query"),
        ("POST", "/other"),
    ]
    assert "query=up&" in server.asked[1].body
