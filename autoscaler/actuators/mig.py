"""Writes to nodes whose GPUs are cut anew: cordon, the MIG manager's label, uncordon, and nothing else of a node.

Every write is a JSON patch that tests the version that was read a moment before. Before the label is written the pods
of the node are listed once more, from the API server itself and not from a watch: one that holds a GPU or a slice ends
it. Needs `get` and `patch` on nodes, `list` on pods.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from autoscaler.actuators.outcomes import outcome_of
from autoscaler.clients.kubernetes import JSON_PATCH, KubernetesClient
from autoscaler.clients.objects import holders, mark_of
from autoscaler.core.slices.observed import CHANGE_ANNOTATION, CONFIG_LABEL, MigAction, MigStep
from autoscaler.core.types import MigResult, Outcome
from autoscaler.errors import AutoscalerError

Object = Mapping[str, Any]


class MigActuator:
    """Carries out one step at one node."""

    def __init__(self, client: KubernetesClient) -> None:
        self._client = client

    async def apply(self, action: MigAction) -> MigResult:
        """At most one write; what became of it is the result, not an exception."""
        path = f"/api/v1/nodes/{action.node}"
        try:
            node = await self._client.read(path)
            why = self._stale(action, node) or await self._in_use(action)
            if why is not None:
                return MigResult(action=action, outcome=Outcome.CONFLICT, message=why)
            patch = _patch(action, node)
            if patch is None:
                return MigResult(action=action, outcome=Outcome.UNCHANGED)
            await self._client.write("PATCH", path, patch, content=JSON_PATCH)
        except AutoscalerError as error:
            return MigResult(action=action, outcome=outcome_of(error), message=str(error))
        return MigResult(action=action, outcome=Outcome.APPLIED)

    def _stale(self, action: MigAction, node: Object) -> str | None:
        """Why the node is not what the decision was made from."""
        labels = node["metadata"].get("labels") or {}
        cordoned = bool((node.get("spec") or {}).get("unschedulable"))
        marked = mark_of(node) is not None
        if labels.get(CONFIG_LABEL, "") != action.expected:
            return f"{CONFIG_LABEL} is {labels.get(CONFIG_LABEL)!r} by now"
        if action.step is MigStep.CORDON and cordoned and not marked:
            return "somebody else has cordoned it"
        if action.step is MigStep.APPLY and not (cordoned and marked):
            return "it is not cordoned by forescale any more"
        return None

    async def _in_use(self, action: MigAction) -> str | None:
        """The pods that hold any of it now, read past every cache."""
        if action.step is not MigStep.APPLY:
            return None
        held: list[str] = []
        path = f"/api/v1/pods?fieldSelector=spec.nodeName%3D{action.node}"
        async for page, _ in self._client.pages(path):
            held += [found[0].pod for found in map(holders, page) if found]
        return f"in use: {', '.join(held[:3])}" if held else None


def _patch(action: MigAction, node: Object) -> list[dict[str, Any]] | None:
    """None: there is nothing to do."""
    metadata = node["metadata"]
    annotations, label = metadata.get("annotations"), _pointer("labels", CONFIG_LABEL)
    marked = annotations is not None and CHANGE_ANNOTATION in annotations
    mark = _pointer("annotations", CHANGE_ANNOTATION)
    tests: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
    ]
    if action.step is MigStep.APPLY:
        return [*tests, {"op": "replace", "path": label, "value": action.config}]
    if action.step is MigStep.UNCORDON:
        if not marked:
            return None
        opened = {"op": "add", "path": "/spec/unschedulable", "value": False}
        return [*tests, {"op": "remove", "path": mark}, opened]
    told = json.dumps({"before": action.expected, "after": action.config})
    if annotations is None:
        tests.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    return [
        *tests,
        {"op": "add", "path": mark, "value": told},
        {"op": "add", "path": "/spec/unschedulable", "value": True},
    ]


def _pointer(field: str, key: str) -> str:
    return f"/metadata/{field}/{key.replace('~', '~0').replace('/', '~1')}"
