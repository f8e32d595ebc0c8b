"""Pods beside a collector that reads them and does not watch them: in the controller they are the workloads' own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clock import Clock
from autoscaler.collectors.mirror import Mirror

O_co = TypeVar("O_co", covariant=True)


class Looks(Protocol[O_co]):
    """A collector."""

    async def read_once(self) -> None: ...

    def observe(self) -> O_co: ...


@dataclass
class WithPods(Generic[O_co]):
    """Lists pods before the rest, as a single look does."""

    collector: Looks[O_co]
    pods: Mirror[Any]

    async def read_once(self) -> None:
        await self.pods.try_relist()
        await self.collector.read_once()

    def observe(self) -> O_co:
        return self.collector.observe()


def all_pods(client: KubernetesClient, clock: Clock) -> Mirror[str]:
    return Mirror(client, "/api/v1/pods", lambda raw, _: raw["metadata"]["name"], clock)
