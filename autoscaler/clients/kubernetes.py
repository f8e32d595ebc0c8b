"""The Kubernetes API as raw JSON: pages, watches and single calls, each with its own time limit.

kubernetes_asyncio finds the cluster, authenticates and holds the connections. Its models are not used: decoding 20,000
pods into them takes a minute of the event loop and a gigabyte, projecting the raw JSON a second and nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes_asyncio.client import ApiClient
from kubernetes_asyncio.config import ConfigException

from autoscaler.clients.kubeconfig import configured, proxy_of
from autoscaler.clients.trust import Trust
from autoscaler.errors import (
    ActuationConflict,
    ActuationRejected,
    ActuationUnknown,
    SourceDenied,
    SourceError,
    SourceExpired,
    SourceInvalid,
    SourceMissing,
    SourceUnavailable,
)

Object = dict[str, Any]
JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
"""Server-side apply; JSON is YAML."""
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PAGE = 500
# etcd takes objects of 1.5 MiB, and a watch tells each in one line.
LONGEST_LINE = 2**21
# A watch is closed by the server after this long and opened again where it was; a silent connection is noticed by the
# bookmarks that stop coming.
WATCH_S = 300
WATCH_SILENCE_S = 120.0
# A peer that is gone without a word, as after the loss of its node, is noticed by the kernel: after 15 s of silence it
# asks, every 5 s, three times.
_KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
# A token's file that is read while it is exchanged is empty, and a plugin that gives tokens may fail.
_NO_ANSWER = (aiohttp.ClientError, TimeoutError, OSError, ConfigException)


class KubernetesClient:
    """One session with the API server."""

    def __init__(self, api: ApiClient, *, timeout_s: float) -> None:
        self._api = api
        self._timeout_s = timeout_s
        configuration = api.configuration
        self._way: dict[str, Any] = {"proxy": configuration.proxy or proxy_of(self.server)}
        if configuration.tls_server_name:
            self._way["server_hostname"] = configuration.tls_server_name
        # The library's own takes proxies from the environment as Python does, which knows no CIDR in NO_PROXY, and
        # whatever stands in ~/.netrc.
        self._session = aiohttp.ClientSession(
            connector=api.rest_client.pool_manager.connector,
            connector_owner=False,
            read_bufsize=LONGEST_LINE,
        )
        self._trust = Trust(api.configuration)

    @classmethod
    async def connect(
        cls, *, kubeconfig: str | None, context: str | None, timeout_s: float
    ) -> KubernetesClient:
        """From a kubeconfig, else the pod's service account, else KUBECONFIG or ~/.kube/config.

        Raises ConfigError saying what was tried.
        """
        configuration = await configured(kubeconfig, context)
        return cls(ApiClient(configuration=configuration), timeout_s=timeout_s)

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self._api.configuration.host)

    async def close(self) -> None:
        """Ends the session."""
        await self._session.close()
        await self._api.close()

    async def read(
        self, path: str, params: Mapping[str, str] | None = None, *, accept: str = JSON
    ) -> Object:
        """GET.

        Raises:
            SourceDenied, SourceExpired (410), SourceMissing (404), SourceInvalid (no JSON), SourceUnavailable.
        """
        try:
            status, headers, data = await self._request("GET", path, params=params, accept=accept)
        except _NO_ANSWER as error:
            raise SourceUnavailable(f"GET {path}: {_words(error)}") from error
        if status >= 400:
            raise _source_error(status, headers, f"GET {path}: {_message(status, data)}")
        return _decoded(data, f"GET {path}")

    async def write(self, method: str, path: str, body: object, *, content: str = JSON) -> Object:
        """POST, PUT or PATCH; never repeated here.

        Raises:
            ActuationConflict (409, or a JSON patch whose test failed), ActuationRejected, ActuationUnknown (no answer).
        """
        where = f"{method} {path}"
        try:
            status, headers, data = await self._request(method, path, body=body, content=content)
        except _NO_ANSWER as error:
            raise ActuationUnknown(f"{where}: {_words(error)}") from error
        if status == 409 or (status == 422 and content == JSON_PATCH):
            raise ActuationConflict(f"{where}: {_message(status, data)}")
        if status >= 500 or status == 429:
            raise ActuationUnknown(
                f"{where}: {_message(status, data)}", retry_after_s=_retry_after_s(headers)
            )
        if status >= 400:
            raise ActuationRejected(f"{where}: {_message(status, data)}")
        return _decoded(data, where)

    async def pages(
        self, path: str, *, accept: str = JSON
    ) -> AsyncGenerator[tuple[list[Object], str], None]:
        """(items, resourceVersion) page by page; other tasks run between two pages. Raises as `read`."""
        params = {"limit": str(PAGE)}
        while True:
            page = await self.read(path, params, accept=accept)
            metadata = page.get("metadata")
            items = page.get("items")
            if not isinstance(metadata, dict) or not isinstance(items or [], list):
                raise SourceInvalid(f"GET {path}: the answer is no list")
            yield items or [], str(metadata.get("resourceVersion", ""))
            token = metadata.get("continue")
            if not token:
                return
            params["continue"] = str(token)
            await asyncio.sleep(0)  # noqa: TID251 - gives way to other tasks, takes no time

    async def watch(
        self, path: str, version: str, *, accept: str = JSON
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """(ADDED, MODIFIED, DELETED or BOOKMARK, object) from `version` on, until the server closes the stream.

        The first is a BOOKMARK of `version` itself, as soon as the server has accepted the watch.

        Raises as `read`; SourceExpired where the version is too old and everything has to be listed anew.
        """
        params = {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_S),
        }
        timeout = aiohttp.ClientTimeout(sock_connect=self._timeout_s, sock_read=WATCH_SILENCE_S)
        where = f"watch {path}"
        try:
            answer = await self._send("GET", path, params=params, accept=accept, timeout=timeout)
            async with answer:
                if answer.status >= 400:
                    raise _source_error(
                        answer.status,
                        answer.headers,
                        f"{where}: {_message(answer.status, await answer.read())}",
                    )
                keep_alive(answer)
                try:
                    # The connection stands: whoever waits for news need not wait for the next event to know it.
                    yield "BOOKMARK", {"metadata": {"resourceVersion": version}}
                    buffer = b""
                    async for chunk in answer.content.iter_any():
                        *lines, buffer = (buffer + chunk).split(b"\n")
                        for line in filter(None, lines):
                            yield _event(line, where)
                finally:
                    _cut(answer)
        except _NO_ANSWER as error:
            raise SourceUnavailable(f"{where}: {_words(error)}") from error

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        content: str = JSON,
        accept: str = JSON,
    ) -> tuple[int, Mapping[str, str], bytes]:
        answer = await self._send(
            method,
            path,
            params=params,
            body=body,
            content=content,
            accept=accept,
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
        )
        async with answer:
            return answer.status, answer.headers, await answer.read()

    async def _send(
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,
        params: Mapping[str, str] | None = None,
        body: object = None,
        content: str = JSON,
        accept: str = JSON,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": accept, "Content-Type": content, "User-Agent": "forescale"}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"])
        query = f"{'&' if '?' in path else '?'}{urlencode(params)}" if params else ""
        return await self._session.request(
            method,
            f"{self.server}{path}{query}",
            data=None if body is None else msgspec.json.encode(body),
            headers=headers,
            timeout=timeout,
            **self._way,
            ssl=self._trust.now(),
        )


async def is_served(client: KubernetesClient, path: str) -> bool:
    """Whether the API server may know the kind of object that is listed at `path`, below `/apis`.

    Anybody may ask which kinds there are, those too who may not list them. Where that can't be told it may.
    """
    parts = path.split("/")
    try:
        # A group has kinds beside this one, of which some may be installed alone.
        listed = await client.read("/".join(parts[:4]))
    except SourceMissing:
        return False
    except SourceError:
        return True
    return any(resource.get("name") == parts[-1] for resource in listed.get("resources") or ())


def keep_alive(answer: aiohttp.ClientResponse) -> None:
    """Has the kernel look whether the other end of a connection on which nothing is sent is still there."""
    transport = answer.connection.transport if answer.connection is not None else None
    end = transport.get_extra_info("socket") if transport is not None else None
    if end is None:
        return
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        # Not every system has each of them.
        option = getattr(socket, name, None)
        if option is not None:
            end.setsockopt(socket.IPPROTO_TCP, option, value)


def _event(line: bytes, where: str) -> tuple[str, Object]:
    event = _decoded(line, where)
    kind, content = event.get("type"), event.get("object")
    if not isinstance(kind, str) or not isinstance(content, dict):
        raise SourceInvalid(f"{where}: an event without type or object")
    if kind == "ERROR":
        code = content.get("code")
        told = code if isinstance(code, int) else 500
        raise _source_error(told, {}, f"{where}: {content.get('message', 'error')}")
    return kind, content


def _source_error(status: int, headers: Mapping[str, str], message: str) -> SourceError:
    if status in (401, 403):
        return SourceDenied(message)
    if status == 404:
        return SourceMissing(message)
    if status == 410:
        return SourceExpired(message)
    if status == 429 or status >= 500:
        return SourceUnavailable(message, retry_after_s=_retry_after_s(headers))
    return SourceInvalid(message)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    wait = headers.get("Retry-After", "")
    return float(wait) if wait.isdigit() else None


def _cut(answer: aiohttp.ClientResponse) -> None:
    """Closes the connection of a stream that is left in the middle; one that has ended has none.

    TLS says farewell and waits for the other's: a socket would stay open for half a minute where that never comes.
    """
    transport = answer.connection.transport if answer.connection is not None else None
    if transport is not None:
        transport.abort()


def _decoded(data: bytes, where: str) -> Object:
    try:
        value = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise SourceInvalid(f"{where}: the answer is no JSON ({error})") from error
    if not isinstance(value, dict):
        raise SourceInvalid(f"{where}: the answer is no object")
    return value


def _message(status: int, data: bytes) -> str:
    """The API server's own words where it gave any; never the whole answer, which may hold what is secret."""
    if status == 429:
        # It says so as plain text, in words that name no cause.
        return "status 429: the API server takes no more of forescale's requests now (API priority and fairness)"
    try:
        told = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return f"status {status}"
    if isinstance(told, dict) and told.get("kind") == "Status":
        return f"status {status}: {told.get('message', '')}"
    return f"status {status}"


def _words(error: BaseException) -> str:
    return (
        "no answer in time"
        if isinstance(error, TimeoutError)
        else str(error) or type(error).__name__
    )
