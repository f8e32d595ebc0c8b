"""The controller's own objects in Kubernetes: its Lease and its ConfigMaps, as the ports of leader and checkpoint."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.controller.leader import LeaseRecord
from autoscaler.errors import ActuationConflict, ActuationRejected, SourceInvalid, SourceMissing

Object = dict[str, Any]
MANAGED = {"app.kubernetes.io/managed-by": "forescale"}


class KubeLease:
    """One Lease."""

    def __init__(self, client: KubernetesClient, namespace: str, name: str) -> None:
        self._client = client
        self._folder = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._namespace, self._name = namespace, name
        self._metadata: Object = {}
        """As last seen, so that labels and owners that others put there stay."""

    async def read(self) -> LeaseRecord | None:
        """None: there is none. Raises SourceError."""
        try:
            return self._taken_in(await self._client.read(f"{self._folder}/{self._name}"))
        except SourceMissing:
            return None

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        """Raises ActuationError."""
        metadata = {"name": self._name, "namespace": self._namespace, "labels": MANAGED}
        return await self._write("POST", self._folder, metadata, record)

    async def replace(self, record: LeaseRecord) -> LeaseRecord:
        """Raises ActuationError; ActuationConflict where somebody else has written since `record.version`."""
        metadata = {
            **self._metadata,
            "name": self._name,
            "namespace": self._namespace,
            "resourceVersion": record.version,
        }
        return await self._write("PUT", f"{self._folder}/{self._name}", metadata, record)

    async def _write(
        self, method: str, path: str, metadata: Object, record: LeaseRecord
    ) -> LeaseRecord:
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                # The API server takes no empty name: a released lease has none.
                "holderIdentity": record.holder or None,
                "leaseDurationSeconds": int(record.duration_s),
                "acquireTime": _micro_time(record.acquired_at_s),
                "renewTime": _micro_time(record.renewed_at_s),
                "leaseTransitions": record.transitions,
            },
        }
        return self._taken_in(await self._client.write(method, path, body))

    def _taken_in(self, lease: Object) -> LeaseRecord:
        metadata, spec = lease.get("metadata"), lease.get("spec") or {}
        if not isinstance(metadata, dict) or not isinstance(spec, dict):
            raise SourceInvalid(f"lease {self._name}: has no metadata or spec")
        self._metadata = {k: v for k, v in metadata.items() if k != "managedFields"}
        return LeaseRecord(
            holder=str(spec.get("holderIdentity") or ""),
            duration_s=float(spec.get("leaseDurationSeconds") or 0.0),
            acquired_at_s=_seconds(spec.get("acquireTime")),
            renewed_at_s=_seconds(spec.get("renewTime")),
            transitions=int(spec.get("leaseTransitions") or 0),
            version=str(metadata.get("resourceVersion") or ""),
        )


class KubeMaps:
    """ConfigMaps of one namespace that nobody else writes."""

    def __init__(self, client: KubernetesClient, namespace: str) -> None:
        self._client, self._namespace = client, namespace
        self._folder = f"/api/v1/namespaces/{namespace}/configmaps"
        self._exist: set[str] = set()

    async def read(self, name: str) -> Mapping[str, bytes] | None:
        """None: there is none. Raises SourceError."""
        try:
            stored = await self._client.read(f"{self._folder}/{name}")
        except SourceMissing:
            return None
        self._exist.add(name)
        try:
            return {
                str(key): base64.b64decode(value, validate=True)
                for key, value in (stored.get("binaryData") or {}).items()
            }
        except (AttributeError, TypeError, binascii.Error) as error:
            raise SourceInvalid(f"ConfigMap {name}: binaryData is not base64") from error

    async def write(self, name: str, data: Mapping[str, bytes]) -> None:
        """Raises ActuationError."""
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self._namespace, "labels": MANAGED},
            "binaryData": {key: base64.b64encode(value).decode() for key, value in data.items()},
        }
        if name not in self._exist:
            try:
                await self._client.write("POST", self._folder, body)
                self._exist.add(name)
                return
            except ActuationConflict:
                self._exist.add(name)
        try:
            await self._client.write("PUT", f"{self._folder}/{name}", body)
        except ActuationRejected:
            # Somebody may have deleted it: the next time it is made anew.
            self._exist.discard(name)
            raise


def _micro_time(wall_s: float) -> str:
    return f"{datetime.fromtimestamp(wall_s, tz=UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def _seconds(text: object) -> float:
    # For people only: a time that can't be read changes nothing.
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0
