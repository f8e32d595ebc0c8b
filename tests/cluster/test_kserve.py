"""InferenceServices on the real API server, with a stand-in for KServe's controller and real Triton servers as pods."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from autoscaler.actuators.kserve import KServeActuator
from autoscaler.actuators.scale import ScaleActuator
from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clock import SystemClock
from autoscaler.collectors.kserve import CLASS, KIND
from autoscaler.collectors.kubernetes import KubernetesCollector, Seen
from autoscaler.core.annotations import Defaults
from autoscaler.core.reasons import Reason
from autoscaler.core.types import Outcome, SetReplicas, WorkloadId
from loadtests.kserve.controller import StandInController
from loadtests.stack.stack import ROOT, Stack

NAMESPACE = "kserve-test"
DEADLINE_S = 90.0
MODELS = '[{"name": "bert", "max_batch_size": 2, "service_base_ms": 40, "service_per_item_ms": 12}]'


def service(
    name: str, class_: str | None, *, replicas: int = 1, **predictor: Any
) -> dict[str, Any]:
    """A service under forescale that runs Triton."""
    annotations = {
        "forescale.io/slo": "99% < 300ms",
        "serving.kserve.io/deploymentMode": "Standard",
    }
    if class_ is not None:
        annotations[CLASS] = class_
    container = {
        "name": "kserve-container",
        "image": "tritonserver",
        "env": [{"name": "MODELS", "value": MODELS}],
        "resources": {"limits": {"nvidia.com/gpu": 1}},
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations},
        "spec": {"predictor": {"minReplicas": replicas, "containers": [container], **predictor}},
    }


@dataclass
class KServe:
    """The stack with the definition installed."""

    stack: Stack

    def get(self, what: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.stack.kubectl("get", what, name, f"--namespace={NAMESPACE}", "-o", "json")
        )
        return found

    def apply(self, *objects: dict[str, Any]) -> None:
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.stack.kubectl("apply", "-f", "-", stdin=json.dumps(document))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[KubernetesClient, KubernetesCollector]]:
        """The stand-in at work, and a collector beside it."""
        client = await KubernetesClient.connect(
            kubeconfig=str(self.stack.kubeconfig), context=None, timeout_s=5.0
        )
        standin = asyncio.create_task(StandInController(client).run())
        try:
            yield client, KubernetesCollector(client, SystemClock(), defaults=lambda _: Defaults())
        finally:
            standin.cancel()
            await asyncio.gather(standin, return_exceptions=True)
            await client.close()


@pytest.fixture(scope="module")
def kserve(real_stack: Stack) -> Iterator[KServe]:
    crd = ROOT / "loadtests" / "stack" / "manifests" / "inferenceservice-crd.yaml"
    real_stack.kubectl("apply", "-f", str(crd))
    real_stack.kubectl("wait", "--for=condition=Established", "-f", str(crd), "--timeout=30s")
    real_stack.kubectl("create", "namespace", NAMESPACE)
    yield KServe(real_stack)
    real_stack.kubectl("delete", "namespace", NAMESPACE, "--wait=true")
    real_stack.kubectl("delete", "-f", str(crd))


async def seen_until(
    collector: KubernetesCollector, name: str, ready: Callable[[Seen], bool]
) -> Seen:
    """The service's observation, as soon as it is as it should be."""
    last: list[Seen] = []

    async def look() -> bool:
        await collector.read_once()
        last[:] = [item for item in collector.observe() if item.id.namespace == NAMESPACE]
        return any(item.id.name == name and ready(item) for item in last)

    await until(look, f"{name}, seen are {last}")
    (found,) = [item for item in last if item.id.name == name]
    return found


async def until(look: Callable[[], Awaitable[bool]], what: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await look():  # noqa: ASYNC110 - the world outside sets no event
            await asyncio.sleep(0.5)


def to(seen: Seen, replicas: int) -> SetReplicas:
    return SetReplicas(
        workload=seen.id,
        api_version=seen.api_version,
        observed=seen.replicas.desired,
        replicas=replicas,
        reason=Reason.DEMAND_RISING,
        message="test",
    )


def ready_pods(seen: Seen) -> int:
    return sum(1 for pod in seen.pods if pod.ready_s is not None)


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
