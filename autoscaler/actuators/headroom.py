"""Tells a node autoscaler of headroom: a Deployment of placeholders, or a CapacityBuffer with its PodTemplate.

Everything is written by server-side apply, so that a write is absolute, can be repeated and makes what is missing, into
a namespace of its own, in which nothing has any rights: it goes with the installation, and with it all headroom. Needs
`get`, `create` and `patch` there on deployments, and on podtemplates and capacitybuffers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from autoscaler.actuators.outcomes import outcome_of
from autoscaler.clients.kubernetes import APPLY, MERGE_PATCH, KubernetesClient
from autoscaler.clients.objects import headroom_path
from autoscaler.core.nodes.observed import (
    BUFFER_API,
    DIGEST_ANNOTATION,
    HEADROOM_LABEL,
    Backend,
    SetHeadroom,
)
from autoscaler.core.nodes.settings import PoolSettings
from autoscaler.core.types import HeadroomResult, Outcome
from autoscaler.errors import ActuationError, ActuationRejected, AutoscalerError

Object = dict[str, Any]
MANAGER = "fieldManager=forescale&force=true"
STRATEGY = "buffer.x-k8s.io/active-capacity"


class HeadroomActuator:
    """Writes the objects of all pools into one namespace."""

    def __init__(
        self,
        client: KubernetesClient,
        *,
        pools: Mapping[str, PoolSettings],
        namespace: str,
        image: str,
        priority_class: str,
    ) -> None:
        self._client, self._pools, self._namespace = client, pools, namespace
        self._image, self._priority_class = image, priority_class

    def digest(self, pool: str) -> str:
        """Of the form of the pool's placeholders, the number left out."""
        text = json.dumps(self._pod(pool), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    async def apply(self, action: SetHeadroom) -> HeadroomResult:
        """Up to two writes; what became of them is the result, not an exception."""
        try:
            if action.pool in self._pools:
                await self._ask(action)
            else:
                # Its form is not known any more: the number is all that is changed.
                path = f"{headroom_path(action.backend, self._namespace)}/{action.pool}"
                body = {"spec": {"replicas": action.units}}
                await self._client.write("PATCH", path, body, content=MERGE_PATCH)
        except AutoscalerError as error:
            return HeadroomResult(action=action, outcome=outcome_of(error), message=str(error))
        return HeadroomResult(action=action, outcome=Outcome.APPLIED)

    async def _ask(self, action: SetHeadroom) -> None:
        unit = self._pools[action.pool].unit
        for path, body in self._objects(action.backend, action.pool, -(-action.units // unit)):
            await self._client.write("PATCH", f"{path}?{MANAGER}", body, content=APPLY)

    def _objects(self, backend: Backend, pool: str, replicas: int) -> list[tuple[str, Object]]:
        match backend:
            case Backend.PLACEHOLDER:
                return self.placeholder(pool, replicas)
            case Backend.CAPACITY_BUFFER:
                return self.buffer(pool, replicas)

    def placeholder(self, pool: str, replicas: int) -> list[tuple[str, Object]]:
        """(path, object) of a Deployment whose pods hold the room and give it to whoever asks."""
        labels = {HEADROOM_LABEL: pool}
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self._metadata(pool),
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                # A changed form must not ask for twice the room.
                "strategy": {"type": "Recreate"},
                "template": self._pod(pool),
            },
        }
        return [(f"{headroom_path(Backend.PLACEHOLDER, self._namespace)}/{pool}", body)]

    def buffer(self, pool: str, replicas: int) -> list[tuple[str, Object]]:
        """(path, object) of a PodTemplate and the CapacityBuffer of it; the template first."""
        template = {
            "apiVersion": "v1",
            "kind": "PodTemplate",
            "metadata": self._metadata(pool),
            "template": self._pod(pool),
        }
        buffer = {
            "apiVersion": BUFFER_API,
            "kind": "CapacityBuffer",
            "metadata": self._metadata(pool),
            "spec": {
                "provisioningStrategy": STRATEGY,
                "podTemplateRef": {"name": pool},
                "replicas": replicas,
            },
        }
        return [
            (f"/api/v1/namespaces/{self._namespace}/podtemplates/{pool}", template),
            (f"{headroom_path(Backend.CAPACITY_BUFFER, self._namespace)}/{pool}", buffer),
        ]

    def _metadata(self, pool: str) -> Object:
        return {
            "name": pool,
            "namespace": self._namespace,
            "labels": {HEADROOM_LABEL: pool, "app.kubernetes.io/managed-by": "forescale"},
            "annotations": {DIGEST_ANNOTATION: self.digest(pool)},
        }

    def _pod(self, pool: str) -> Object:
        settings = self._pools[pool]
        # Written twice on purpose: the API server fills requests in from limits in pods, not in a PodTemplate.
        held = {settings.resource: str(settings.unit)}
        small = {"cpu": "10m", "memory": "16Mi"}
        return {
            "metadata": {
                "labels": {HEADROOM_LABEL: pool},
                "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"},
            },
            "spec": {
                "priorityClassName": self._priority_class,
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "nodeSelector": dict(settings.labels),
                "tolerations": [{"key": key, "operator": "Exists"} for key in settings.taints],
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "hold",
                        "image": self._image,
                        "resources": {"requests": {**small, **held}, "limits": held},
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            },
        }


async def sweep(client: KubernetesClient, namespace: str) -> int:
    """Removes all headroom; the number of collections that were emptied. Needs `deletecollection`.

    Raises:
        ActuationError: what was there may be there still. A kind that the cluster does not know is none.
    """
    label = f"labelSelector={HEADROOM_LABEL.replace('/', '%2F')}"
    emptied, failed = 0, None
    for folder in (
        *(headroom_path(backend, namespace) for backend in Backend),
        f"/api/v1/namespaces/{namespace}/podtemplates",
    ):
        try:
            await client.write("DELETE", f"{folder}?{label}", None)
            emptied += 1
        except ActuationError as error:
            # A webhook of one kind that is down leaves none of the others.
            if not (isinstance(error, ActuationRejected) and "status 404" in str(error)):
                failed = failed or error
    if failed is not None:
        raise failed
    return emptied
