"""Writes down once a second what the API server shows of nodes, their pools, and the pods that wait for one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.collectors.projection import seconds
from autoscaler.errors import SourceError

RESOURCE_PREFIX = "nvidia.com/"


@dataclass(frozen=True, slots=True)
class NodeMoment:
    """Nodes of each pool at one moment."""

    at_s: float
    nodes: dict[str, int]
    usable: dict[str, int]
    """Ready and with GPUs or slices that can be allocated."""

    def of(self, pools: Sequence[str]) -> int:
        """Nodes of these pools."""
        return sum(self.nodes.get(pool, 0) for pool in pools)


@dataclass(slots=True)
class PodStory:
    """One pod of the workload: from its creation to its binding."""

    name: str
    created_s: float
    scheduled_s: float | None = None
    node: str = ""
    waited: bool = False
    """It was seen pending because no node had room, not even that of a placeholder that gives way."""


@dataclass(slots=True)
class NodeStory:
    """One node."""

    name: str
    pool: str
    created_s: float
    usable_s: float | None = None
    gone_s: float | None = None


@dataclass(slots=True)
class NodeRecorder:
    """Looks at nodes and at the pods of one namespace."""

    client: KubernetesClient
    namespace: str
    moments: list[NodeMoment] = field(default_factory=list)
    pods: dict[str, PodStory] = field(default_factory=dict)
    nodes: dict[str, NodeStory] = field(default_factory=dict)
    pdb_broken: list[tuple[float, int, int]] = field(default_factory=list)
    """(time, healthy pods, pods that the budget asks for)."""

    async def run(self) -> None:
        """For ever; a look that fails is left out."""
        while True:
            started_s = time.monotonic()
            with contextlib.suppress(SourceError):
                await self._look()
            await asyncio.sleep(max(0.0, 1.0 - (time.monotonic() - started_s)))

    async def _look(self) -> None:
        now_s = time.time()
        self._take_nodes((await self.client.read("/api/v1/nodes"))["items"], now_s)
        for pod in (await self.client.read(f"/api/v1/namespaces/{self.namespace}/pods"))["items"]:
            self.take_pod(pod)
        budgets = f"/apis/policy/v1/namespaces/{self.namespace}/poddisruptionbudgets"
        for budget in (await self.client.read(budgets))["items"]:
            status = budget.get("status", {})
            healthy, desired = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
            if healthy < desired and status.get("expectedPods", 0) >= desired:
                self.pdb_broken.append((now_s, healthy, desired))

    def _take_nodes(self, items: list[dict[str, Any]], now_s: float) -> None:
        present: set[str] = set()
        counts: dict[str, int] = {}
        usable: dict[str, int] = {}
        for item in items:
            metadata, status = item["metadata"], item.get("status", {})
            name, pool = metadata["name"], metadata.get("labels", {}).get("karpenter.sh/nodepool")
            if pool is None:
                continue
            present.add(name)
            created_s = seconds(metadata["creationTimestamp"]) or now_s
            story = self.nodes.setdefault(name, NodeStory(name, pool, created_s))
            counts[pool] = counts.get(pool, 0) + 1
            ready = any(
                c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ())
            )
            if ready and any(
                key.startswith(RESOURCE_PREFIX) and str(units) != "0"
                for key, units in status.get("allocatable", {}).items()
            ):
                usable[pool] = usable.get(pool, 0) + 1
                story.usable_s = story.usable_s or now_s
        for name, story in self.nodes.items():
            if name not in present and story.gone_s is None:
                story.gone_s = now_s
        self.moments.append(NodeMoment(now_s, counts, usable))

    def take_pod(self, item: dict[str, Any]) -> None:
        """What a pod's object shows."""
        metadata, status = item["metadata"], item.get("status", {})
        created_s = seconds(metadata["creationTimestamp"])
        if created_s is None:
            return
        story = self.pods.setdefault(metadata["name"], PodStory(metadata["name"], created_s))
        story.node = item["spec"].get("nodeName", "") or story.node
        for condition in status.get("conditions", ()):
            if condition["type"] != "PodScheduled":
                continue
            if condition["status"] == "True":
                story.scheduled_s = seconds(condition["lastTransitionTime"])
            elif condition.get("reason") == "Unschedulable" and "nominatedNodeName" not in status:
                story.waited = True
