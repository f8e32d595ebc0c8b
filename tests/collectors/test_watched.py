"""Single namespaces are watched where there are no rights in the whole cluster: each for itself, and no other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from kubernetes_asyncio.client import ApiClient, Configuration

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clients.objects import scopes
from autoscaler.collectors.kubernetes import KubernetesCollector
from autoscaler.core.annotations import Defaults
from autoscaler.errors import SourceDenied
from tests.fakes.clock import FakeClock
from tests.fakes.cluster_api import ClusterApi, deployment, put_pods

SLO = {"slo": "99% < 300ms"}
GROUP = "/apis/serving.kserve.io/v1beta1"
LLM_GROUPS = ("/apis/serving.kserve.io/v1alpha2", "/apis/serving.kserve.io/v1alpha1")


def tenants(*names: str) -> ClusterApi:
    """A cluster with a Deployment `bert` and its pod in each of these namespaces."""
    made, api = ClusterApi(), ClusterApi()
    made.put("/apis/apps/v1/namespaces/team/deployments/bert", deployment("bert", 1, SLO))
    put_pods(made, "bert", 1)
    for name in names:
        for path, content in made.objects.items():
            text = json.dumps(content).replace("namespaces/team/", f"namespaces/{name}/")
            own = text.replace('"namespace": "team"', f'"namespace": "{name}"')
            api.put(path.replace("/team/", f"/{name}/"), json.loads(own))
    return api


@asynccontextmanager
async def watching(api: ClusterApi, *namespaces: str) -> AsyncIterator[KubernetesCollector]:
    async with api.serving():
        client = KubernetesClient(ApiClient(Configuration(host=api.url)), timeout_s=5.0)
        try:
            yield KubernetesCollector(
                client, FakeClock(), defaults=lambda _: Defaults(), namespaces=namespaces
            )
        finally:
            await client.close()


async def listed(collector: KubernetesCollector) -> list[tuple[str, int, bool]]:
    """By workload, how many pods it has, and whether that is known."""
    for mirror in collector.mirrors:
        await mirror.try_relist()
    return [(str(item.id), len(item.pods), item.pods_known) for item in collector.observe()]


@pytest.mark.parametrize(
    ("namespaces", "paths"),
    [
        ((), {"": "/apis/apps/v1/deployments"}),
        (("a",), {"a": "/apis/apps/v1/namespaces/a/deployments"}),
        (
            ("a", "b"),
            {
                "a": "/apis/apps/v1/namespaces/a/deployments",
                "b": "/apis/apps/v1/namespaces/b/deployments",
            },
        ),
    ],
)
def test_a_resource_is_read_once_or_once_in_each_namespace(
    namespaces: tuple[str, ...], paths: dict[str, str]
) -> None:
    assert scopes("/apis/apps/v1/deployments", namespaces) == paths


async def test_nothing_is_asked_of_the_cluster_or_of_another_namespace() -> None:
    api = tenants("team-a", "team-b", "team-c")
    api.denied = ("v1/deployments", "v1/pods", "v2/horizontal", "beta1/inference", "/team-c/")
    async with watching(api, "team-a", "team-b") as collector:
        assert await listed(collector) == [("team-a/bert", 1, True), ("team-b/bert", 1, True)]
        assert (collector.synced, collector.error) == (True, None)


async def test_a_namespace_without_rights_holds_up_no_other() -> None:
    api = tenants("team-a", "team-b")
    async with watching(api, "team-a", "team-b") as collector:
        api.denied = ("/team-b/",)
        assert await listed(collector) == [("team-a/bert", 1, True)]
        assert collector.synced
        assert "/apis/apps/v1/namespaces/team-b/deployments: GET" in str(collector.error)
        api.denied = ()
        assert await listed(collector) == [("team-a/bert", 1, True), ("team-b/bert", 1, True)]
        # Its pods may have gone since: of them nothing is known, and of the other's all is.
        api.denied = ("/team-b/pods",)
        assert await listed(collector) == [("team-a/bert", 1, True), ("team-b/bert", 1, False)]


@pytest.mark.parametrize("namespaces", [("team-a", "team-b"), ()])
async def test_where_nothing_may_be_read_nothing_is_decided(namespaces: tuple[str, ...]) -> None:
    api = tenants("team-a", "team-b")
    api.denied = ("/apis/apps/",)
    async with watching(api, *namespaces) as collector:
        assert await listed(collector) == []
        assert not collector.synced
        with pytest.raises(SourceDenied):
            await collector.read_once()


def kinds(group: str, *names: str) -> dict[str, object]:
    """Which ones the API server knows of a group and version."""
    resources = [{"name": name} for name in names]
    return {"kind": "APIResourceList", "groupVersion": group[6:], "resources": resources}


@pytest.mark.parametrize(
    ("group", "plural"),
    [
        (GROUP, "inferenceservices"),
        (LLM_GROUPS[0], "llminferenceservices"),
        (LLM_GROUPS[1], "llminferenceservices"),
    ],
)
async def test_what_is_not_installed_needs_no_right(group: str, plural: str) -> None:
    """Nobody but an administrator of the cluster could grant one: the API server asks for the right first, and says
    afterwards that there is no such kind. What is installed and may not be read is told, and holds up nothing else."""
    api = tenants("team-a")
    api.denied = ("inferenceservices",)
    async with watching(api, "team-a") as collector:
        await listed(collector)
        assert (collector.synced, collector.error) == (True, None)
        # KServe has kinds of other uses in these versions.
        api.put(group, kinds(group, "servingruntimes", f"{plural}configs"))
        await listed(collector)
        assert (collector.synced, collector.error) == (True, None)
        api.put(group, kinds(group, "servingruntimes", plural))
        await listed(collector)
        assert f"team-a/{plural}: status 403" in str(collector.error)
    async with watching(api, "team-a") as collector:
        assert await listed(collector) == [("team-a/bert", 1, True)]
        assert collector.synced
        assert f"team-a/{plural}: status 403" in str(collector.error)
