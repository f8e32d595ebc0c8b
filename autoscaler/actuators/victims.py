"""Marks the pods that should go before replicas are lowered. Needs `patch` on pods.

A mark that can't be written holds nothing up: then Kubernetes chooses.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from autoscaler.clients.kubernetes import MERGE_PATCH, KubernetesClient
from autoscaler.core.types import ActionResult, SetReplicas
from autoscaler.errors import ActuationError

log = logging.getLogger(__name__)

COST = "controller.kubernetes.io/pod-deletion-cost"
GOES = "-100"


class Scales(Protocol):
    """Sets replicas."""

    async def apply(self, action: SetReplicas) -> ActionResult:
        """One write."""
        ...


class SteeringActuator:
    """Marks an action's victims, then hands it on."""

    def __init__(self, client: KubernetesClient, scales: Scales) -> None:
        self._client, self._scales = client, scales

    async def apply(self, action: SetReplicas) -> ActionResult:
        """One write for each victim, all at once, and then the action's own."""
        await asyncio.gather(*(self._mark(action, pod) for pod in action.victims))
        return await self._scales.apply(action)

    async def _mark(self, action: SetReplicas, pod: str) -> None:
        path = f"/api/v1/namespaces/{action.workload.namespace}/pods/{pod}"
        body = {"metadata": {"annotations": {COST: GOES}}}
        try:
            await self._client.write("PATCH", path, body, content=MERGE_PATCH)
        except ActuationError as error:
            log.warning("victim not marked", extra={"about": pod, "error": str(error)})
