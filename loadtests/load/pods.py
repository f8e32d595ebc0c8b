"""The ready pods of one namespace, watched as any client-side balancer would."""

from __future__ import annotations

import re

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clock import SystemClock
from autoscaler.collectors import projection
from autoscaler.collectors.mirror import Mirror
from autoscaler.collectors.projection import PodView


class PodWatch:
    """Keeps up with a Deployment's pods: from Ready on one is used, from its deletion timestamp on it is not."""

    def __init__(self, client: KubernetesClient, namespace: str, deployment: str) -> None:
        self._deployment = deployment
        self._mirror: Mirror[PodView] = Mirror(
            client, f"/api/v1/namespaces/{namespace}/pods", projection.pod, SystemClock()
        )

    async def run(self) -> None:
        """For ever."""
        await self._mirror.run()

    def ready(self) -> dict[str, str]:
        """Address by name."""
        return {
            view.status.name: view.ip
            for view in self._mirror.objects.values()
            if is_of(view.status.name, self._deployment)
            and view.ip
            and view.status.ready_s is not None
            and view.status.deleted_s is None
        }


def is_of(pod: str, deployment: str) -> bool:
    """The ReplicaSet's hash and the pod's own letters follow: `bert-large` is another Deployment than `bert`."""
    return re.fullmatch(rf"{re.escape(deployment)}-[a-z0-9]+-[a-z0-9]+", pod) is not None
