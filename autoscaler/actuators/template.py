"""Writes to a Deployment's own template: which slice one container asks for, how many replicas, and the mark of it.

Every write is a JSON patch that tests the version that was read a moment before; who owns the template is judged once
more from that. New pods come first, as the Deployment's own rolling update has it. Needs `get` and `patch` on
deployments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.actuators.outcomes import outcome_of
from autoscaler.clients.kubernetes import JSON_PATCH, KubernetesClient
from autoscaler.clients.templates import mark_text, template_status
from autoscaler.core.mig.choice import resource_of
from autoscaler.core.slices.template import (
    SHAPE_ANNOTATION,
    SetShape,
    ShapePhase,
    ShapeStep,
    TemplateStatus,
)
from autoscaler.core.types import Outcome, ShapeResult
from autoscaler.errors import AutoscalerError

Object = Mapping[str, Any]


class TemplateActuator:
    """Carries out one step at one Deployment."""

    def __init__(self, client: KubernetesClient) -> None:
        self._client = client

    async def apply(self, action: SetShape) -> ShapeResult:
        """At most one write; what became of it is the result, not an exception."""
        path = f"/apis/apps/v1/namespaces/{action.namespace}/deployments/{action.name}"
        try:
            raw = await self._client.read(path)
            status = template_status(raw)
            if status is not None and status.mark == action.mark:
                # The watch has not shown yet what was written a tick ago.
                return ShapeResult(action=action, outcome=Outcome.UNCHANGED)
            why = _stale(action, raw, status)
            if why is not None or status is None:
                return ShapeResult(action=action, outcome=Outcome.CONFLICT, message=why or "")
            await self._client.write("PATCH", path, patch(action, raw), content=JSON_PATCH)
        except AutoscalerError as error:
            return ShapeResult(action=action, outcome=outcome_of(error), message=str(error))
        return ShapeResult(action=action, outcome=Outcome.APPLIED)


def _stale(action: SetShape, raw: Object, status: TemplateStatus | None) -> str | None:
    """Why the Deployment is not what the decision was made from."""
    if status is None:
        return "not exactly one of its containers asks for one slice any more"
    if status.mark != action.known:
        return f"{SHAPE_ANNOTATION} is another by now"
    if status.shape != action.expected:
        return f"its template asks for {status.shape} by now"
    if action.step is ShapeStep.SETTLE:
        return None
    if status.container != action.mark.container or status.image != action.mark.image:
        return f"its container is {status.container} with {status.image} by now"
    if action.step is ShapeStep.RESTORE:
        # What forescale itself began is taken back, even where somebody has laid claim to the template meanwhile.
        return "its rollout has come to its end by now" if _rolled_out(raw) else None
    replicas = (raw.get("spec") or {}).get("replicas")
    if replicas != action.observed:
        return f"spec.replicas is {replicas} by now"
    return status.owner or status.unrollable


def _rolled_out(raw: Object) -> bool:
    """Every replica is of the newest template and available, as Kubernetes counts."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    wanted = int(spec.get("replicas") or 0)
    counts = [int(status.get(f"{kind}eplicas") or 0) for kind in ("r", "updatedR", "availableR")]
    seen = int(status.get("observedGeneration") or 0) >= int(metadata.get("generation") or 0)
    return seen and counts == [wanted] * 3


def patch(action: SetShape, raw: Object) -> list[dict[str, Any]]:
    """RFC 6902: refuses unless the Deployment is what was read."""
    metadata, mark = raw["metadata"], action.mark
    steps: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
    ]
    if not metadata.get("annotations"):
        steps.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    where = f"/metadata/annotations/{_escaped(SHAPE_ANNOTATION)}"
    steps.append({"op": "add", "path": where, "value": mark_text(mark)})
    if action.step is ShapeStep.SETTLE:
        return steps
    wanted = mark.after if mark.phase is ShapePhase.ROLLING else mark.before
    steps += _resources(raw, mark.container, resource_of(action.expected), resource_of(wanted))
    if action.step is ShapeStep.CHANGE and mark.replicas != action.observed:
        steps.append({"op": "replace", "path": "/spec/replicas", "value": mark.replicas})
    return steps


def _resources(raw: Object, container: str, old: str, new: str) -> list[dict[str, Any]]:
    """The one name in the place of the other, in limits and requests, wherever it stands."""
    steps: list[dict[str, Any]] = []
    for index, one in enumerate(raw["spec"]["template"]["spec"]["containers"]):
        if one.get("name") != container:
            continue
        for part in ("limits", "requests"):
            amount = ((one.get("resources") or {}).get(part) or {}).get(old)
            if amount is None:
                continue
            where = f"/spec/template/spec/containers/{index}/resources/{part}"
            steps.append({"op": "remove", "path": f"{where}/{_escaped(old)}"})
            steps.append({"op": "add", "path": f"{where}/{_escaped(new)}", "value": amount})
    return steps


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
