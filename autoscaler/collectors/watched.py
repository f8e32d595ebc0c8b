"""One kind of object wherever it is watched: in the whole cluster, or in single namespaces, each for itself.

Whoever gets rights in single namespaces only can't list across them: each has a list and a watch of its own, and what
one of them lacks says nothing of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Generic, TypeVar

from autoscaler.clients.kubernetes import JSON, KubernetesClient, Object
from autoscaler.clients.objects import scopes
from autoscaler.clock import Clock
from autoscaler.collectors.mirror import Mirror

V = TypeVar("V")


class Watched(Generic[V]):
    """The mirrors of one resource."""

    def __init__(
        self,
        client: KubernetesClient,
        path: str,
        project: Callable[[Object, V | None], V | None],
        clock: Clock,
        *,
        namespaces: Collection[str] = (),
        list_accept: str = JSON,
        watch_accept: str = JSON,
        optional: bool = False,
        older: Sequence[str] = (),
    ) -> None:
        """`path` is the resource's in the whole cluster, which is watched where `namespaces` is empty; so are `older`
        ones, of the versions before."""
        before = [scopes(other, namespaces) for other in older]
        self.mirrors: Mapping[str, Mirror[V]] = {
            namespace: Mirror(
                client,
                scoped,
                project,
                clock,
                list_accept=list_accept,
                watch_accept=watch_accept,
                optional=optional,
                older=[paths[namespace] for paths in before],
            )
            for namespace, scoped in scopes(path, namespaces).items()
        }
        """By namespace; the one for all of them by the empty name."""

    @property
    def objects(self) -> Mapping[str, V]:
        """The newest known state, by uid."""
        first, *others = (mirror.objects for mirror in self.mirrors.values())
        if not others:
            return first
        found = dict(first)
        for objects in others:
            found.update(objects)
        return found

    def current(self, namespace: str) -> bool:
        """What is known of the objects in `namespace` is up to date."""
        mirror = self.mirrors.get(namespace) or self.mirrors.get("")
        return mirror is not None and mirror.synced and mirror.error is None
