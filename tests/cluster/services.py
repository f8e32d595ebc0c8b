"""KServe's services on the real API server, with the stand-ins for KServe and Knative at work beside a collector."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clock import SystemClock
from autoscaler.collectors.inference_service import CLASS, MODE
from autoscaler.collectors.kubernetes import KubernetesCollector
from autoscaler.collectors.seen import Seen
from autoscaler.core.annotations import Defaults
from autoscaler.core.reasons import Reason
from autoscaler.core.types import SetReplicas
from loadtests.kserve.controller import StandInController
from loadtests.kserve.knative import StandInKnative
from loadtests.kserve.llm import StandInLlmController
from loadtests.stack.stack import Stack

NAMESPACE = "kserve-test"
DEADLINE_S = 90.0
WRITES_AS = "forescale:forescale/forescale"
MODELS = '[{"name": "bert", "max_batch_size": 2, "service_base_ms": 40, "service_per_item_ms": 12}]'


def service(
    name: str,
    class_: str | None,
    *,
    mode: str = "Standard",
    replicas: int = 1,
    **predictor: Any,
) -> dict[str, Any]:
    """A service under forescale that runs Triton."""
    annotations = {
        "forescale.io/slo": "99% < 300ms",
        MODE: mode,
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


def llm_service(name: str, **spec: Any) -> dict[str, Any]:
    """An LLMInferenceService under forescale that runs the stand-in for vLLM."""
    container = {
        "name": "main",
        "image": "vllm/vllm-openai:v0.11.0",
        "command": ["vllm", "serve", "/mnt/models"],
        "args": ["--max-num-seqs=8"],
        "resources": {"limits": {"nvidia.com/gpu": 1}},
    }
    annotations = {"forescale.io/slo": "p95 ttft < 2s, p95 tpot < 50ms"}
    return {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations},
        "spec": {
            "model": {"uri": "hf://meta-llama/Llama-3.1-8B"},
            "router": {"scheduler": {}},
            "template": {"containers": [container]},
            **spec,
        },
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
    async def running(
        self,
        *,
        knative_syncs: bool = True,
        patch_revisions: bool = False,
        keeps_scale: bool = True,
        bases: Mapping[str, dict[str, Any]] | None = None,
    ) -> AsyncIterator[tuple[KubernetesClient, KubernetesCollector]]:
        """The stand-ins at work, and a collector beside them. `knative_syncs`: it is 1.21 or newer; `keeps_scale`:
        KServe is 0.17 or newer; `bases`: what LLMInferenceServices may take over, by name."""
        client = await KubernetesClient.connect(
            kubeconfig=str(self.stack.kubeconfig), context=None, timeout_s=5.0
        )
        standins = [
            asyncio.create_task(work)
            for work in (
                StandInController(client).run(),
                StandInLlmController(client, keeps=keeps_scale, bases=bases).run(),
                StandInKnative(client, follows=knative_syncs).run(),
            )
        ]
        collector = KubernetesCollector(
            client,
            SystemClock(),
            defaults=lambda _: Defaults(engines=("triton", "vllm")),
            knative_follows=patch_revisions,
            writes_as=WRITES_AS,
        )
        try:
            yield client, collector
        finally:
            for standin in standins:
                standin.cancel()
            await asyncio.gather(*standins, return_exceptions=True)
            # The GPUs are few: the next test starts with none taken.
            self.stack.kubectl("delete", "isvc,llmisvc", "--all", f"--namespace={NAMESPACE}")
            await client.close()


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
