"""A small Kubernetes API server over real HTTP: lists, watches, optimistic locking, the scale subresource.

Knows nothing of kinds: an object is whatever was put under a path.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.fakes.http import listening

Object = dict[str, Any]


class ClusterApi:
    """Objects by their path, such as /apis/apps/v1/namespaces/team/deployments/bert."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.writes: list[tuple[str, str]] = []
        """(method, path) of every write that was accepted."""
        self.refuse: dict[str, int] = {}
        """Status instead of an answer to a write, by the end of the path."""
        self.denied: tuple[str, ...] = ()
        """Parts of paths that may not be read."""
        self.plurals = set(_PLURALS)
        """Kinds that are known even while there is none of them."""
        self.changed = asyncio.Condition()
        self.url = ""
        self._version = 0
        self._watchers: list[tuple[str, asyncio.Queue[Object]]] = []

    def put(self, path: str, content: Object) -> Object:
        """Stores an object and tells the watchers."""
        kind = "MODIFIED" if path in self.objects else "ADDED"
        self._version += 1
        stored = copy.deepcopy(content)
        metadata = stored.setdefault("metadata", {})
        metadata.setdefault("uid", path)
        metadata["resourceVersion"] = str(self._version)
        self.objects[path] = stored
        for prefix, queue in self._watchers:
            if prefix in (_collection(path), path.rsplit("/", 1)[0]):
                queue.put_nowait({"type": kind, "object": stored})
        return stored

    async def until(self, condition: Any, limit_s: float = 90.0) -> None:
        """Waits for a write after which `condition()` holds; the limit is for what hangs, also on a busy machine."""
        async with asyncio.timeout(limit_s), self.changed:
            await self.changed.wait_for(condition)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        for ending, status in self.refuse.items():
            if path.endswith(ending) and request.method != "GET":
                return _status(status, "refused by the test")
        if request.method == "GET":
            if any(part in path for part in self.denied):
                return _status(403, "forbidden by the test")
            if request.query.get("watch"):
                return await self._watch(request)
            return self._get(path, request.query.get("fieldSelector", ""))
        body = json.loads(await request.read())
        manager = request.query.get("fieldManager", "")
        response = self._write(request.method, path, body, manager)
        async with self.changed:
            self.changed.notify_all()
        return response

    def _get(self, path: str, selector: str = "") -> web.Response:
        if path in self.objects:
            return web.json_response(self.objects[path])
        # Of one namespace, or of all.
        items = [
            o for p, o in self.objects.items() if path in (_collection(p), p.rsplit("/", 1)[0])
        ]
        if selector.startswith("spec.nodeName="):
            name = selector.partition("=")[2]
            items = [o for o in items if o["spec"].get("nodeName") == name]
        plural = path.rsplit("/", 1)[-1]
        if plural in self.plurals or items:
            return web.json_response(
                {"metadata": {"resourceVersion": str(self._version)}, "items": items}
            )
        return _status(404, "not found")

    def _write(self, method: str, path: str, body: Any, manager: str) -> web.Response:
        if method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            if path in self.objects:
                return _status(409, "already exists")
        elif method == "PATCH" and path.endswith("/scale"):
            return self._scale(path.removesuffix("/scale"), body, manager)
        elif method == "PATCH":
            return self._patch(path, body)
        else:
            if path not in self.objects:
                return _status(404, "not found")
            given = body["metadata"].get("resourceVersion")
            if given and given != self.objects[path]["metadata"]["resourceVersion"]:
                return _status(409, "the object has been modified")
        self.writes.append((method, path))
        return web.json_response(self.put(path, body))

    def _scale(self, path: str, patch: list[Object], manager: str) -> web.Response:
        fresh = copy.deepcopy(self.objects[path])
        test, change = patch
        # A Scale's own JSON has no replicas where there are none (`omitempty`).
        if (fresh["spec"]["replicas"] or None) != test["value"]:
            return _status(422, "the test operation failed")
        fresh["spec"]["replicas"] = change["value"]
        owned = {"manager": manager, "subresource": "scale", "operation": "Update"}
        fields = {"fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
        fresh["metadata"]["managedFields"] = [{**owned, **fields}]
        self.writes.append(("PATCH", path))
        return web.json_response(self.put(path, fresh))

    def _patch(self, path: str, patch: list[Object] | Object) -> web.Response:
        """A JSON patch (RFC 6902) of object fields, or a merge patch (RFC 7386)."""
        if path not in self.objects:
            return _status(404, "not found")
        fresh = copy.deepcopy(self.objects[path])
        if isinstance(patch, dict):
            _merge(fresh, patch)
            self.writes.append(("PATCH", path))
            return web.json_response(self.put(path, fresh))
        for change in patch:
            *parents, last = [
                part.replace("~1", "/").replace("~0", "~") for part in change["path"][1:].split("/")
            ]
            place: Any = fresh
            for part in parents:
                place = place[int(part)] if isinstance(place, list) else place[part]
            if change["op"] == "test" and place.get(last) != change["value"]:
                return _status(422, "the test operation failed")
            if change["op"] == "remove":
                del place[last]
            elif change["op"] != "test":
                place[last] = change["value"]
        self.writes.append(("PATCH", path))
        return web.json_response(self.put(path, fresh))

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        queue: asyncio.Queue[Object] = asyncio.Queue()
        entry = (request.path, queue)
        self._watchers.append(entry)
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(json.dumps(await queue.get()).encode() + b"\n")
        except ConnectionResetError:
            pass
        finally:
            self._watchers.remove(entry)
        return response

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answers on loopback."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        async with listening(app) as port:
            self.url = f"http://127.0.0.1:{port}"
            yield


_PLURALS = {
    *("deployments", "statefulsets", "replicasets", "pods", "horizontalpodautoscalers"),
    *("leases", "configmaps", "events", "nodes", "services"),
}


def _merge(into: Object, patch: Object) -> None:
    for key, value in patch.items():
        if isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def _collection(path: str) -> str:
    """Where an object is listed cluster-wide: its path without namespace and name."""
    parts = path.split("/")
    return "/".join([*parts[:-4], parts[-2]]) if "namespaces" in parts else path.rsplit("/", 1)[0]


def _status(code: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": message}, status=code)


def deployment(name: str, replicas: int, annotations: dict[str, str]) -> Object:
    """A Deployment of one-GPU pods, settled."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "namespace": "team",
            "name": name,
            "generation": 1,
            "annotations": {f"forescale.io/{k}": v for k, v in annotations.items()},
        },
        "spec": {
            "replicas": replicas,
            "template": {
                "spec": {
                    "containers": [{"name": "t", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]
                }
            },
        },
        "status": {"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas},
    }


def put_pods(api: ClusterApi, name: str, count: int) -> None:
    """Ready pods of a Deployment, with the ReplicaSet between; without addresses, so that nobody calls them."""
    folder = "/apis/apps/v1/namespaces/team"
    owned_by = {"controller": True, "kind": "Deployment", "uid": f"{folder}/deployments/{name}"}
    labels = {"pod-template-hash": "h1"}
    metadata: Object = {"name": f"{name}-h1", "namespace": "team", "labels": labels}
    api.put(
        f"{folder}/replicasets/{name}-h1",
        {"metadata": {**metadata, "ownerReferences": [owned_by]}},
    )
    owner = {"controller": True, "kind": "ReplicaSet", "uid": f"{folder}/replicasets/{name}-h1"}
    for index in range(count):
        metadata = {
            "name": f"{name}-{index}",
            "namespace": "team",
            "labels": labels,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [owner],
        }
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z"}
        api.put(
            f"/api/v1/namespaces/team/pods/{name}-{index}",
            {"metadata": metadata, "status": {"phase": "Running", "conditions": [ready]}},
        )
