"""Replicas are set only where they are still what was seen, a Deployment that sleeps at 0 included."""

from __future__ import annotations

import pytest
from kubernetes_asyncio.client import ApiClient, Configuration

from autoscaler.actuators.scale import ScaleActuator
from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.collectors.projection import target
from autoscaler.core.reasons import Reason
from autoscaler.core.types import Outcome, SetReplicas, WorkloadId
from tests.fakes.cluster_api import ClusterApi, deployment

BERT = "/apis/apps/v1/namespaces/team/deployments/bert"


@pytest.mark.parametrize(
    ("there", "observed", "outcome", "after"),
    [
        pytest.param(2, 2, Outcome.APPLIED, 3, id="as it was seen"),
        pytest.param(4, 2, Outcome.CONFLICT, 4, id="edited since"),
        pytest.param(
            0, 0, Outcome.APPLIED, 3, id="asleep: a Scale of 0 has no replicas in its JSON"
        ),
        pytest.param(2, 0, Outcome.CONFLICT, 2, id="woken by somebody else"),
        pytest.param(0, 2, Outcome.CONFLICT, 0, id="switched off since"),
    ],
)
async def test_a_write_tests_what_was_seen(
    there: int, observed: int, outcome: Outcome, after: int
) -> None:
    api = ClusterApi()
    api.put(BERT, deployment("bert", there, {"slo": "99% < 1s"}))
    action = SetReplicas(
        workload=WorkloadId(namespace="team", name="bert"),
        api_version="apps/v1",
        observed=observed,
        replicas=3,
        reason=Reason.DEMAND_RISING,
        message="",
    )
    async with api.serving():
        client = KubernetesClient(
            ApiClient(configuration=Configuration(host=api.url)), timeout_s=5.0
        )
        result = await ScaleActuator(client, written_as="forescale:a/b").apply(action)
        await client.close()
    assert result.outcome is outcome
    assert api.objects[BERT]["spec"]["replicas"] == after
    if outcome is Outcome.APPLIED:
        # As the next look finds it.
        view = target(api.objects[BERT], "Deployment")
        assert view is not None
        assert view.replicas_set_by == "forescale:a/b"
