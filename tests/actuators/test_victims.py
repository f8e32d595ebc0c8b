"""Pods that should go are marked before the scale is written; a mark that fails holds nothing up."""

from __future__ import annotations

from kubernetes_asyncio.client import ApiClient, Configuration

from autoscaler.actuators.scale import ScaleActuator
from autoscaler.actuators.victims import COST, GOES, SteeringActuator
from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.core.reasons import Reason
from autoscaler.core.types import Outcome, SetReplicas, WorkloadId
from tests.fakes.cluster_api import ClusterApi, deployment, put_pods

PODS = "/api/v1/namespaces/team/pods"


async def lowered(api: ClusterApi, *victims: str) -> Outcome:
    action = SetReplicas(
        workload=WorkloadId(namespace="team", name="bert"),
        api_version="apps/v1",
        observed=3,
        replicas=1,
        reason=Reason.DEMAND_FALLING,
        message="",
        victims=victims,
    )
    async with api.serving():
        client = KubernetesClient(
            ApiClient(configuration=Configuration(host=api.url)), timeout_s=5.0
        )
        try:
            return (await SteeringActuator(client, ScaleActuator(client)).apply(action)).outcome
        finally:
            await client.close()


def cluster() -> ClusterApi:
    api = ClusterApi()
    api.put("/apis/apps/v1/namespaces/team/deployments/bert", deployment("bert", 3, {}))
    put_pods(api, "bert", 3)
    return api


async def test_victims_are_marked_and_then_the_scale_is_written() -> None:
    api = cluster()
    assert await lowered(api, "bert-0", "bert-2") is Outcome.APPLIED
    marks = [api.objects[f"{PODS}/bert-{i}"]["metadata"].get("annotations") for i in range(3)]
    assert marks == [{COST: GOES}, None, {COST: GOES}]
    assert api.writes[-1] == ("PATCH", "/apis/apps/v1/namespaces/team/deployments/bert")


async def test_a_mark_that_fails_holds_nothing_up() -> None:
    api = cluster()
    api.refuse["bert-0"] = 403
    assert await lowered(api, "bert-0", "gone") is Outcome.APPLIED


async def test_without_victims_there_is_one_write() -> None:
    api = cluster()
    assert await lowered(api) is Outcome.APPLIED
    assert len(api.writes) == 1
