"""The API server's answers, good and bad, each as one of our own errors."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any, cast

import pytest
from kubernetes_asyncio.client import ApiClient, Configuration
from kubernetes_asyncio.config import ConfigException

from autoscaler.actuators.scale import ScaleActuator
from autoscaler.clients.kubernetes import JSON_PATCH, KubernetesClient
from autoscaler.core.reasons import Reason
from autoscaler.core.types import Outcome, SetReplicas, WorkloadId
from autoscaler.errors import (
    ActuationUnknown,
    AutoscalerError,
    ConfigError,
    SourceDenied,
    SourceExpired,
    SourceInvalid,
    SourceMissing,
    SourceUnavailable,
)
from tests.fakes.certificates import certified
from tests.fakes.http import FakeServer, serving


def client(server: FakeServer, timeout_s: float = 2.0) -> KubernetesClient:
    return KubernetesClient(ApiClient(Configuration(host=server.url)), timeout_s=timeout_s)


def status(code: int, message: str) -> str:
    return json.dumps({"kind": "Status", "code": code, "message": message})


@pytest.mark.parametrize(
    ("code", "body", "error", "told"),
    [
        pytest.param(401, status(401, "Unauthorized"), SourceDenied, "Unauthorized", id="401"),
        pytest.param(
            403, status(403, "pods is forbidden"), SourceDenied, "pods is forbidden", id="403"
        ),
        pytest.param(404, status(404, "not found"), SourceMissing, "not found", id="404"),
        pytest.param(410, status(410, "too old"), SourceExpired, "too old", id="410"),
        pytest.param(500, "<html>", SourceUnavailable, "status 500", id="500"),
        pytest.param(503, status(503, "starting"), SourceUnavailable, "starting", id="503"),
        pytest.param(200, '{"items": [', SourceInvalid, "no JSON", id="truncated"),
        pytest.param(200, "hello", SourceInvalid, "no JSON", id="not JSON"),
        pytest.param(200, "[1]", SourceInvalid, "no object", id="not an object"),
    ],
)
async def test_bad_answers_to_a_read(
    code: int, body: str, error: type[AutoscalerError], told: str
) -> None:
    async with serving((code, body)) as server:
        api = client(server)
        with pytest.raises(error, match=told):
            await api.read("/api/v1/pods")
        await api.close()


async def test_429_says_when_to_come_back() -> None:
    async with serving((429, "{}", {"Retry-After": "7"})) as server:
        api = client(server)
        with pytest.raises(SourceUnavailable) as refused:
            await api.read("/api/v1/pods")
        assert refused.value.retry_after_s == 7.0
        await api.close()


async def test_a_write_that_priority_and_fairness_refuses_names_the_cause() -> None:
    """As kube-apiserver 1.35 answers: plain text, and Retry-After grows while it lasts."""
    text = "Too many requests, please try again later."
    async with serving((429, text, {"Retry-After": "4"})) as server:
        api = client(server)
        with pytest.raises(
            ActuationUnknown, match=r"status 429: .*priority and fairness"
        ) as refused:
            await api.write("POST", "/api/v1/namespaces/team/events", {})
        assert refused.value.retry_after_s == 4.0
        await api.close()


async def test_a_slow_server_is_no_answer_in_time() -> None:
    async with serving((200, "{}"), slow_s=0.5) as server:
        api = client(server, timeout_s=0.05)
        with pytest.raises(SourceUnavailable, match="no answer in time"):
            await api.read("/api/v1/pods")
        await api.close()


async def test_an_unreachable_server() -> None:
    async with serving((200, "{}")) as server:
        api = client(server)
    with pytest.raises(SourceUnavailable, match="GET /api/v1/pods"):
        await api.read("/api/v1/pods")
    await api.close()


async def test_a_list_is_read_in_pages() -> None:
    first = {"metadata": {"resourceVersion": "5", "continue": "next"}, "items": [{"n": 1}]}
    second = {"metadata": {"resourceVersion": "5"}, "items": [{"n": 2}]}
    async with serving((200, json.dumps(first)), (200, json.dumps(second))) as server:
        api = client(server)
        pages = [page async for page in api.pages("/api/v1/pods")]
        await api.close()
    assert pages == [([{"n": 1}], "5"), ([{"n": 2}], "5")]
    assert [asked.query.get("continue") for asked in server.asked] == [None, "next"]


async def test_a_watch_gives_events_and_turns_an_error_event_into_an_error() -> None:
    lines = [
        {"type": "ADDED", "object": {"metadata": {"name": "a"}}},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}},
        {"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}},
    ]
    async with serving((200, "\n".join(json.dumps(entry) for entry in lines) + "\n")) as server:
        api = client(server)
        kinds = []
        with pytest.raises(SourceExpired, match="too old resource version"):
            async for kind, _ in api.watch("/api/v1/pods", "5"):
                kinds.append(kind)
        await api.close()
    assert kinds == ["BOOKMARK", "ADDED", "BOOKMARK"]
    assert server.asked[0].query["allowWatchBookmarks"] == "true"
    assert server.asked[0].query["resourceVersion"] == "5"


def action(observed: int = 2, replicas: int = 4) -> SetReplicas:
    return SetReplicas(
        workload=WorkloadId(namespace="team", name="bert"),
        api_version="apps/v1",
        observed=observed,
        replicas=replicas,
        reason=Reason.DEMAND_RISING,
        message="",
    )


@pytest.mark.parametrize(
    ("code", "body", "outcome"),
    [
        pytest.param(200, "{}", Outcome.APPLIED, id="done"),
        pytest.param(422, status(422, "test failed"), Outcome.CONFLICT, id="somebody was faster"),
        pytest.param(409, status(409, "conflict"), Outcome.CONFLICT, id="conflict"),
        pytest.param(403, status(403, "forbidden"), Outcome.REJECTED, id="no right"),
        pytest.param(404, status(404, "gone"), Outcome.REJECTED, id="gone"),
        pytest.param(500, "{}", Outcome.UNKNOWN, id="it may have happened"),
        pytest.param(429, "{}", Outcome.UNKNOWN, id="too many requests"),
    ],
)
async def test_what_becomes_of_a_scale(code: int, body: str, outcome: Outcome) -> None:
    async with serving((code, body)) as server:
        api = client(server)
        result = await ScaleActuator(api).apply(action())
        await api.close()
    assert result.outcome is outcome
    (asked,) = server.asked  # never repeated
    assert (asked.method, asked.path) == (
        "PATCH",
        "/apis/apps/v1/namespaces/team/deployments/bert/scale",
    )
    assert asked.content_type == JSON_PATCH
    assert json.loads(asked.body) == [
        {"op": "test", "path": "/spec/replicas", "value": 2},
        {"op": "add", "path": "/spec/replicas", "value": 4},
    ]


async def test_a_write_without_an_answer_may_have_happened() -> None:
    async with serving((200, "{}"), slow_s=0.5) as server:
        api = client(server, timeout_s=0.05)
        result = await ScaleActuator(api).apply(action())
        await api.close()
    assert result.outcome is Outcome.UNKNOWN


async def test_a_token_that_can_not_be_had_is_an_answer_that_did_not_come() -> None:
    """Its file is empty for the moment in which it is exchanged: the next call reads it anew."""

    def empty(_: Configuration) -> None:
        raise ConfigException("Token file exists but empty.")

    async with serving((200, "{}")) as server:
        configuration = Configuration(host=server.url, api_key={"BearerToken": "Bearer old"})
        configuration.refresh_api_key_hook = empty
        api = KubernetesClient(ApiClient(configuration), timeout_s=2.0)
        with pytest.raises(SourceUnavailable, match="Token file exists but empty"):
            await api.read("/api/v1/pods")
        with pytest.raises(SourceUnavailable, match="Token file exists but empty"):
            async for _ in api.watch("/api/v1/pods", "1"):
                pass
        assert (await ScaleActuator(api).apply(action())).outcome is Outcome.UNKNOWN
        await api.close()
    assert server.asked == []


async def test_no_change_is_no_write() -> None:
    async with serving((200, "{}")) as server:
        api = client(server)
        result = await ScaleActuator(api).apply(action(observed=4, replicas=4))
        await api.close()
    assert result.outcome is Outcome.UNCHANGED
    assert server.asked == []


async def test_anything_with_a_scale_subresource_is_found_by_discovery() -> None:
    listed = {
        "resources": [
            {"name": "rollouts", "kind": "Rollout"},
            {"name": "rollouts/scale", "kind": "Scale"},
            {"name": "experiments", "kind": "Experiment"},
        ]
    }
    async with serving((200, json.dumps(listed)), (200, "{}"), (200, json.dumps(listed))) as server:
        api = client(server)
        actuator = ScaleActuator(api)
        for kind, outcome in (("Rollout", Outcome.APPLIED), ("Experiment", Outcome.REJECTED)):
            result = await actuator.apply(
                SetReplicas(
                    workload=WorkloadId(namespace="team", name="bert", kind=kind),
                    api_version="argoproj.io/v1alpha1",
                    observed=1,
                    replicas=2,
                    reason=Reason.STEADY,
                    message="",
                )
            )
            assert result.outcome is outcome
        await api.close()
    assert server.asked[1].path == "/apis/argoproj.io/v1alpha1/namespaces/team/rollouts/bert/scale"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Config\nusers: [", "is no YAML, in line 2, give --kubeconfig"),
        ("minute,count", "is no kubeconfig, give --kubeconfig"),
        ("[1, 2]", "is no kubeconfig, give --kubeconfig"),
        ("", "give --kubeconfig"),
    ],
)
async def test_what_is_no_kubeconfig(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        await KubernetesClient.connect(kubeconfig=str(path), context=None, timeout_s=1.0)
    assert said in str(refused.value)


async def test_a_kubeconfig_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="kubeconfig /nowhere/config: there is no such file"):
        await KubernetesClient.connect(kubeconfig="/nowhere/config", context=None, timeout_s=1.0)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("/nowhere/config", "KUBECONFIG=/nowhere/config: there is no such file"),
        ("/nowhere/a:/nowhere/b", "KUBECONFIG=/nowhere/a:/nowhere/b: there is no such file"),
        ("", "KUBECONFIG is not set, and ~/.kube/config: there is no such file"),
    ],
)
async def test_without_a_kubeconfig_it_says_where_it_looked(
    named: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", named)
    monkeypatch.setenv("HOME", "/nowhere")
    with pytest.raises(ConfigError, match=said):
        await KubernetesClient.connect(kubeconfig=None, context=None, timeout_s=1.0)


async def test_a_watch_whose_other_end_is_gone_without_a_word_is_noticed_by_the_kernel() -> None:
    ended = asyncio.Event()

    async def silent(_: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        out.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await ended.wait()
        out.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    kubernetes = ApiClient(Configuration(host=f"http://127.0.0.1:{port}"))
    api = KubernetesClient(kubernetes, timeout_s=2.0)
    told = api.watch("/api/v1/pods", "5")
    assert (await anext(told))[0] == "BOOKMARK"
    end = the_connection(kubernetes)
    assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    if hasattr(socket, "TCP_KEEPIDLE"):
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
    ended.set()
    await told.aclose()
    await api.close()
    server.close()
    await server.wait_closed()


def the_connection(client: ApiClient) -> Any:
    """The socket of the only request that is under way."""
    connector = client.rest_client.pool_manager.connector
    assert connector is not None
    (connection,) = connector._acquired
    assert connection.transport is not None
    return connection.transport.get_extra_info("socket")


async def test_a_watch_that_is_left_waits_for_no_farewell(tmp_path: Path) -> None:
    """A busy API server is slow to answer TLS' one, and a loop that has ended by then leaves the socket open."""
    ended = asyncio.Event()

    async def deaf(incoming: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        await incoming.readuntil(b"\r\n\r\n")
        cast(asyncio.Transport, out.transport).pause_reading()
        out.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await ended.wait()
        out.transport.abort()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0, ssl=certified(tmp_path, "api"))
    port = server.sockets[0].getsockname()[1]
    configuration = Configuration(host=f"https://127.0.0.1:{port}")
    configuration.ssl_ca_cert = str(tmp_path / "api.pem")
    kubernetes = ApiClient(configuration)
    api = KubernetesClient(kubernetes, timeout_s=5.0)
    told = api.watch("/api/v1/pods", "5")
    assert (await anext(told))[0] == "BOOKMARK"
    end = the_connection(kubernetes)
    await told.aclose()
    await api.close()
    await asyncio.sleep(0)
    assert end.fileno() == -1
    ended.set()
    server.close()
    await server.wait_closed()


async def test_an_authority_that_is_exchanged_is_trusted_without_a_restart(tmp_path: Path) -> None:
    """The cluster's is renewed: its new certificate was refused until somebody restarted who waits for the lease."""
    ca = tmp_path / "ca.crt"
    old, new = certified(tmp_path, "old"), certified(tmp_path, "new")
    ca.write_bytes((tmp_path / "old.pem").read_bytes())
    answer = (200, "{}", {"Connection": "close"})
    configuration = Configuration()
    async with serving(answer, tls=old) as server:
        configuration.host, configuration.ssl_ca_cert = server.url, str(ca)
        client = KubernetesClient(ApiClient(configuration), timeout_s=5.0)
        assert await client.read("/api") == {}
    port = int(server.url.rpartition(":")[2])
    async with serving(answer, tls=new, port=port):
        for half_written in (None, b"-----BEGIN CERTIFICATE-----\nMIIB"):
            if half_written is not None:
                ca.write_bytes(half_written)
            with pytest.raises(SourceUnavailable, match="certificate verify failed"):
                await client.read("/api")
        ca.write_bytes((tmp_path / "new.pem").read_bytes())
        assert await client.read("/api") == {}
    await client.close()
