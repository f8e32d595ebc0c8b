"""The workloads of a cluster with their pods, kept up to date by watches.

Deployments, StatefulSets and pods are watched whole and projected at once - their specs and states are needed -
ReplicaSets by their metadata alone; in the whole cluster, or in single namespaces. Needs `list` and `watch` there on
deployments, statefulsets and replicasets (apps), horizontalpodautoscalers (autoscaling), pods, and on inferenceservices
and llminferenceservices (serving.kserve.io), which need not be installed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from operator import or_
from typing import Any

from autoscaler.clients.kubernetes import METADATA, METADATA_LIST, KubernetesClient
from autoscaler.clock import Clock
from autoscaler.collectors import projection
from autoscaler.collectors.kserve import Made
from autoscaler.collectors.mirror import Mirror
from autoscaler.collectors.projection import HolderView, PodView, ReplicaSetView, TargetView
from autoscaler.collectors.seen import (
    Seen,
    id_of,
    managed_by,
    seen_service,
    seen_target,
    tolerating,
)
from autoscaler.collectors.service_watch import ServiceWatch
from autoscaler.collectors.triton import Endpoint
from autoscaler.collectors.watched import Watched
from autoscaler.core.annotations import PREFIX, Defaults
from autoscaler.core.nodes.placement import Toleration
from autoscaler.core.types import PodStatus, Survive, WorkloadId
from autoscaler.core.writes import ReplicaWrite

Owner = tuple[str, str]
"""Its namespace and uid."""


class KubernetesCollector:
    """Watches one cluster."""

    def __init__(
        self,
        client: KubernetesClient,
        clock: Clock,
        *,
        defaults: Callable[[str], Defaults | None],
        knative_follows: bool = False,
        node_needs: bool = False,
        writes_as: str | None = None,
        namespaces: Collection[str] = (),
    ) -> None:
        """`defaults` gives a namespace's policy; None: its annotations have no effect.

        `node_needs`: specs say what their pods ask of a node.

        `knative_follows` says that Knative takes over annotations of a Revision that is live.

        `writes_as` is what the API server keeps this forescale's own writes as; None: it writes nothing.

        `namespaces` are those that are watched; empty: all.
        """
        self._writes_as = writes_as
        self._defaults = defaults
        self._knative_follows = knative_follows
        self._node_needs = node_needs
        self._writes: dict[WorkloadId, ReplicaWrite] = {}
        self._decided: frozenset[WorkloadId] = frozenset()
        """Those that the last look found nothing wrong with."""
        self._services = ServiceWatch(client, clock, namespaces=namespaces)
        self._targets: tuple[Watched[TargetView], ...] = (
            Watched(
                client,
                "/apis/apps/v1/deployments",
                lambda raw, _: projection.target(raw, "Deployment"),
                clock,
                namespaces=namespaces,
            ),
            Watched(
                client,
                "/apis/apps/v1/statefulsets",
                lambda raw, _: projection.target(raw, "StatefulSet"),
                clock,
                namespaces=namespaces,
            ),
        )
        self._replica_sets: Watched[ReplicaSetView] = Watched(
            client,
            "/apis/apps/v1/replicasets",
            lambda raw, _: projection.replica_set(raw),
            clock,
            namespaces=namespaces,
            list_accept=METADATA_LIST,
            watch_accept=METADATA,
        )
        self._pods: Watched[PodView] = Watched(
            client, "/api/v1/pods", projection.pod, clock, namespaces=namespaces
        )
        self._holders: Watched[HolderView] = Watched(
            client,
            "/apis/autoscaling/v2/horizontalpodautoscalers",
            lambda raw, _: projection.holder(raw),
            clock,
            namespaces=namespaces,
        )

    @property
    def _kinds(self) -> tuple[Watched[Any], ...]:
        services = self._services.kinds
        return (*self._targets, self._replica_sets, self._pods, self._holders, *services)

    @property
    def mirrors(self) -> tuple[Mirror[Any], ...]:
        """Everything that is watched."""
        return tuple(mirror for kind in self._kinds for mirror in kind.mirrors.values())

    @property
    def pods(self) -> Mirror[PodView]:
        """Watched here, and open to others' views: pods are most of what a cluster has. Of the whole cluster: whoever
        looks at nodes needs everybody's, and the policy lets it do so only then."""
        return self._pods.mirrors[""]

    @property
    def synced(self) -> bool:
        """Everything has been listed once. A namespace where a right is lacking is not waited for while there are
        others: what is in it is unknown, and they are scaled."""
        by_namespace = [
            [kind.mirrors[namespace] for kind in self._kinds] for namespace in self._pods.mirrors
        ]
        listed = [not any(mirror.awaited for mirror in own) for own in by_namespace]
        denied = [any(mirror.denied for mirror in own) for own in by_namespace]
        return any(listed) and all(map(or_, listed, denied))

    @property
    def error(self) -> str | None:
        """What is not up to date, in words; None: everything is."""
        broken = [f"{mirror.path}: {mirror.error}" for mirror in self.mirrors if mirror.error]
        return "; ".join(broken) or None

    async def run(self) -> None:
        """Watches for ever."""
        async with asyncio.TaskGroup() as group:
            for mirror in self.mirrors:
                group.create_task(mirror.run())

    async def read_once(self) -> None:
        """Lists everything once, for a single look. Raises SourceError."""
        for mirror in self.mirrors:
            await mirror.relist()

    def observe(self) -> tuple[Seen, ...]:
        """Every annotated object with its pods, ordered by name; no I/O."""
        pods = self._pods_by_target()
        templates = self._newest_templates()
        holders = {holder.target: holder.name for holder in self._holders.objects.values()}
        seen = []
        for mirror in self._targets:
            for view in mirror.objects.values():
                defaults = self._defaults(view.namespace)
                # What KServe made is managed by its service; what a person wrote on it is told there.
                if defaults is not None and (view.made is None or view.slips):
                    seen.append(
                        seen_target(
                            view,
                            defaults,
                            pods.get(view.uid, ()),
                            templates,
                            holders,
                            pods_known=self._pods_known(view.namespace),
                            writes_as=self._writes_as,
                        )
                    )
        seen += self._seen_services(pods, templates, holders)
        self._decided = frozenset(item.id for item in seen if item.spec is not None)
        if any(self._places(item) for item in seen):
            seen = self._with_node_needs(seen)
        return tuple(sorted(seen, key=lambda item: item.id))

    def _pods_known(self, namespace: str) -> bool:
        """A watch that was cut goes on from where it was: what is known may be old, and must not lower anything. Pods
        of a ReplicaSet that is not known yet belong to nobody."""
        return self._pods.current(namespace) and self._replica_sets.current(namespace)

    def decided_owners(self) -> Collection[Owner]:
        """What owns the pods of workloads that are decided on, as of the last `observe`."""
        owners = self._owners().items()
        return {owner for owner, view in owners if managed_by(view) in self._decided}

    def groups(self) -> dict[tuple[str, str], dict[str, Mapping[str, str]]]:
        """By (namespace, variant group): the labels of each member's pods, by `namespace/name`."""
        found: dict[tuple[str, str], dict[str, Mapping[str, str]]] = {}
        for mirror in self._targets:
            for view in mirror.objects.values():
                group = view.annotations.get(f"{PREFIX}variant-group")
                if group is not None and view.made is None:
                    members = found.setdefault((view.namespace, group), {})
                    members[str(id_of(view))] = view.pod_labels
        return found

    def _places(self, item: Seen) -> bool:
        """Whether it matters on which nodes its pods may be."""
        spec = item.spec
        return spec is not None and (self._node_needs or spec.survive is not Survive.NONE)

    def _with_node_needs(self, seen: list[Seen]) -> list[Seen]:
        """Of several Deployments of one service the last by name speaks, as an InferenceService's newest Revision."""
        admitted = self._admitted()
        needs = {
            managed_by(view): tolerating(view.needs, admitted.get(view.uid))
            for mirror in self._targets
            for view in sorted(mirror.objects.values(), key=lambda view: view.name)
            if view.made is None or view.made.predictor
        }
        return [
            replace(item, spec=replace(item.spec, node_needs=needs.get(item.id)))
            if item.spec is not None and self._places(item)
            else item
            for item in seen
        ]

    def _admitted(self) -> dict[str, tuple[Toleration, ...]]:
        """By target, what its newest pod tolerates: admission adds to what the template says, as for a GPU's taint."""
        owners, newest = self._owners(), dict[str, PodView]()
        for pod in self._pods.objects.values():
            view = owners.get((pod.namespace, pod.owner_uid))
            if view is None:
                continue
            other = newest.get(view.uid)
            if other is None or pod.status.created_s > other.status.created_s:
                newest[view.uid] = pod
        return {uid: pod.tolerations for uid, pod in newest.items()}

    def asked_labels(self) -> Collection[str]:
        """Keys of the node labels that the pods of annotated objects ask for."""
        return {
            key
            for mirror in self._targets
            for view in mirror.objects.values()
            if view.needs is not None
            for key in view.needs.asked_labels
        }

    def write_of(self, workload: WorkloadId) -> ReplicaWrite | None:
        """Where the replicas of a service of KServe's go, as of the last `observe`; None: not to be written."""
        return self._writes.get(workload)

    def _seen_services(
        self,
        pods: dict[str, tuple[PodStatus, ...]],
        templates: dict[str, str],
        holders: dict[tuple[str, str, str], str],
    ) -> list[Seen]:
        made: dict[WorkloadId, list[TargetView]] = {}
        for mirror in self._targets:
            for view in mirror.objects.values():
                if view.made is not None and view.made.predictor:
                    made.setdefault(view.made.service, []).append(view)
        seen, self._writes = [], {}
        for service in self._services:
            defaults = self._defaults(service.namespace)
            if defaults is None:
                continue
            found = seen_service(
                service,
                # What another of that name has left behind is not this one's.
                [
                    view
                    for view in made.get(service.id, ())
                    if view.made is not None and view.made.uid in (None, service.uid)
                ],
                defaults,
                pods,
                templates,
                holders,
                pods_known=self._pods_known(service.namespace),
                knative_follows=self._knative_follows,
                writes_as=self._writes_as,
            )
            seen.append(found.seen)
            if found.write is not None:
                self._writes[service.id] = found.write
        return seen

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Ready Triton pods of annotated objects with their addresses, the oldest first.

        None where the policy gives annotations no effect.
        """
        owners = self._owners()
        asked = {service.id for service in self._services}
        found = []
        for pod in self._pods.objects.values():
            view = owners.get((pod.namespace, pod.owner_uid))
            if (
                view is None
                or (view.slips if view.made is None else not _answers_for(view.made, asked))
                or self._defaults(view.namespace) is None
                or not _is_triton(view)
                or not pod.ip
                or pod.status.ready_s is None
                or pod.status.deleted_s is not None
            ):
                continue
            found.append((pod.status.created_s, pod.status.name, view, pod))
        return tuple(
            Endpoint(
                workload=managed_by(view),
                pod=name,
                template_hash=pod.status.template_hash,
                ip=pod.ip,
            )
            for _, name, view, pod in sorted(found, key=lambda item: item[:2])
        )

    def uid(self, workload: WorkloadId) -> str | None:
        """The object's uid, by which Events are found."""
        for mirror in self._targets:
            for view in mirror.objects.values():
                if id_of(view) == workload:
                    return view.uid
        for service in self._services:
            if service.id == workload:
                return service.uid
        return None

    def _owners(self) -> dict[Owner, TargetView]:
        """Annotated objects by what owns their pods: a ReplicaSet, or a StatefulSet itself.

        An owner is in its own namespace. Whoever names one of another namespace has written that by hand.
        """
        owners = {
            (view.namespace, view.uid): view
            for mirror in self._targets
            for view in mirror.objects.values()
        }
        made = {
            (one.namespace, one.uid): owners[one.namespace, one.owner_uid]
            for one in self._replica_sets.objects.values()
            if (one.namespace, one.owner_uid) in owners
        }
        return owners | made

    def _pods_by_target(self) -> dict[str, tuple[PodStatus, ...]]:
        owners = self._owners()
        found: dict[str, list[PodStatus]] = {}
        for pod in self._pods.objects.values():
            view = owners.get((pod.namespace, pod.owner_uid))
            if view is not None:
                found.setdefault(view.uid, []).append(pod.status)
        return {
            uid: tuple(sorted(pods, key=lambda pod: (pod.created_s, pod.name)))
            for uid, pods in found.items()
        }

    def _newest_templates(self) -> dict[str, str]:
        newest: dict[str, ReplicaSetView] = {}
        homes = {v.uid: v.namespace for kind in self._targets for v in kind.objects.values()}
        for view in self._replica_sets.objects.values():
            if homes.get(view.owner_uid) != view.namespace:
                continue
            other = newest.get(view.owner_uid)
            if other is None or view.revision > other.revision:
                newest[view.owner_uid] = view
        return {uid: view.template_hash for uid, view in newest.items()}


def _answers_for(made: Made, services: Collection[WorkloadId]) -> bool:
    """It runs the model of one of them."""
    return made.predictor and made.service in services


def _is_triton(view: TargetView) -> bool:
    """Only Triton is asked for its statistics; where nothing says what it is, it is asked too."""
    named = view.annotations.get(f"{PREFIX}engine", "").strip().lower()
    told = named or (view.engine.engine if view.engine else "triton")
    return told == "triton"
