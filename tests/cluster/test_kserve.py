"""InferenceServices on the real API server, with a stand-in for KServe's controller and real Triton servers as pods."""

from __future__ import annotations

import asyncio

from autoscaler.actuators.kserve import KServeActuator
from autoscaler.actuators.scale import ScaleActuator
from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clock import SystemClock
from autoscaler.collectors.inference_service import CLASS, KIND
from autoscaler.collectors.kubernetes import KubernetesCollector
from autoscaler.core.annotations import Defaults
from autoscaler.core.reasons import Reason
from autoscaler.core.types import Outcome, WorkloadId
from loadtests.stack.stack import Stack
from tests.cluster.services import NAMESPACE, KServe, ready_pods, seen_until, service, to, until


async def test_a_service_of_class_external_is_scaled_by_its_deployments_scale(
    kserve: KServe,
) -> None:
    """It is one workload, not two; its pods are the predictor's; and no annotation of it is touched."""
    kserve.apply(service("ext", "external"))
    async with kserve.running() as (client, collector):
        seen = await seen_until(collector, "ext", lambda s: ready_pods(s) == 1)
        assert [item.id for item in collector.observe() if item.id.namespace == NAMESPACE] == [
            WorkloadId(namespace=NAMESPACE, name="ext", kind=KIND)
        ]
        assert seen.spec is not None
        assert (seen.spec.engine, seen.spec.pods_of) == ("triton", "ext-predictor")
        assert [e.workload for e in collector.endpoints()] == [seen.id]
        before = kserve.get("isvc", "ext")
        actuator = KServeActuator(client, ScaleActuator(client), collector.write_of)
        assert (await actuator.apply(to(seen, 2))).outcome is Outcome.APPLIED
        seen = await seen_until(collector, "ext", lambda s: ready_pods(s) == 2)
        await asyncio.sleep(2.0)  # several looks of the stand-in, which leaves the replicas alone
        assert kserve.get("deployment", "ext-predictor")["spec"]["replicas"] == 2
        after = kserve.get("isvc", "ext")
        assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        old = to(seen, 3)
        kserve.stack.kubectl("scale", "deployment/ext-predictor", "--replicas=1", f"-n{NAMESPACE}")
        assert (await actuator.apply(old)).outcome is Outcome.CONFLICT


async def test_a_service_of_class_none_is_scaled_by_its_min_replicas(kserve: KServe) -> None:
    """KServe sets its Deployment back to minReplicas, so a scale would not last; and no pod is started anew by it."""
    kserve.apply(service("floor", "none"))
    async with kserve.running() as (client, collector):
        seen = await seen_until(collector, "floor", lambda s: ready_pods(s) == 1)
        first = {pod.name for pod in seen.pods}
        kserve.stack.kubectl(
            "scale", "deployment/floor-predictor", "--replicas=2", f"-n{NAMESPACE}"
        )

        async def undone() -> bool:
            return bool(kserve.get("deployment", "floor-predictor")["spec"]["replicas"] == 1)

        await until(undone, "the stand-in undoes a scale")
        seen = await seen_until(collector, "floor", lambda s: s.replicas.desired == 1)
        actuator = KServeActuator(client, ScaleActuator(client), collector.write_of)
        assert (await actuator.apply(to(seen, 2))).outcome is Outcome.APPLIED
        assert kserve.get("isvc", "floor")["spec"]["predictor"]["minReplicas"] == 2
        seen = await seen_until(collector, "floor", lambda s: ready_pods(s) == 2)
        assert first <= {pod.name for pod in seen.pods}


async def test_a_write_to_a_service_that_was_edited_meanwhile_is_a_conflict(kserve: KServe) -> None:
    kserve.apply(service("edited", "none"))
    async with kserve.running() as (client, collector):
        seen = await seen_until(collector, "edited", lambda s: s.replicas.desired == 1)
        kserve.stack.kubectl("label", "isvc/edited", "touched=yes", f"-n{NAMESPACE}")
        actuator = KServeActuator(client, ScaleActuator(client), collector.write_of)
        assert (await actuator.apply(to(seen, 2))).outcome is Outcome.CONFLICT


async def test_kserves_own_autoscaler_is_left_to_it_and_the_hand_over_told(kserve: KServe) -> None:
    kserve.apply(service("own", None, maxReplicas=3))
    async with kserve.running() as (client, collector):
        seen = await seen_until(collector, "own", lambda s: bool(s.pods))
        assert seen.replicas.held_by == "KServe's own autoscaler (hpa, by default)"
        assert seen.replicas.hand_over == f"set {CLASS}: external"
        assert seen.spec is not None
        assert seen.spec.max_replicas == 3
        actuator = KServeActuator(client, ScaleActuator(client), collector.write_of)
        assert (await actuator.apply(to(seen, 2))).outcome is Outcome.CONFLICT
        assert kserve.get("hpa", "own-predictor")["spec"]["maxReplicas"] == 3


async def test_a_service_of_several_nodes_is_refused(kserve: KServe) -> None:
    kserve.apply(service("wide", "external", workerSpec={"size": 2}))
    async with kserve.running() as (_, collector):
        seen = await seen_until(collector, "wide", lambda s: bool(s.problems))
        assert seen.spec is None
        assert seen.reason is Reason.UNSUPPORTED
        assert "spec.predictor.workerSpec: is set, multi-node services are not scaled" in str(
            seen.problems[0]
        )


async def test_a_cluster_without_kserve_is_fully_observed(real_stack: Stack) -> None:
    """Before the definition is installed, its absence is no error."""
    client = await KubernetesClient.connect(
        kubeconfig=str(real_stack.kubeconfig), context=None, timeout_s=5.0
    )
    try:
        collector = KubernetesCollector(client, SystemClock(), defaults=lambda _: Defaults())
        await collector.read_once()
        assert collector.synced
        assert collector.error is None
    finally:
        await client.close()
