"""An API server that is killed and started anew under a controller that watches: nothing is taken for gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import partial

import pytest

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clock import SystemClock
from autoscaler.collectors.kubernetes import KubernetesCollector
from autoscaler.core.annotations import Defaults
from loadtests.stack.errors import StackError
from loadtests.stack.stack import Stack

NAMESPACE = "restart"
DEADLINE_S = 60.0


def deployment(name: str, replicas: int) -> dict[str, object]:
    """Of pods that fit nowhere: they wait, and cost nothing."""
    labels = {"app": name}
    container = {"name": "triton", "image": "tritonserver"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "annotations": {"forescale.io/slo": "99% < 300ms"},
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "nodeSelector": {"none": "such"}},
            },
        },
    }


@pytest.fixture
def watched(real_stack: Stack) -> Iterator[Stack]:
    """Two Deployments with three pods and one."""
    real_stack.kubectl("create", "namespace", NAMESPACE)
    items = [deployment("bert", 3), deployment("t5", 1)]
    document = {"apiVersion": "v1", "kind": "List", "items": items}
    real_stack.kubectl("apply", "-f", "-", stdin=json.dumps(document))
    yield real_stack
    real_stack.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


async def test_an_api_server_that_starts_anew_takes_nothing_away(watched: Stack) -> None:
    """Its watches end with 410: what they told until then is kept until all is listed, and is held for old."""
    client = await KubernetesClient.connect(
        kubeconfig=str(watched.kubeconfig), context=None, timeout_s=5.0
    )
    collector = KubernetesCollector(client, SystemClock(), defaults=lambda _: Defaults())
    running = asyncio.create_task(collector.run())
    looks: list[tuple[bool, dict[str, tuple[int, int]]]] = []

    def look() -> dict[str, tuple[int, int]]:
        seen = [item for item in collector.observe() if item.id.namespace == NAMESPACE]
        found = {item.id.name: (item.replicas.desired, len(item.pods)) for item in seen}
        looks.append((all(item.pods_known for item in seen), found))
        return found

    async def until(replicas: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not collector.synced or look() != {"bert": (replicas, replicas), "t5": (1, 1)}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    await until(3)
    looks.clear()
    watched.kill("apiserver")
    down = asyncio.create_task(asyncio.sleep(3.0))
    while not down.done():
        look()
        await asyncio.sleep(0.05)
    starting = asyncio.create_task(asyncio.to_thread(partial(start, watched)))
    while not starting.done():
        look()
        await asyncio.sleep(0.05)
    await starting
    while collector.error is not None:
        look()
        await asyncio.sleep(0.05)
    assert {str(found) for _, found in looks} == {str({"bert": (3, 3), "t5": (1, 1)})}
    assert not all(known for known, _ in looks)
    # It is watched again, not only listed.
    watched.kubectl("scale", "deployment", "bert", f"--namespace={NAMESPACE}", "--replicas=4")
    await until(4)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await client.close()


def start(stack: Stack) -> None:
    """Until it is ready: for a second it knows of no rights, and answers 403."""
    stack.start("apiserver")
    for _ in range(300):
        try:
            stack.kubectl("get", "--raw", "/readyz")
            return
        except StackError:
            continue
    pytest.fail("the API server did not come back")
