"""The few calls to the API server that a kubelet makes, as raw JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

Object = dict[str, Any]
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
AGAIN_S = 0.5


class Api:
    """A session with the administrator's rights, from a kubeconfig that this stack wrote."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        context = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._session = aiohttp.ClientSession(
            base_url=cluster["server"],
            headers={"Authorization": f"Bearer {config['users'][0]['user']['token']}"},
            connector=aiohttp.TCPConnector(ssl=context),
        )

    async def close(self) -> None:
        """Ends the session."""
        await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        content: str = "application/json",
    ) -> tuple[int, Object]:
        """(status, body); no status is an error here, the caller knows which ones it expects. Where the API server is
        away or busy it is asked again, as a kubelet does: its pods run on meanwhile."""
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                status, answer = await self._call(method, path, body, content)
                if status != 429 and status < 500:
                    return status, answer
            await asyncio.sleep(AGAIN_S)

    async def _call(
        self, method: str, path: str, body: Object | None, content: str
    ) -> tuple[int, Object]:
        async with self._session.request(
            method,
            path,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": content},
            timeout=aiohttp.ClientTimeout(total=15.0),
        ) as answer:
            return answer.status, await answer.json()

    async def follow(self, resource: str) -> AsyncIterator[tuple[str, Object]]:
        """(ADDED, MODIFIED or DELETED, object) of `pods` or `nodes`, for ever: a list and then a watch, again from the
        list where it breaks."""
        while True:
            status, listed = await self.call("GET", f"/api/v1/{resource}")
            if status == 200:
                for item in listed["items"]:
                    yield "ADDED", item
                try:
                    version = listed["metadata"]["resourceVersion"]
                    async for event in self._watch(resource, version):
                        yield event
                except (aiohttp.ClientError, TimeoutError):
                    pass  # the list that follows says what was missed
            await asyncio.sleep(AGAIN_S)

    async def _watch(self, resource: str, version: str) -> AsyncIterator[tuple[str, Object]]:
        async with self._session.get(
            f"/api/v1/{resource}?watch=1&resourceVersion={version}&timeoutSeconds=240",
            timeout=aiohttp.ClientTimeout(total=300.0),
        ) as answer:
            buffer = b""
            async for chunk in answer.content.iter_any():
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in filter(None, lines):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return
                    yield event["type"], event["object"]
