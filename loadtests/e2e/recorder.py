"""Writes down once a second what the API server shows of the workload, as somebody who looks on would."""

from __future__ import annotations

import asyncio
import contextlib
import time

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.errors import SourceError
from loadtests.e2e.checks import Moment


class Recorder:
    """Looks at one Deployment and its pods."""

    def __init__(self, client: KubernetesClient, namespace: str, name: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self.moments: list[Moment] = []

    async def run(self) -> None:
        """For ever; a look that fails is left out."""
        while True:
            started_s = time.monotonic()
            with contextlib.suppress(SourceError):
                self.moments.append(await self._look())
            await asyncio.sleep(max(0.0, 1.0 - (time.monotonic() - started_s)))

    async def _look(self) -> Moment:
        at_s = time.time()
        deployment = await self._client.read(
            f"/apis/apps/v1/namespaces/{self._namespace}/deployments/{self._name}"
        )
        pods = await self._client.read(f"/api/v1/namespaces/{self._namespace}/pods")
        own = [p for p in pods["items"] if p["metadata"]["name"].startswith(f"{self._name}-")]
        ready = sum(1 for pod in own if _serves(pod))
        return Moment(
            at_s=at_s, desired=int(deployment["spec"]["replicas"]), ready=ready, pods=len(own)
        )


def _serves(pod: dict[str, object]) -> bool:
    metadata, status = pod["metadata"], pod.get("status")
    if (
        not isinstance(metadata, dict)
        or not isinstance(status, dict)
        or "deletionTimestamp" in metadata
    ):
        return False
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in status.get("conditions", ())
    )
