"""Does for an LLMInferenceService what KServe's controller does, as far as replicas, owners and labels go.

- It makes the Deployment NAME-kserve, owned by the service, and copies none of its annotations.
- With `spec.replicas` it sets the Deployment back to that whenever it looks. With neither that nor `spec.scaling` it
  leaves the replicas as they are; before 0.17 (`keeps` is false) it set them back to 1.
- With `spec.scaling` it makes an HPA. With `spec.prefill` there is a second Deployment, with `spec.worker` none, for a
  LeaderWorkerSet has the pods then; `spec.router.scheduler` brings a Deployment that holds no model.
- A service that is stopped has no Deployment.
- What the objects of `spec.baseRefs` say stands below what the service says itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.errors import ActuationError, SourceError, SourceMissing
from loadtests.kserve.controller import MERGE, PERIOD_S, owner

Object = dict[str, Any]
SERVICES = "/apis/serving.kserve.io/v1alpha2/llminferenceservices"
STOP = "serving.kserve.io/stop"
MANAGER = "kserve-controller"
WORKLOAD, PREFILL, SCHEDULER = (
    "llminferenceservice-workload",
    "llminferenceservice-workload-prefill",
    "llminferenceservice-router-scheduler",
)


class StandInLlmController:
    """Looks at all services again and again."""

    def __init__(
        self,
        client: KubernetesClient,
        *,
        keeps: bool = True,
        bases: Mapping[str, Object] | None = None,
    ) -> None:
        """`bases`: by name, what a service may take over."""
        self._client = client
        self._keeps = keeps
        self._bases = bases or {}

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                async for services, _ in self._client.pages(SERVICES):
                    for service in services:
                        # What one lacks is no other's concern, and the next look is as good.
                        with suppress(SourceError, ActuationError):
                            await self.reconcile(service)
            except (SourceError, ActuationError):
                pass
            await asyncio.sleep(PERIOD_S)

    async def reconcile(self, service: Object) -> None:
        """Brings what belongs to one service in order."""
        spec = self._merged(service["spec"])
        stopped = (service["metadata"].get("annotations") or {}).get(STOP) == "true"
        name = service["metadata"]["name"]
        runs = not stopped and "worker" not in spec
        role = "decode" if "prefill" in spec else "both"
        await self._deployed(
            service,
            f"{name}-kserve",
            _deployment(service, spec, f"{name}-kserve", WORKLOAD, role) if runs else None,
        )
        await self._deployed(
            service,
            f"{name}-kserve-prefill",
            _deployment(service, spec["prefill"], f"{name}-kserve-prefill", PREFILL, "prefill")
            if runs and "prefill" in spec
            else None,
        )
        await self._deployed(
            service,
            f"{name}-kserve-router-scheduler",
            _scheduler(service, f"{name}-kserve-router-scheduler")
            if not stopped and "scheduler" in spec.get("router", {})
            else None,
        )
        if runs and "scaling" in spec:
            await self._scaled(service, spec["scaling"], f"{name}-kserve")

    def _merged(self, spec: Object) -> Object:
        found: Object = {}
        for reference in spec.get("baseRefs", []):
            found |= self._bases.get(reference["name"], {})
        return found | spec

    async def _deployed(self, service: Object, name: str, wanted: Object | None) -> None:
        folder = f"/apis/apps/v1/namespaces/{service['metadata']['namespace']}/deployments"
        as_manager = f"?fieldManager={MANAGER}"
        try:
            there = await self._client.read(f"{folder}/{name}")
        except SourceMissing:
            if wanted is not None:
                await self._client.write("POST", f"{folder}{as_manager}", wanted)
            return
        if not _owned(there, service):
            return  # KServe reports an error, and touches nothing
        if wanted is None:
            await self._client.write("DELETE", f"{folder}/{name}", {})
            return
        replicas = wanted["spec"].get("replicas", None if self._keeps else 1)
        if replicas is not None and there["spec"]["replicas"] != replicas:
            change = {"spec": {"replicas": replicas}}
            path = f"{folder}/{name}{as_manager}"
            await self._client.write("PATCH", path, change, content=MERGE)

    async def _scaled(self, service: Object, scaling: Object, name: str) -> None:
        namespace = service["metadata"]["namespace"]
        folder = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
        try:
            await self._client.read(f"{folder}/{name}-hpa")
        except SourceMissing:
            target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
            await self._client.write(
                "POST",
                folder,
                {
                    "apiVersion": "autoscaling/v2",
                    "kind": "HorizontalPodAutoscaler",
                    "metadata": {"name": f"{name}-hpa", "ownerReferences": [_owner(service)]},
                    "spec": {
                        "scaleTargetRef": target,
                        "minReplicas": scaling.get("minReplicas", 1),
                        "maxReplicas": scaling["maxReplicas"],
                    },
                },
            )


def _deployment(service: Object, spec: Object, name: str, component: str, role: str) -> Object:
    labels = {
        "app.kubernetes.io/name": service["metadata"]["name"],
        "app.kubernetes.io/part-of": "llminferenceservice",
        "app.kubernetes.io/component": component,
        "kserve.io/component": "workload",
        "llm-d.ai/role": role,
    }
    replicas = {"replicas": spec["replicas"]} if "replicas" in spec else {}
    return _object(service, name, labels, spec.get("template", {}), replicas)


def _scheduler(service: Object, name: str) -> Object:
    labels = {
        "app.kubernetes.io/name": service["metadata"]["name"],
        "app.kubernetes.io/part-of": "llminferenceservice",
        "app.kubernetes.io/component": SCHEDULER,
    }
    pod = {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}]}
    return _object(service, name, labels, pod, {})


def _object(
    service: Object, name: str, labels: Object, pod: Object, replicas: Mapping[str, int]
) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels, "ownerReferences": [_owner(service)]},
        "spec": {
            **replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _owned(item: Object, service: Object) -> bool:
    owners = item["metadata"].get("ownerReferences", ())
    return any(owner["uid"] == service["metadata"]["uid"] for owner in owners)


def _owner(service: Object) -> Object:
    return owner(service, "serving.kserve.io/v1alpha2", "LLMInferenceService")
