"""Writes Kubernetes Events at the objects that they are about. Needs `create` on events."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

from autoscaler.clients.kubernetes import KubernetesClient, Object
from autoscaler.core.types import Severity, WorkloadId

COMPONENT = "forescale"
LONGEST_MESSAGE = 1000
LONGEST_NAME = 240


class EventWriter:
    """One Event for each call: whoever calls decides how often the same thing is said."""

    def __init__(
        self, client: KubernetesClient, uid: Callable[[WorkloadId], str | None], *, instance: str
    ) -> None:
        self._client = client
        self._uid = uid
        self._instance = instance

    async def write(
        self,
        workload: WorkloadId,
        *,
        api_version: str,
        reason: str,
        message: str,
        severity: Severity,
        now_s: float,
    ) -> None:
        """Raises ActuationError."""
        body = event(
            workload,
            api_version=api_version,
            uid=self._uid(workload),
            reason=reason,
            message=message,
            severity=severity,
            now_s=now_s,
            instance=self._instance,
        )
        await self._client.write("POST", f"/api/v1/namespaces/{workload.namespace}/events", body)


def event(
    workload: WorkloadId,
    *,
    api_version: str,
    uid: str | None,
    reason: str,
    message: str,
    severity: Severity,
    now_s: float,
    instance: str,
) -> Object:
    """A core/v1 Event, as `kubectl describe` shows it."""
    now = datetime.fromtimestamp(now_s, tz=UTC)
    digest = hashlib.sha256(f"{reason}{message}{now_s}".encode()).hexdigest()[:12]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{_short(workload.name)}.{digest}", "namespace": workload.namespace},
        "involvedObject": {
            "apiVersion": api_version,
            "kind": workload.kind,
            "namespace": workload.namespace,
            "name": workload.name,
            **({"uid": uid} if uid else {}),
        },
        "reason": reason,
        "message": message[:LONGEST_MESSAGE],
        "type": severity.value,
        "firstTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lastTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "count": 1,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": instance,
    }


def _short(name: str) -> str:
    """A node may be called as long as an Event may."""
    return name[:LONGEST_NAME].rstrip("-.")
