"""The API server is asked about rights, one by one, for oneself or for a service account; nothing is tried."""

from __future__ import annotations

import json

import pytest
from kubernetes_asyncio.client import ApiClient, Configuration

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.config import Settings
from autoscaler.config.settings import KubernetesSettings, NamespacePolicy
from autoscaler.controller.doctor.diagnosis import Level
from autoscaler.controller.doctor.rights import (
    Right,
    check,
    kserve_served,
    needed,
    of_services,
)
from autoscaler.core.nodes.settings import NodeSettings, PoolSettings
from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import Mode
from autoscaler.core.writes import ReplicaWrite
from tests.fakes.cluster_api import ClusterApi
from tests.fakes.http import serving

ALLOWED = (200, json.dumps({"status": {"allowed": True}}))
REFUSED = (200, json.dumps({"status": {"allowed": False}}))
LIST = Right(verb="list", resource="nodes")
PATCH = Right(verb="patch", group="apps", resource="deployments", subresource="scale")


async def test_what_is_lacking_is_named_with_the_role_that_grants_it() -> None:
    async with serving(ALLOWED, REFUSED) as server:
        client = KubernetesClient(ApiClient(Configuration(host=server.url)), timeout_s=2.0)
        (found,) = await check(client, {"base": (LIST, PATCH)}, None)
        await client.close()
    assert found.level is Level.ERROR
    assert found.found == "you may not patch deployments/scale.apps"
    assert found.remedy == "install the base of deploy/, and bind it to you"
    assert [a.path.rpartition("/")[2] for a in server.asked] == ["selfsubjectaccessreviews"] * 2


async def test_a_service_accounts_rights_are_asked_in_its_name() -> None:
    async with serving(ALLOWED) as server:
        client = KubernetesClient(ApiClient(Configuration(host=server.url)), timeout_s=2.0)
        (found,) = await check(client, {"base": (LIST,)}, "forescale/forescale")
        await client.close()
    assert found.level is Level.OK
    sent = json.loads(server.asked[0].body)
    assert sent["kind"] == "SubjectAccessReview"
    assert sent["spec"]["user"] == "system:serviceaccount:forescale:forescale"


async def test_who_may_not_ask_does_not_know() -> None:
    async with serving((403, "{}")) as server:
        client = KubernetesClient(ApiClient(Configuration(host=server.url)), timeout_s=2.0)
        (found,) = await check(client, {"base": (LIST,)}, "forescale/forescale")
        await client.close()
    assert found.level is Level.UNKNOWN


def test_the_role_of_nodes_is_needed_with_a_pool_only() -> None:
    assert "component nodes" not in needed(Settings(), "forescale")
    pool = PoolSettings(labels={"a": "b"}, max_headroom=1)
    pooled = Settings(engine=EngineConfig(nodes=NodeSettings(pools={"h100": pool})))
    assert Right(verb="list", resource="nodes") in needed(pooled, "forescale")["component nodes"]


def test_the_role_of_kserve_is_needed_where_a_service_itself_is_written() -> None:
    none = ReplicaWrite(
        path="/apis/serving.kserve.io/v1beta1/namespaces/team/inferenceservices/bert", patch=()
    )
    external = ReplicaWrite(path="/apis/apps/v1/namespaces/a/deployments/bert/scale", patch=())
    assert of_services(Settings(), [external]) == {}
    asked = of_services(Settings(), [none, external, none])
    assert [str(right) for right in asked["component kserve"]] == [
        "patch inferenceservices.serving.kserve.io in team"
    ]
    llm = ReplicaWrite(
        path="/apis/serving.kserve.io/v1alpha2/namespaces/team/llminferenceservices/llama", patch=()
    )
    asked = of_services(Settings(), [none, llm])
    assert [str(right) for right in asked["component kserve"]] == [
        "patch inferenceservices.serving.kserve.io in team",
        "patch llminferenceservices.serving.kserve.io in team",
    ]


def versions(**served: str) -> ClusterApi:
    """A cluster that serves these kinds, one in each version."""
    api = ClusterApi()
    for version, name in served.items():
        api.put(f"/apis/serving.kserve.io/{version}", {"resources": [{"name": name}]})
    return api


@pytest.mark.parametrize(
    ("api", "served"),
    [
        (versions(), ()),
        (versions(v1beta1="inferenceservices"), ("inferenceservices",)),
        # Of the version there are other kinds alone.
        (versions(v1beta1="inferenceservices", v1alpha1="servingruntimes"), ("inferenceservices",)),
        (versions(v1alpha1="llminferenceservices"), ("llminferenceservices",)),
        (versions(v1alpha2="llminferenceservices"), ("llminferenceservices",)),
    ],
)
async def test_of_kserves_kinds_those_are_asked_about_that_are_served(
    api: ClusterApi, served: tuple[str, ...]
) -> None:
    async with api.serving():
        client = KubernetesClient(ApiClient(Configuration(host=api.url)), timeout_s=2.0)
        assert await kserve_served(client) == served
        # What can't be told is asked about.
        api.denied = ("/serving.kserve.io/",)
        assert await kserve_served(client) == ("inferenceservices", "llminferenceservices")
        await client.close()


def test_in_single_namespaces_each_role_is_asked_about_by_itself() -> None:
    """Where the policy writes nothing, the right to is not asked for; nor one to what is not installed."""
    settings = Settings(
        kubernetes=KubernetesSettings(watch_namespaces=("a", "b")),
        namespaces={"b": NamespacePolicy(max_mode=Mode.RECOMMEND)},
    )
    asked = needed(settings, "forescale", kserve=())
    assert list(asked) == ["Role in a", "Role in b", "base, own namespace"]
    read, scale, services = 5 * 2 + 1, 2, 2 * 2
    assert [len(rights) for rights in asked.values()] == [read + scale, read, 6]
    assert {right.namespace for right in asked["Role in a"]} == {"a"}
    assert len(needed(settings, "forescale")["Role in b"]) == read + services
    service = ReplicaWrite(
        path="/apis/serving.kserve.io/v1beta1/namespaces/b/inferenceservices/bert", patch=()
    )
    assert list(of_services(settings, [service])) == ["Role in b, to write inferenceservices"]
