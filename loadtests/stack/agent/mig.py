"""A stand-in for the GPU Operator's MIG manager and device plugin, on nodes that ask for it by a label.

It follows their documented protocol: the node label `nvidia.com/mig.config` changes -> state `pending`, the device
plugin and the GPU exporter of the whole node pause -> every slice is made anew -> `success`, or `failed` where a pod
still holds one, where the config is not known, or where an annotation of the node asks for it. It evicts nobody, does
not try again, and looks at nothing but a change of the label's value.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from loadtests.stack.agent.api import MERGE, STRATEGIC, Api, Object
from loadtests.stack.agent.nodes import adopted_status

MIG_LABEL = "stack.forescale.io/mig"
"""On a node of this stack whose GPUs are cut; its value is how many GPUs it has."""
FAULT = "stack.forescale.io/mig-fault"
"""Annotation: `fail` lets the next change fail, `hang` lets it never end. It is used up by that."""
CONFIG, STATE = "nvidia.com/mig.config", "nvidia.com/mig.config.state"
RESOURCE = "nvidia.com/mig-"
WORK_S = 3.0
"""Between `pending` and the end of it: the operator's pods go and come."""
# How each config cuts one GPU, as in the ConfigMap that the operator ships for an A100-80GB.
CONFIGS: Mapping[str, Mapping[str, int]] = {
    "all-1g.10gb": {"1g.10gb": 7},
    "all-3g.40gb": {"3g.40gb": 2},
    "all-balanced": {"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1},
}


@dataclass(slots=True)
class MigNode:
    """What the manager remembers of one node."""

    gpus: int
    seen: str | None = None
    """The label's value that it has acted on."""
    slices: dict[str, int] = field(default_factory=dict)
    """As they are cut now."""
    paused: bool = False
    """The device plugin and the exporter are not there."""


class MigManager:
    """All nodes with the label."""

    def __init__(self, api: Api, work_s: float = WORK_S) -> None:
        self._api, self._work_s = api, work_s
        self.nodes: dict[str, MigNode] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def follow(self) -> None:
        """Acts on every change of a label, for ever."""
        async for kind, node in self._api.follow("nodes"):
            name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
            if MIG_LABEL not in labels:
                continue
            if kind == "DELETED":
                self.nodes.pop(name, None)
                task = self._tasks.pop(name, None)
                if task is not None:
                    task.cancel()
                continue
            known = self.nodes.setdefault(name, MigNode(gpus=int(labels[MIG_LABEL])))
            config = labels.get(CONFIG)
            if config and config != known.seen:
                known.seen = config
                before = self._tasks.get(name)
                if before is not None:
                    before.cancel()
                self._tasks[name] = asyncio.create_task(self._change(name, known, config, node))

    async def _change(self, name: str, node: MigNode, config: str, raw: Object) -> None:
        fault = (raw["metadata"].get("annotations") or {}).get(FAULT)
        if fault:
            await self._patch(name, {"metadata": {"annotations": {FAULT: None}}})
        node.paused = True
        await self._say(name, "pending")
        await self._show(name, node)
        await asyncio.sleep(self._work_s)
        if fault == "hang":
            return
        wanted = CONFIGS.get(config)
        good = fault != "fail" and wanted is not None and not await self._in_use(name)
        if good and wanted is not None:
            node.slices = {profile: count * node.gpus for profile, count in wanted.items()}
        node.paused = False
        await self._show(name, node)
        await self._say(name, "success" if good else "failed")

    async def _in_use(self, name: str) -> bool:
        """Whether a pod on the node holds a slice: then NVML refuses, and nothing has changed."""
        _, listed = await self._api.call(
            "GET", f"/api/v1/pods?fieldSelector=spec.nodeName%3D{name}"
        )
        return any(
            resource.startswith(RESOURCE)
            for pod in listed["items"]
            for container in pod["spec"]["containers"]
            for resource in (container.get("resources") or {}).get("limits") or {}
        )

    async def _show(self, name: str, node: MigNode) -> None:
        """The device plugin's part: what the kubelet can allocate."""
        profiles = {profile for cut in CONFIGS.values() for profile in cut}
        shown = {
            f"{RESOURCE}{profile}": str(0 if node.paused else node.slices.get(profile, 0))
            for profile in sorted(profiles)
        }
        path = f"/api/v1/nodes/{name}/status"
        await self._api.call("PATCH", path, adopted_status(shown), content=STRATEGIC)

    async def _say(self, name: str, state: str) -> None:
        await self._patch(name, {"metadata": {"labels": {STATE: state}}})

    async def _patch(self, name: str, body: Object) -> None:
        await self._api.call("PATCH", f"/api/v1/nodes/{name}", body, content=MERGE)
