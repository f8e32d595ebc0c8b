"""Sets the replicas of an InferenceService where its mode and class want them; everything else goes to its scale.

Needs `patch` on deployments/scale (class `external`), on inferenceservices (class `none`), on Knative's revisions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from autoscaler.actuators.outcomes import outcome_of
from autoscaler.actuators.scale import as_scale
from autoscaler.clients.kubernetes import JSON_PATCH, KubernetesClient
from autoscaler.core.types import ActionResult, Outcome, SetReplicas, WorkloadId
from autoscaler.core.writes import ReplicaWrite
from autoscaler.errors import AutoscalerError

SERVICE = "InferenceService"


class Scales(Protocol):
    """Writes to scale subresources."""

    async def apply(self, action: SetReplicas) -> ActionResult:
        """One write."""
        ...


class KServeActuator:
    """Writes for InferenceServices through one API server."""

    def __init__(
        self,
        client: KubernetesClient,
        scales: Scales,
        write_of: Callable[[WorkloadId], ReplicaWrite | None],
    ) -> None:
        self._client, self._scales, self._write_of = client, scales, write_of

    async def apply(self, action: SetReplicas) -> ActionResult:
        """One write, never repeated; what became of it is the result, not an exception."""
        if action.workload.kind != SERVICE:
            return await self._scales.apply(action)
        if action.replicas == action.observed:
            return ActionResult(action=action, outcome=Outcome.UNCHANGED)
        write = self._write_of(action.workload)
        if write is None:
            text = "its mode or class does not let forescale scale it any more"
            return ActionResult(action=action, outcome=Outcome.CONFLICT, message=text)
        try:
            await self._client.write("PATCH", write.path, patch(write, action), content=JSON_PATCH)
        except AutoscalerError as error:
            return ActionResult(action=action, outcome=outcome_of(error), message=str(error))
        return ActionResult(action=action, outcome=Outcome.APPLIED)


def patch(write: ReplicaWrite, action: SetReplicas) -> list[dict[str, object]]:
    """The write's JSON patch with its numbers. Annotations take strings."""
    numbers: dict[object, object] = {None: action.replicas, "observed": as_scale(action.observed)}
    done: list[dict[str, object]] = []
    for step in write.patch:
        value = numbers.get(step["value"], step["value"])
        done.append({**step, "value": str(value) if write.as_text else value})
    return done
