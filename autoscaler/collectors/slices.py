"""Slice pools, kept up to date: nodes and their MIG labels, who holds slices by two sources, and Services over groups.

Needs `list` and `watch` on nodes, pods and services, and a GPU exporter that Prometheus scrapes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from autoscaler.clients.kubernetes import KubernetesClient, Object
from autoscaler.clients.prometheus import PrometheusClient
from autoscaler.clock import Clock
from autoscaler.collectors import slice_views
from autoscaler.collectors.mirror import Mirror, View
from autoscaler.collectors.node_views import carries
from autoscaler.collectors.slice_views import PlacedHolder, ServiceView, SliceNodeView
from autoscaler.core.nodes.placement import ZONE_LABEL
from autoscaler.core.slices.observed import Front, Holder, SliceNode, SlicesInput
from autoscaler.core.slices.settings import SlicePoolSettings
from autoscaler.errors import SourceError
from autoscaler.lasting import Lasting

log = logging.getLogger(__name__)

EXPORTER_PERIOD_S = 10.0
EXPORTER_LASTS_S = 40.0
"""What the exporter told longer ago is not known any more."""
BLIND_AFTER_S = 120.0
"""A pod that is bound shows at an exporter by then, collected every 30 s and scraped as often."""

Groups = Mapping[tuple[str, str], Mapping[str, Mapping[str, str]]]
"""By (namespace, group): the labels of each member's pods, by `namespace/name`."""


class SliceCollector:
    """Watches the slice pools of one cluster."""

    def __init__(
        self,
        client: KubernetesClient,
        prometheus: PrometheusClient,
        clock: Clock,
        *,
        pools: Mapping[str, SlicePoolSettings],
        groups: Callable[[], Groups],
        pods: Mirror[Any],
        nodes: Mirror[Any] | None = None,
        labels: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        """`labels` gives the keys of a node's labels that matter to somebody: a node has dozens; `pods` and `nodes` are
        watched by whoever they belong to. Without `nodes` they are watched here."""
        self._prometheus, self._clock = prometheus, clock
        self._unread = Lasting(log, clock, over="GPU exporters are read again")
        self._pools, self._groups, self._labels = pools, groups, labels
        self._devices: Mapping[str, int] = {}
        self._told_s: float | None = None
        self._unseen_s: dict[str, float] = {}
        self._telling: set[str] = set()
        self._nodes: Mirror[SliceNodeView] | View[SliceNodeView]
        if nodes is None:
            self._nodes = Mirror(client, "/api/v1/nodes", _project_node, clock)
        else:
            self._nodes = nodes.view(_project_node)
        self._pods: View[PlacedHolder] = pods.view(lambda raw, _: slice_views.placed(raw))
        self._services: Mirror[ServiceView] = Mirror(
            client, "/api/v1/services", lambda raw, _: slice_views.service(raw), clock
        )

    @property
    def mirrors(self) -> tuple[Mirror[Any], ...]:
        """Everything that is watched here."""
        own = (self._nodes,) if isinstance(self._nodes, Mirror) else ()
        return (*own, self._services)

    async def run(self) -> None:
        """Watches for ever."""
        async with asyncio.TaskGroup() as group:
            for mirror in self.mirrors:
                group.create_task(mirror.run())
            group.create_task(self._follow_exporters())

    async def read_once(self) -> None:
        """Reads everything once but pods. What can't be read says so in `observe`."""
        for mirror in self.mirrors:
            await mirror.try_relist()
        await self._ask_exporters()

    def observe(self) -> SlicesInput:
        """No I/O."""
        stale = self._stale()
        held: dict[str, list[Holder]] = {}
        for pod in self._pods.objects.values():
            held.setdefault(pod.node, []).extend(pod.holders)
        told = (
            self._devices
            if self._told_s is not None
            and self._clock.monotonic_s() - self._told_s < EXPORTER_LASTS_S
            else {}
        )
        asked = sorted(self._labels())
        nodes = [
            SliceNode(
                name=view.name,
                pool=pool,
                config=view.config,
                state=view.state,
                slices=view.slices,
                ready=view.ready,
                cordoned=view.cordoned,
                leaving=view.leaving,
                taints=view.taints,
                labels=tuple((key, view.labels[key]) for key in asked if key in view.labels),
                zone=view.labels.get(ZONE_LABEL),
                mark=view.mark,
                holders=None
                if stale is not None
                else tuple(sorted(held.get(view.name, ()), key=lambda item: item.pod)),
                devices=None if self._blind(view.name) else told.get(view.name),
            )
            for pool, view in self._members()
        ]
        return SlicesInput(
            nodes=tuple(sorted(nodes, key=lambda node: node.name)),
            stale=stale,
            fronts=self._fronts(),
        )

    def _members(self) -> list[tuple[str, SliceNodeView]]:
        """(pool, node) of every node of a slice pool; of two that claim it the first by name has it."""
        found = []
        for view in self._nodes.objects.values():
            for name in sorted(self._pools):
                if carries(view.labels, self._pools[name].labels):
                    found.append((name, view))
                    break
        return found

    def _stale(self) -> str | None:
        for source in (self._nodes, self._pods):
            if source.error is not None:
                return f"{source.path}: {source.error}"
            if not source.synced:
                return f"{source.path}: not listed yet"
        return None

    def _fronts(self) -> tuple[Front, ...] | None:
        """Services over several members of one group."""
        if not self._services.synced or self._services.error is not None:
            return None
        services: dict[str, list[ServiceView]] = {}
        for view in self._services.objects.values():
            services.setdefault(view.namespace, []).append(view)
        found = []
        for (namespace, _), members in sorted(self._groups().items()):
            for view in services.get(namespace, ()):
                behind = tuple(
                    sorted(
                        name for name, labels in members.items() if carries(labels, view.selector)
                    )
                )
                if len(behind) > 1:
                    found.append(Front(service=f"{namespace}/{view.name}", workloads=behind))
        return tuple(sorted(found, key=lambda front: front.service))

    async def _follow_exporters(self) -> None:
        while True:
            await self._ask_exporters()
            await self._clock.sleep(EXPORTER_PERIOD_S)

    async def _ask_exporters(self) -> None:
        names = [view.name for _, view in self._members()]
        if not names:
            return
        try:
            series = await self._prometheus.query(
                slice_views.devices_query(names), self._clock.now_s()
            )
        except SourceError as error:
            # What was told before goes stale by itself.
            self._unread.tell("GPU exporters not read", error=str(error))
            return
        self._unread.end()
        self._devices = slice_views.held_devices(series)
        self._told_s = self._clock.monotonic_s()
        self._compare(names, self._told_s)

    def _compare(self, names: Collection[str], now_s: float) -> None:
        """Which exporters tell of pods at all: some show a slice and never who holds it (NVIDIA/dcgm-exporter#577)."""
        used = {pod.node for pod in self._pods.objects.values() if pod.shows}
        for gone in self._unseen_s.keys() - set(names):
            del self._unseen_s[gone]
        self._telling.intersection_update(names)
        for name in names:
            if self._devices.get(name):
                self._telling.add(name)
                self._unseen_s.pop(name, None)
            elif name in used and name in self._devices:
                self._unseen_s.setdefault(name, now_s)
            elif not self._found_blind(name, now_s):
                self._unseen_s.pop(name, None)

    def _found_blind(self, name: str, now_s: float) -> bool:
        since_s = self._unseen_s.get(name)
        return since_s is not None and now_s - since_s >= BLIND_AFTER_S

    def _blind(self, name: str) -> bool:
        """Whether an exporter's "no pod" says nothing. Where one is blind and none was seen to tell, all are."""
        now_s = self._clock.monotonic_s()
        if name in self._telling:
            return self._found_blind(name, now_s)
        return any(self._found_blind(other, now_s) for other in self._unseen_s)


def _project_node(raw: Object, _: SliceNodeView | None) -> SliceNodeView | None:
    return slice_views.node(raw)
