"""Node pools, kept up to date: nodes, Karpenter's claims, the pods that hold GPUs, stock-outs, and our own headroom.

Needs `list` and `watch` on nodes, pods and events, on nodeclaims and nodepools (karpenter.sh), `get` on the
cluster-autoscaler's status ConfigMap, and the same on deployments and capacitybuffers in the headroom's namespace. What
a cluster does not have need not be there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from itertools import zip_longest
from typing import Any

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clients.objects import headroom_path
from autoscaler.clock import Clock
from autoscaler.collectors import cluster_autoscaler, node_views
from autoscaler.collectors.cluster_autoscaler import AutoscalerStatus, GroupStatus
from autoscaler.collectors.mirror import Mirror, View
from autoscaler.collectors.node_status import status_of
from autoscaler.collectors.node_views import (
    ClaimView,
    GpuPodView,
    HeadroomView,
    NodePoolView,
    NodeView,
    RefusalView,
)
from autoscaler.collectors.scale_ups import ScaleUps
from autoscaler.core.nodes.observed import (
    HEADROOM_LABEL,
    Backend,
    NodeStatus,
    PoolInput,
    StockOut,
)
from autoscaler.core.nodes.placement import NODEPOOL_LABEL, Taint
from autoscaler.core.nodes.settings import PoolSettings
from autoscaler.errors import SourceError, SourceMissing
from autoscaler.lasting import Lasting

log = logging.getLogger(__name__)

STATUS_PERIOD_S = 10.0
DIFFERS = -1
"""Headroom that an object of another form asks for: whatever is wanted, it has to be written."""


class NodeCollector:
    """Watches the configured pools of one cluster."""

    def __init__(
        self,
        client: KubernetesClient,
        clock: Clock,
        *,
        pools: Mapping[str, PoolSettings],
        namespace: str,
        digest: Callable[[str], str],
        managed: Callable[[], Collection[tuple[str, str]]],
        pods: Mirror[Any],
    ) -> None:
        """`namespace` is the headroom's; `digest` gives a placeholder's form by pool; `managed` gives, by namespace
        and uid, what owns the pods of workloads that forescale scales; `pods` is watched by whoever it belongs to."""
        self._client, self._clock = client, clock
        self._unread = Lasting(log, clock, over="cluster-autoscaler status is read again")
        self._pools, self._digest, self._managed = pools, digest, managed
        self._status: AutoscalerStatus | None = None
        self._scale_ups = {name: ScaleUps() for name, pool in pools.items() if pool.groups}
        self._status_error: str | None = None
        resources = frozenset(pool.resource for pool in pools.values())
        self._nodes: Mirror[NodeView] = Mirror(
            client,
            "/api/v1/nodes",
            lambda raw, before: node_views.node(raw, before, clock.now_s()),
            clock,
        )
        self._claims: Mirror[ClaimView] = Mirror(
            client, "/apis/karpenter.sh/v1/nodeclaims", node_views.claim, clock, optional=True
        )
        self._node_pools: Mirror[NodePoolView] = Mirror(
            client,
            "/apis/karpenter.sh/v1/nodepools",
            lambda raw, _: node_views.node_pool(raw),
            clock,
            optional=True,
        )
        self._pods: View[GpuPodView] = pods.view(
            lambda raw, _: node_views.gpu_pod(raw, resources, namespace)
        )
        self._refusals: Mirror[RefusalView] = Mirror(
            client,
            f"/api/v1/events?fieldSelector=reason%3D{node_views.INSUFFICIENT}",
            lambda raw, _: node_views.refusal(raw),
            clock,
        )
        label = f"labelSelector={HEADROOM_LABEL}".replace("/", "%2F")
        self._objects: dict[Backend, Mirror[HeadroomView]] = {
            Backend.PLACEHOLDER: Mirror(
                client,
                f"{headroom_path(Backend.PLACEHOLDER, namespace)}?{label}",
                lambda raw, _: node_views.headroom(raw),
                clock,
            ),
            Backend.CAPACITY_BUFFER: Mirror(
                client,
                f"{headroom_path(Backend.CAPACITY_BUFFER, namespace)}?{label}",
                lambda raw, _: node_views.headroom(raw),
                clock,
                optional=True,
            ),
        }

    @property
    def nodes(self) -> Mirror[NodeView]:
        """Watched here, and open to others' views."""
        return self._nodes

    @property
    def mirrors(self) -> tuple[Mirror[Any], ...]:
        """Everything that is watched here."""
        watched = (self._nodes, self._claims, self._node_pools, self._refusals)
        return (*watched, *self._objects.values())

    async def run(self) -> None:
        """Watches for ever."""
        async with asyncio.TaskGroup() as group:
            for mirror in self.mirrors:
                group.create_task(mirror.run())
            group.create_task(self._follow_status())

    async def read_once(self) -> None:
        """Lists everything once but pods. What can't be read says so in `observe`."""
        for mirror in self.mirrors:
            await mirror.try_relist()
        await self._read_status()

    def observe(self) -> tuple[PoolInput, ...]:
        """Every configured pool, by name, and what is left of others; no I/O."""
        now_s = self._clock.now_s()
        pools = [self._pool(name, self._pools[name], now_s) for name in sorted(self._pools)]
        return (*pools, *self._left())

    def _left(self) -> list[PoolInput]:
        """Pools that the policy does not name any more, and whose objects still ask for nodes."""
        asking: dict[str, list[tuple[Backend, int]]] = {}
        for backend, mirror in self._objects.items():
            for own in mirror.objects.values():
                if own.pool not in self._pools and own.name == own.pool and own.replicas:
                    asking.setdefault(own.pool, []).append((backend, own.replicas))
        return [PoolInput(pool=name, headroom=tuple(asking[name])) for name in sorted(asking)]

    def _pool(self, name: str, pool: PoolSettings, now_s: float) -> PoolInput:
        nodes = self._nodes_of(name)
        used, foreign = self._held(pool, {node.name for node in nodes})
        return PoolInput(
            pool=name,
            nodes=self._statuses(pool, nodes, used, self._asked(name, nodes), now_s),
            stock_out=self._stock_out(pool),
            foreign_units=foreign,
            other_units=self._elsewhere(pool.resource),
            taints=self._common_taints(nodes, pool.resource),
            most_nodes=self._most_nodes(pool),
            headroom=self._headroom(name, pool),
            trouble=self._trouble(name),
            stale=self._stale(pool, now_s),
        )

    def _trouble(self, name: str) -> tuple[tuple[Backend, str], ...]:
        """What keeps its headroom from being asked for: what its objects say, or who holds its placeholders back."""
        told = [
            (backend, own.trouble)
            for backend, mirror in self._objects.items()
            for own in mirror.objects.values()
            if own.pool == name and own.trouble is not None
        ]
        placeholders = self._objects[Backend.PLACEHOLDER].objects.values()
        if any(own.pool == name and own.replicas for own in placeholders):
            pods = self._pods.objects.values()
            gates = [pod.gate for pod in pods if pod.headroom == name and pod.gate]
            if gates:
                text = f"{gates[0]} holds back {len(gates)} of its pods"
                told.append((Backend.PLACEHOLDER, text))
        return tuple(told)

    def _elsewhere(self, resource: str) -> int:
        """Units of a resource on nodes that are of none of the pools that have it."""
        pools = [pool.labels for pool in self._pools.values() if pool.resource == resource]
        return sum(
            node.allocatable.get(resource, 0)
            for node in self._nodes.objects.values()
            if not any(node_views.carries(node.labels, labels) for labels in pools)
        )

    def _nodes_of(self, name: str) -> list[NodeView]:
        """Of two pools that claim a node's units, the first by name has it: it is not there twice."""
        pool = self._pools[name]
        before = [
            other.labels
            for key, other in self._pools.items()
            if key < name and other.resource == pool.resource
        ]
        return [
            node
            for node in self._nodes.objects.values()
            if node_views.carries(node.labels, pool.labels)
            and not any(node_views.carries(node.labels, labels) for labels in before)
        ]

    def _asked(self, name: str, nodes: Collection[NodeView]) -> ScaleUps:
        """What the cluster-autoscaler was seen to ask for; nothing where the pool names none of its groups."""
        asked = self._scale_ups.get(name, ScaleUps())
        asked.match(nodes)
        return asked

    def _statuses(
        self,
        pool: PoolSettings,
        nodes: list[NodeView],
        used: Mapping[str, int],
        asked: ScaleUps,
        now_s: float,
    ) -> tuple[NodeStatus, ...]:
        claims = [
            claim
            for claim in self._claims.objects.values()
            if node_views.carries(claim.labels, pool.labels)
        ]
        by_node = {claim.node: claim for claim in claims if claim.node}
        found = []
        for node in nodes:
            requested_s = asked.requested_s(node)
            found.append(
                status_of(node, by_node.get(node.name), requested_s, pool.resource, used, now_s)
            )
        present = {node.name for node in nodes}
        found += [
            NodeStatus(name=claim.name, requested_s=claim.requested_s, leaving=claim.leaving)
            for claim in claims
            if claim.node not in present
        ]
        found += self._coming(pool, asked)
        return tuple(sorted(found, key=lambda status: status.name))

    def _common_taints(self, nodes: Collection[NodeView], resource: str) -> tuple[Taint, ...]:
        """Those on each of them that is of use: what keeps pods away from the whole pool.

        A node that starts or goes has others for a while, of a network plugin that is not ready for one. As a pool's
        first node it would keep away those that it was asked for.
        """
        starting = {claim.node for claim in self._claims.objects.values() if claim.starting}
        sets = [
            frozenset(node.taints)
            for node in nodes
            if node.ready_s is not None
            and node.allocatable.get(resource)
            and not node.leaving
            and node.name not in starting
        ]
        return tuple(sorted(frozenset.intersection(*sets))) if sets else ()

    def _groups(self, pool: PoolSettings) -> list[GroupStatus]:
        """Those of its groups that the status names."""
        if self._status is None:
            return []
        found = (self._status.group(name) for name in pool.groups)
        return list({group.name: group for group in found if group is not None}.values())

    def _most_nodes(self, pool: PoolSettings) -> int | None:
        """As far as a node autoscaler tells it; nothing refuses a node beyond it, for none is asked for."""
        name = pool.labels.get(NODEPOOL_LABEL)
        for own in self._node_pools.objects.values():
            if own.name == name:
                nodes, units = own.limits.get("nodes"), own.limits.get(pool.resource)
                ends = [nodes, None if units is None else units // pool.units_per_node]
                return min((end for end in ends if end is not None), default=None)
        ends = [group.most for group in self._groups(pool)]
        told = [end for end in ends if end is not None]
        return sum(told) if told and len(told) == len(pool.groups) else None

    def _coming(self, pool: PoolSettings, asked: ScaleUps) -> list[NodeStatus]:
        """What the cluster-autoscaler has asked for."""
        names = [
            f"{group.name}/{number}"
            for group in self._groups(pool)
            for number in range(group.coming)
        ]
        return [
            NodeStatus(name=name, requested_s=at_s)
            for name, at_s in zip_longest(names, asked.asked_s[: len(names)])
        ]

    def _held(self, pool: PoolSettings, nodes: set[str]) -> tuple[dict[str, int], int]:
        """Units in use by node, placeholders left out, and those of other tenants."""
        used: dict[str, int] = {}
        foreign, managed = 0, self._managed()
        for pod in self._pods.objects.values():
            units = pod.resources.get(pool.resource, 0)
            if pod.headroom or not units or pod.node not in nodes:
                continue
            used[pod.node] = used.get(pod.node, 0) + units
            if pod.owner not in managed:
                foreign += units
        return used, foreign

    def _stock_out(self, pool: PoolSettings) -> StockOut | None:
        found = [
            StockOut(at_s=event.at_s, source="Event", message=event.message)
            for event in self._refusals.objects.values()
            if self._is_of(pool, event.claim)
        ]
        for claim in self._claims.objects.values():
            if claim.refused is not None and node_views.carries(claim.labels, pool.labels):
                at_s, message = claim.refused
                found.append(StockOut(at_s=at_s, source=f"NodeClaim {claim.name}", message=message))
        groups = self._groups(pool)
        refused = [f"{group.backoff}" for group in groups if group.backoff is not None]
        # One zone's group may be sold out while another's brings nodes.
        if groups and len(refused) == len(groups) and self._status is not None:
            # It stands for as long as the status says so.
            at_s = self._status.at_s or 0.0
            message = "; ".join(dict.fromkeys(refused))
            found.append(StockOut(at_s=at_s, source="cluster-autoscaler status", message=message))
        return max(found, key=lambda item: item.at_s, default=None)

    @staticmethod
    def _is_of(pool: PoolSettings, claim: str) -> bool:
        """Karpenter deletes a refused claim at once; its name, `<NodePool>-<random>`, is what is left of it."""
        owner = pool.labels.get(NODEPOOL_LABEL)
        return owner is not None and claim.rpartition("-")[0] == owner

    def _headroom(self, name: str, pool: PoolSettings) -> tuple[tuple[Backend, int], ...]:
        digest, found = self._digest(name), []
        for backend, mirror in self._objects.items():
            if not mirror.known or not mirror.synced:
                continue
            own = next((o for o in mirror.objects.values() if o.pool == name), None)
            if own is None:
                found.append((backend, 0))
            elif own.digest != digest:
                found.append((backend, DIFFERS))
            else:
                found.append((backend, own.replicas * pool.unit))
        return tuple(found)

    def _stale(self, pool: PoolSettings, now_s: float) -> str | None:
        for source in (self._nodes, self._claims, self._pods):
            if source.error is not None:
                return f"{source.path}: {source.error}"
            if not source.synced:
                return f"{source.path}: not listed yet"
        for own in self._objects.values():
            # Else it would pass for a back-end that is missing. One that can't be listed is missing indeed.
            if not own.synced and own.error is None:
                return f"{own.path}: not listed yet"
        if not pool.groups:
            return None
        if self._status is None:
            return self._status_error or "the cluster-autoscaler's status was not read yet"
        old = self._status.stale(now_s)
        if old is None and not self._groups(pool):
            names = ", ".join(pool.groups)
            return f"the cluster-autoscaler's status has no group {names}, or several whose names end so"
        return old

    async def _follow_status(self) -> None:
        while any(pool.groups for pool in self._pools.values()):
            await self._read_status()
            await self._clock.sleep(STATUS_PERIOD_S)

    async def _read_status(self) -> None:
        if not any(pool.groups for pool in self._pools.values()):
            return
        where = f"{cluster_autoscaler.NAMESPACE}/configmaps/{cluster_autoscaler.NAME}"
        try:
            found = await self._client.read(f"/api/v1/namespaces/{where}")
            self._status, self._status_error = cluster_autoscaler.read(found), None
            self._unread.end()
            self._take_in(self._status)
        except SourceMissing:
            self._status = None
            self._status_error = (
                f"{where}: there is none, so no cluster-autoscaler runs; leave out node_groups"
            )
        except SourceError as error:
            # What was read last goes stale by its own time.
            self._status_error = str(error)
            self._unread.tell("cluster-autoscaler status not read", error=self._status_error)

    def _take_in(self, status: AutoscalerStatus) -> None:
        if not self._nodes.synced:
            return
        for name, asked in self._scale_ups.items():
            pool = self._pools[name]
            asked.read(status.at_s, self._groups(pool), self._nodes_of(name))
