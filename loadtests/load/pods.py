"""The ready pods of one namespace, watched as any client-side balancer would."""

from __future__ import annotations

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clock import SystemClock
from autoscaler.collectors import projection
from autoscaler.collectors.mirror import Mirror
from autoscaler.collectors.projection import PodView


class PodWatch:
    """Keeps up with pods: from Ready on a pod is used, from its deletion timestamp on it is not."""

    def __init__(self, client: KubernetesClient, namespace: str, prefix: str) -> None:
        self._prefix = prefix
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
            if view.status.name.startswith(self._prefix)
            and view.ip
            and view.status.ready_s is not None
            and view.status.deleted_s is None
        }
