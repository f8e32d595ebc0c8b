"""Sets the replicas of KServe's services where their fields want them; everything else goes to its scale.

Needs `patch` on deployments/scale where KServe leaves the Deployment's number alone; where it sets it, on
inferenceservices (class `none`) and llminferenceservices (`spec.replicas`); and on Knative's revisions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from urllib.parse import quote

from autoscaler.actuators.outcomes import outcome_of
from autoscaler.actuators.scale import as_scale
from autoscaler.clients.kubernetes import JSON_PATCH, KubernetesClient
from autoscaler.core.types import ActionResult, Outcome, SetReplicas, WorkloadId
from autoscaler.core.writes import SERVICES, ReplicaWrite
from autoscaler.errors import AutoscalerError


class Scales(Protocol):
    """Writes to scale subresources."""

    async def apply(self, action: SetReplicas) -> ActionResult:
        """One write."""
        ...


class KServeActuator:
    """Writes for KServe's services through one API server."""

    def __init__(
        self,
        client: KubernetesClient,
        scales: Scales,
        write_of: Callable[[WorkloadId], ReplicaWrite | None],
        *,
        written_as: str = "forescale",
    ) -> None:
        """`written_as`: who wrote it, as the API server keeps it (`metadata.managedFields`)."""
        self._manager = quote(written_as, safe="")
        self._client, self._scales, self._write_of = client, scales, write_of

    async def apply(self, action: SetReplicas) -> ActionResult:
        """One write, never repeated; what became of it is the result, not an exception."""
        if action.workload.kind not in SERVICES:
            return await self._scales.apply(action)
        if action.replicas == action.observed:
            return ActionResult(action=action, outcome=Outcome.UNCHANGED)
        write = self._write_of(action.workload)
        if write is None:
            text = "its fields do not let forescale scale it any more"
            return ActionResult(action=action, outcome=Outcome.CONFLICT, message=text)
        try:
            path = f"{write.path}?fieldManager={self._manager}"
            await self._client.write("PATCH", path, patch(write, action), content=JSON_PATCH)
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
