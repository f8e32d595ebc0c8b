"""What a kubeconfig and the environment say of the way to the API server, and tokens that are exchanged meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoscaler.clients import kubeconfig
from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.errors import SourceUnavailable
from tests.fakes.certificates import certified
from tests.fakes.http import FakeServer, serving

ANSWER = (200, "{}")


def written(folder: Path, cluster: dict[str, Any], user: dict[str, Any] | None = None) -> str:
    path = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user or {}}],
    }
    path.write_text(json.dumps(document))
    return str(path)


async def connected(path: str) -> KubernetesClient:
    return await KubernetesClient.connect(kubeconfig=path, context=None, timeout_s=2.0)


@pytest.mark.parametrize(
    ("proxied", "direct"),
    [("", False), ("example.com,.svc", False), ("127.0.0.0/8,.svc", True), ("127.0.0.1", True)],
)
async def test_proxies_of_the_environment_are_taken_but_for_what_they_except(
    proxied: str, direct: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clusters except their services by the range of their addresses."""
    async with serving(ANSWER) as api, serving(ANSWER) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", proxied)
        client = await connected(written(tmp_path, {"server": api.url}))
        await client.read("/version")
        await client.close()
    assert (len(api.asked), len(proxy.asked)) == ((1, 0) if direct else (0, 1))


async def test_the_proxy_of_a_kubeconfig_is_taken(tmp_path: Path) -> None:
    async with serving(ANSWER) as proxy:
        cluster = {"server": "http://api.invalid", "proxy-url": proxy.url}
        client = await connected(written(tmp_path, cluster))
        await client.read("/version")
        await client.close()
    assert [asked.path for asked in proxy.asked] == ["/version"]


@pytest.mark.parametrize("name", ["127.0.0.1", "api.example.com"])
async def test_the_name_that_a_kubeconfig_gives_is_what_the_certificate_must_have(
    name: str, tmp_path: Path
) -> None:
    async with serving(ANSWER, tls=certified(tmp_path, "api")) as api:
        cluster = {
            "server": api.url,
            "certificate-authority": str(tmp_path / "api.pem"),
            "tls-server-name": name,
        }
        client = await connected(written(tmp_path, cluster))
        if name == "127.0.0.1":
            await client.read("/version")
        else:
            with pytest.raises(SourceUnavailable, match=name):
                await client.read("/version")
        await client.close()


def token(name: str, of_plugin: bool) -> str:
    if not of_plugin:
        return name
    kind = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    status = {"token": name, "expirationTimestamp": "2020-01-01T00:00:00Z"}
    return json.dumps({**kind, "status": status})


@pytest.mark.parametrize("of_plugin", [False, True])
async def test_a_token_that_is_exchanged_is_sent_without_a_restart(
    of_plugin: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is renewed, as that of a service account; a cloud's plugin gives tokens for a quarter of an hour."""
    kept = tmp_path / "token"
    kept.write_text(token("first", of_plugin))
    user: dict[str, Any] = {"tokenFile": str(kept)}
    if of_plugin:
        plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "cat"}
        user = {"exec": {**plugin, "args": [str(kept)], "interactiveMode": "Never"}}
    async with serving(ANSWER) as api:
        client = await connected(written(tmp_path, {"server": api.url}, user))
        await client.read("/version")
        kept.write_text(token("second", of_plugin))
        await client.read("/version")
        monkeypatch.setattr(kubeconfig, "RENEW_S", 0.0)
        await client.read("/version")
        kept.unlink()
        with pytest.raises(SourceUnavailable):
            await client.read("/version")
        await client.close()
    assert sent(api) == ["Bearer first", "Bearer first", "Bearer second"]


def sent(server: FakeServer) -> list[str]:
    return [asked.headers["Authorization"] for asked in server.asked]
