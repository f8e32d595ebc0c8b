"""Keeps projections of one kind of object up to date: list, watch, resume, list anew where history is gone.

Needs `list` and `watch`. Objects that project to nothing are not kept, so that memory follows what is managed and not
what the cluster holds. Whoever else reads the same kind of object keeps a view of its own, fed by the same watch.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from autoscaler.clients.kubernetes import JSON, KubernetesClient, Object, is_served
from autoscaler.clock import Clock
from autoscaler.errors import SourceDenied, SourceError, SourceMissing, SourceUnavailable
from autoscaler.lasting import Lasting

log = logging.getLogger(__name__)
V = TypeVar("V")
W = TypeVar("W")

# A kind of object that the cluster does not know may be installed later; one that it knew is being installed anew.
LOOK_AGAIN_S = 300.0
LOOK_SOON_S = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
BACKOFFS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
# Whoever asks for more, as a proxy on the way may for a day, would leave everything held for as long.
LONGEST_ASKED_S = 120.0
# A watch lasts minutes. One that is over sooner and has told nothing was cut by somebody on the way.
SHORT_S = 1.0
# A watch that is refused so often in a row is not resumed: an API server that was restored from a backup does not reach
# the version that it is asked for.
RESUMES = 5


class View(Generic[V]):
    """What one reader keeps of a mirror's objects, by uid."""

    def __init__(
        self, mirror: Mirror[Any], project: Callable[[Object, V | None], V | None]
    ) -> None:
        self._mirror = mirror
        self._project = project
        self._objects: dict[str, V] = {}
        self.synced = False
        """It was filled once: before, an absence says nothing."""

    @property
    def path(self) -> str:
        """The resource's."""
        return self._mirror.path

    @property
    def error(self) -> str | None:
        """Why it is not up to date now; None: it is."""
        return self._mirror.error

    @property
    def objects(self) -> Mapping[str, V]:
        """The newest known state."""
        return self._objects

    def put(self, item: Object, fresh: dict[str, V] | None = None) -> None:
        """Takes one object in, or into `fresh`. One that can't be understood is as if it were not there, and never
        stops the others."""
        objects, uid = self._objects if fresh is None else fresh, _uid(item)
        try:
            value = self._project(item, self._objects.get(uid))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            log.warning(
                "%s: an object that can't be read (%s: %s)", self.path, type(error).__name__, error
            )
            value = None
        if value is None:
            objects.pop(uid, None)
        else:
            objects[uid] = value

    def drop(self, item: Object) -> None:
        """It was deleted."""
        self._objects.pop(_uid(item), None)

    def take(self, fresh: dict[str, V]) -> None:
        """All that there is."""
        self._objects, self.synced = fresh, True


class Mirror(Generic[V]):
    """The objects of one resource, as a view of it keeps them, and as further ones do."""

    def __init__(
        self,
        client: KubernetesClient,
        path: str,
        project: Callable[[Object, V | None], V | None],
        clock: Clock,
        *,
        list_accept: str = JSON,
        watch_accept: str = JSON,
        optional: bool = False,
        older: Sequence[str] = (),
    ) -> None:
        """`optional`: the cluster need not know this kind of object; there are none then, until it is installed.

        `older`: paths of the same objects in older versions, the newest first, where a cluster does not serve `path`.
        """
        self._client = client
        self._paths = (path, *older)
        self.path = path
        """As it was last read from."""
        self._own: View[V] = View(self, project)
        self._views: list[View[Any]] = [self._own]
        self._clock = clock
        self._list_accept = list_accept
        self._watch_accept = watch_accept
        self.optional = optional
        self.known = True
        """The cluster knows this kind of object, as of the last list."""
        self.error: str | None = None
        """Why it is not up to date now; None: it is."""
        self.denied = False
        """The last attempt failed for want of a right."""
        self._broken = Lasting(log, clock, over=f"{path}: is watched again")

    @property
    def objects(self) -> Mapping[str, V]:
        """The newest known state."""
        return self._own.objects

    @property
    def synced(self) -> bool:
        """It was listed once: before, an absence says nothing."""
        return self._own.synced

    @property
    def awaited(self) -> bool:
        """Nothing is to be decided before it is listed. What need not be there is not waited for where it may not be
        read either: whoever owns such objects is unknown, and nothing of theirs is touched."""
        return not self.synced and not (self.optional and self.denied)

    def view(self, project: Callable[[Object, W | None], W | None]) -> View[W]:
        """Another reader's, filled with the next list."""
        made: View[W] = View(self, project)
        self._views.append(made)
        return made

    async def run(self) -> None:
        """For ever."""
        failures = 0
        looks: Iterator[float] = iter(())
        while True:
            listed_s = math.inf
            try:
                version = await self.relist()
                listed_s = self._clock.monotonic_s()
                if version is None:
                    await self._clock.sleep(next(looks, LOOK_AGAIN_S))
                    continue
                looks = iter(LOOK_SOON_S)
                await self._follow(version)
            except SourceError as error:
                self._failed(error)
                self._broken.tell(f"{self.path}: is not up to date", error=str(error))
                if self._clock.monotonic_s() - listed_s >= BACKOFFS_S[-1]:
                    failures = 0
                await self._clock.sleep(_pause_s(failures, error))
                failures += 1
            except Exception as error:
                # Whoever runs this begins it again; what is known is old until then.
                self.error = f"{type(error).__name__}: {error}"
                raise

    async def try_relist(self) -> None:
        """As `relist`; why it could not be read is kept as `error`."""
        try:
            await self.relist()
        except SourceError as error:
            self._failed(error)

    def _failed(self, error: SourceError) -> None:
        self.error, self.denied = str(error), isinstance(error, SourceDenied)

    async def relist(self) -> str | None:
        """Reads everything anew and returns the version to watch from; the old state stays until all of it is read.

        None: the cluster does not know this kind of object, and need not.
        """
        views = tuple(self._views)
        fresh: list[dict[str, Any]] = []
        version: str | None = None
        for path in self._paths:
            fresh = [{} for _ in views]
            version = await self._read(path, views, fresh)
            if version is not None:
                self.path = path
                break
        for view, objects in zip(views, fresh, strict=True):
            view.take(objects)
        self.known = version is not None
        self.error, self.denied = None, False
        return version

    async def _read(
        self, path: str, views: Sequence[View[Any]], fresh: Sequence[dict[str, Any]]
    ) -> str | None:
        """Into `fresh`, for each of the views. None: it is not served, and need not be."""
        version = ""
        try:
            async for page in self._client.pages(path, accept=self._list_accept):
                items, version = page
                for item in items:
                    for view, objects in zip(views, fresh, strict=True):
                        view.put(item, objects)
        except (SourceMissing, SourceDenied) as error:
            # Nobody can be given a right to what is not installed but by an administrator, and nobody needs it.
            denied = isinstance(error, SourceDenied)
            if not self.optional or (denied and await is_served(self._client, path)):
                raise
            return None
        return version

    async def _follow(self, version: str) -> None:
        """Watches, resuming where a stream ends; returns where a newer version may be served by now.

        Raises:
            SourceError: everything has to be listed anew.
        """
        failures = 0
        while True:
            begun_s, told = self._clock.monotonic_s(), False
            broken: SourceUnavailable | None = None
            try:
                async for kind, item in self._client.watch(
                    self.path, version, accept=self._watch_accept
                ):
                    self._apply(kind, item)
                    version = _metadata(item, "resourceVersion") or version
                    self.error, told = None, told or kind != "BOOKMARK"
                    if told or self._clock.monotonic_s() - begun_s >= SHORT_S:
                        self._broken.end()
            except SourceUnavailable as error:
                broken = error
            if told or self._clock.monotonic_s() - begun_s >= SHORT_S:
                failures = 0
            elif broken is None:
                broken = SourceUnavailable("the watch ends as soon as it has begun")
            if broken is None and self.path != self._paths[0]:
                return
            if broken is None:
                continue
            if failures == RESUMES:
                raise broken
            # What is known stays valid, and the watch goes on from the last version seen.
            self.error = str(broken)
            await self._clock.sleep(_pause_s(failures, broken))
            failures += 1

    def _apply(self, kind: str, item: Object) -> None:
        for view in self._views:
            if kind == "DELETED":
                view.drop(item)
            elif kind != "BOOKMARK":
                view.put(item)


def _pause_s(failures: int, error: SourceError) -> float:
    """After so many failures before this one, or as long as the API server asks for, within reason."""
    asked_s = error.retry_after_s if isinstance(error, SourceUnavailable) else None
    asked_s = min(asked_s or 0.0, LONGEST_ASKED_S)
    return max(BACKOFFS_S[min(failures, len(BACKOFFS_S) - 1)], asked_s)


def _uid(item: Object) -> str:
    return _metadata(item, "uid")


def _metadata(item: Object, key: str) -> str:
    """Empty where an object has none: what can't be understood stops nothing."""
    metadata = item.get("metadata")
    return str(metadata.get(key, "")) if isinstance(metadata, dict) else ""
