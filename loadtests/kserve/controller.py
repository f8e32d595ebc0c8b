"""Does for an InferenceService in Standard mode what KServe's controller does, as far as replicas and annotations go.

- It makes the Deployment NAME-predictor, owned by the service, and copies the service's annotations to it *and to its
  pod template*: an annotation that is written to the service starts all pods anew.
- Class `hpa` (the default): it makes a HorizontalPodAutoscaler. `external`: none, and it leaves the replicas alone.
- Class `none`: none, and it sets the Deployment back to minReplicas whenever it looks.
"""

from __future__ import annotations

import asyncio
from typing import Any

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.errors import ActuationError, SourceError, SourceMissing

Object = dict[str, Any]
SERVICES = "/apis/serving.kserve.io/v1beta1/inferenceservices"
CLASS = "serving.kserve.io/autoscalerClass"
MODE = "serving.kserve.io/deploymentMode"
MERGE = "application/merge-patch+json"
# kubectl's own is the one that KServe leaves out.
NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration",)
PERIOD_S = 0.5


class StandInController:
    """Looks at all services again and again."""

    def __init__(self, client: KubernetesClient) -> None:
        self._client = client

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                async for services, _ in self._client.pages(SERVICES):
                    for service in services:
                        annotations = service["metadata"].get("annotations") or {}
                        if annotations.get(MODE, "Standard") == "Standard":
                            await self.reconcile(service)
            except (SourceError, ActuationError):
                pass  # the next look is as good
            await asyncio.sleep(PERIOD_S)

    async def reconcile(self, service: Object) -> None:
        """Brings what belongs to one service in order."""
        metadata = service["metadata"]
        folder = f"/apis/apps/v1/namespaces/{metadata['namespace']}/deployments"
        name = f"{metadata['name']}-predictor"
        wanted = deployment(service)
        class_ = (metadata.get("annotations") or {}).get(CLASS, "hpa")
        try:
            there = await self._client.read(f"{folder}/{name}")
        except SourceMissing:
            await self._client.write("POST", folder, wanted)
            there = None
        if there is not None:
            change: Object = {"metadata": {}, "spec": {}}
            annotations = wanted["metadata"]["annotations"]
            template = (there["spec"]["template"]["metadata"].get("annotations")) or {}
            if any(template.get(key) != value for key, value in annotations.items()):
                change["metadata"]["annotations"] = annotations
                change["spec"]["template"] = {"metadata": {"annotations": annotations}}
            if class_ == "none" and there["spec"]["replicas"] != wanted["spec"]["replicas"]:
                change["spec"]["replicas"] = wanted["spec"]["replicas"]
            if change["spec"]:
                await self._client.write("PATCH", f"{folder}/{name}", change, content=MERGE)
        if class_ == "hpa":
            await self._autoscaler(service, name)

    async def _autoscaler(self, service: Object, name: str) -> None:
        namespace = service["metadata"]["namespace"]
        folder = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
        try:
            await self._client.read(f"{folder}/{name}")
        except SourceMissing:
            predictor = service["spec"]["predictor"]
            await self._client.write(
                "POST",
                folder,
                {
                    "apiVersion": "autoscaling/v2",
                    "kind": "HorizontalPodAutoscaler",
                    "metadata": {"name": name, "ownerReferences": [_owner(service)]},
                    "spec": {
                        "scaleTargetRef": {
                            "apiVersion": "apps/v1",
                            "kind": "Deployment",
                            "name": name,
                        },
                        "minReplicas": predictor.get("minReplicas", 1),
                        "maxReplicas": max(1, predictor.get("maxReplicas", 1)),
                    },
                },
            )


def deployment(service: Object) -> Object:
    """The predictor's Deployment, as KServe makes it."""
    metadata, predictor = service["metadata"], service["spec"]["predictor"]
    name = f"{metadata['name']}-predictor"
    copied = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in NOT_COPIED}
    labels = {
        "app": f"isvc.{name}",
        "component": "predictor",
        "serving.kserve.io/inferenceservice": metadata["name"],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "annotations": copied,
            "labels": labels,
            "ownerReferences": [_owner(service)],
        },
        "spec": {
            "replicas": predictor.get("minReplicas", 1),
            "selector": {"matchLabels": {"app": f"isvc.{name}"}},
            "strategy": {"rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
            "template": {
                "metadata": {"labels": labels, "annotations": copied},
                "spec": {"containers": predictor.get("containers", [])},
            },
        },
    }


def owner(item: Object, api_version: str, kind: str) -> Object:
    """An entry of ownerReferences: `item`, whose list does not tell what it is, is the controller of what has it."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": item["metadata"]["name"],
        "uid": item["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _owner(service: Object) -> Object:
    return owner(service, "serving.kserve.io/v1beta1", "InferenceService")
