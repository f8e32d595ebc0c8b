"""Sets the replicas of anything that has a scale subresource.

The write is a JSON patch that first tests the number that the decision was made from, so that an edit which came in
between is never overwritten. Needs `patch` on the scale subresource, such as deployments/scale.
"""

from __future__ import annotations

from urllib.parse import quote

from autoscaler.actuators.outcomes import outcome_of
from autoscaler.clients.kubernetes import JSON_PATCH, KubernetesClient
from autoscaler.core.types import ActionResult, Outcome, SetReplicas
from autoscaler.errors import ActuationRejected, AutoscalerError

PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "ReplicaSet": "replicasets"}


class ScaleActuator:
    """Writes scales through one API server."""

    def __init__(self, client: KubernetesClient, *, written_as: str = "forescale") -> None:
        """`written_as`: who wrote it, as the API server keeps it (`metadata.managedFields`)."""
        self._client = client
        self._manager = quote(written_as, safe="")
        self._plurals: dict[tuple[str, str], str] = {("apps/v1", k): v for k, v in PLURALS.items()}

    async def apply(self, action: SetReplicas) -> ActionResult:
        """One write, never repeated; what became of it is the result, not an exception."""
        if action.replicas == action.observed:
            return ActionResult(action=action, outcome=Outcome.UNCHANGED)
        try:
            path = await self._path(action)
            await self._client.write(
                "PATCH",
                f"{path}?fieldManager={self._manager}",
                patch(action),
                content=JSON_PATCH,
            )
        except AutoscalerError as error:
            return ActionResult(action=action, outcome=outcome_of(error), message=str(error))
        return ActionResult(action=action, outcome=Outcome.APPLIED)

    async def _path(self, action: SetReplicas) -> str:
        key = (action.api_version, action.workload.kind)
        group = (
            f"/api/{action.api_version}"
            if "/" not in action.api_version
            else f"/apis/{action.api_version}"
        )
        if key not in self._plurals:
            self._plurals[key] = await self._plural(group, action.workload.kind)
        return f"{group}/namespaces/{action.workload.namespace}/{self._plurals[key]}/{action.workload.name}/scale"

    async def _plural(self, group: str, kind: str) -> str:
        """From discovery: a kind is scalable if it has a scale subresource."""
        listed = await self._client.read(group)
        names = {r["name"]: r["kind"] for r in listed.get("resources", ())}
        for name, its_kind in names.items():
            if its_kind == kind and "/" not in name and f"{name}/scale" in names:
                return str(name)
        raise ActuationRejected(
            f"{kind} of {group}: has no scale subresource, so its replicas can't be set"
        )


def patch(action: SetReplicas) -> list[dict[str, object]]:
    """RFC 6902: refuses unless spec.replicas is still what was observed."""
    return [
        {"op": "test", "path": "/spec/replicas", "value": as_scale(action.observed)},
        {"op": "add", "path": "/spec/replicas", "value": action.replicas},
    ]


def as_scale(observed: int) -> int | None:
    """What a test must find in a Scale. None, which is an absence: the API server leaves a 0 out of its JSON."""
    return observed or None
