"""The real sources and sinks behind the loop's ports."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.actuators.events import EventWriter
from autoscaler.actuators.headroom import HeadroomActuator
from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clients.prometheus import PrometheusClient
from autoscaler.clock import Clock
from autoscaler.collectors.kubernetes import KubernetesCollector
from autoscaler.collectors.namespace_policy import defaults_for
from autoscaler.collectors.nodes import NodeCollector
from autoscaler.collectors.prometheus import PrometheusCollector
from autoscaler.collectors.slices import SliceCollector
from autoscaler.config import Settings
from autoscaler.controller.ports import Note, Observation, ObservedWorkload, Refused
from autoscaler.core.slices.settings import SlicesMode


class ClusterView:
    """Kubernetes as the loop wants it: what can be decided, and what was refused."""

    def __init__(self, collector: KubernetesCollector) -> None:
        self._collector = collector

    @property
    def synced(self) -> bool:
        """Everything has been listed once."""
        return self._collector.synced

    @property
    def error(self) -> str | None:
        """What is not up to date."""
        return self._collector.error

    def observe(self) -> Observation:
        """No I/O."""
        seen = self._collector.observe()
        return Observation(
            workloads=tuple(
                ObservedWorkload(
                    spec=item.spec,
                    replicas=item.replicas,
                    pods=item.pods,
                    pods_known=item.pods_known,
                    template=item.template,
                )
                for item in seen
                if item.spec is not None
            ),
            refused=tuple(
                Refused(
                    workload=item.id,
                    api_version=item.api_version,
                    problems=item.problems,
                    reason=item.reason,
                )
                for item in seen
                if item.problems
            ),
        )


class KubeEvents:
    """Notes as Kubernetes Events."""

    def __init__(self, writer: EventWriter) -> None:
        self._writer = writer

    async def send(self, note: Note, at_s: float) -> None:
        """Raises ActuationError."""
        await self._writer.write(
            note.workload,
            api_version=note.api_version,
            reason=note.reason,
            message=note.message,
            severity=note.severity,
            now_s=at_s,
        )


def collector(
    settings: Settings, client: KubernetesClient, clock: Clock, *, writes_as: str | None = None
) -> KubernetesCollector:
    """The cluster's workloads, by the policy. `writes_as`: what this forescale's own writes are kept as."""
    return KubernetesCollector(
        client,
        clock,
        defaults=defaults_for(settings),
        knative_follows=settings.kserve.patch_revisions,
        node_needs=bool(settings.engine.nodes.pools) or slices_on(settings),
        writes_as=writes_as,
        namespaces=settings.kubernetes.watch_namespaces,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeParts:
    """What headroom needs: eyes and hands."""

    collector: NodeCollector
    actuator: HeadroomActuator


def node_parts(
    settings: Settings, client: KubernetesClient, clock: Clock, workloads: KubernetesCollector
) -> NodeParts | None:
    """None: no node pool is configured, and nothing of nodes is looked at."""
    pools, headroom = settings.engine.nodes.pools, settings.headroom
    if not pools:
        return None
    actuator = HeadroomActuator(
        client,
        pools=pools,
        namespace=headroom.namespace,
        image=headroom.image,
        priority_class=headroom.priority_class,
    )
    collector = NodeCollector(
        client,
        clock,
        pools=pools,
        namespace=headroom.namespace,
        digest=actuator.digest,
        managed=workloads.decided_owners,
        pods=workloads.pods,
    )
    return NodeParts(collector=collector, actuator=actuator)


def slices_on(settings: Settings) -> bool:
    """Whether anything of slices is looked at."""
    return settings.engine.slices.mode is not SlicesMode.OFF


def packing_on(settings: Settings) -> bool:
    """Whether there is anything to pack onto: how a group shares nodes that grow is planned too."""
    return slices_on(settings) and settings.engine.has_pools


def slice_collector(
    settings: Settings,
    client: KubernetesClient,
    prometheus: PrometheusClient,
    clock: Clock,
    workloads: KubernetesCollector,
    nodes: NodeParts | None,
) -> SliceCollector | None:
    """None: `engine.slices.mode` is off. Where `nodes` are watched already they are not watched again."""
    if not slices_on(settings):
        return None
    pools = settings.engine.slices.pools
    return SliceCollector(
        client,
        prometheus,
        clock,
        pools=pools,
        groups=workloads.groups,
        pods=workloads.pods,
        nodes=nodes.collector.nodes if nodes else None,
        labels=workloads.asked_labels,
    )


async def connect_kubernetes(settings: Settings) -> KubernetesClient:
    """Raises ConfigError: there is no usable kubeconfig."""
    return await KubernetesClient.connect(
        kubeconfig=settings.kubernetes.kubeconfig,
        context=settings.kubernetes.context,
        timeout_s=settings.kubernetes.request_timeout_s,
    )


def connect_prometheus(settings: Settings) -> PrometheusClient:
    """Sends nothing yet."""
    prometheus = settings.prometheus
    return PrometheusClient(
        prometheus.url,
        timeout_s=prometheus.timeout_s,
        max_concurrent=prometheus.max_concurrent_queries,
        bearer_token_file=prometheus.bearer_token_file,
        username=prometheus.username,
        password_file=prometheus.password_file,
        headers=prometheus.headers,
        ca_file=prometheus.ca_file,
        cert_file=prometheus.cert_file,
        key_file=prometheus.key_file,
        insecure_skip_verify=prometheus.insecure_skip_verify,
    )


def measures(settings: Settings, client: PrometheusClient) -> PrometheusCollector:
    """The collector with the SRE's own queries."""
    return PrometheusCollector(
        client,
        custom=settings.queries,
        backfill_s=settings.prometheus.backfill_s,
        gateway=settings.gateway,
        custom_gateways=settings.gateways,
        apart_s=settings.engine.signals.stale_after_s,
    )


def look_back_s(settings: Settings) -> tuple[float, float]:
    """How long before a tick without memory Prometheus is asked for as well: a window of rates, and a tick."""
    return settings.engine.signals.rate_window_s, settings.engine.tick_s


def collect_timeout_s(settings: Settings) -> float:
    """How long a tick waits for metrics."""
    given = settings.prometheus.collect_timeout_s
    return settings.engine.tick_s / 2.0 if given is None else given
