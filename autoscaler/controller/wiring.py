"""Puts the real parts together and runs them: the one place that knows all of them."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autoscaler.actuators.events import EventWriter
from autoscaler.actuators.kserve import KServeActuator
from autoscaler.actuators.mig import MigActuator
from autoscaler.actuators.scale import ScaleActuator
from autoscaler.actuators.template import TemplateActuator
from autoscaler.actuators.victims import SteeringActuator
from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clients.prometheus import PrometheusClient
from autoscaler.clock import Clock
from autoscaler.collectors.kubernetes import KubernetesCollector
from autoscaler.collectors.slices import SliceCollector
from autoscaler.collectors.triton import TritonCollector
from autoscaler.config import Settings
from autoscaler.controller import sources
from autoscaler.controller.accounts import AccountKeeper, Accounts
from autoscaler.controller.actuate import Dispatcher
from autoscaler.controller.archive import Archive
from autoscaler.controller.checkpoint import ConfigMapCheckpoint, FileCheckpoint
from autoscaler.controller.fence import Fence
from autoscaler.controller.forecast_worker import ProcessWorker, follow, prepare
from autoscaler.controller.forecasting import ForecastService
from autoscaler.controller.gather import Gatherer
from autoscaler.controller.headroom import HeadroomWriter
from autoscaler.controller.journal import Journal
from autoscaler.controller.kube_objects import KubeLease, KubeMaps
from autoscaler.controller.leader import LeaderElector, Leadership, SoleLeader
from autoscaler.controller.loop import ControlLoop, Parts
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.mig import MigWriter
from autoscaler.controller.notes import Announcer
from autoscaler.controller.ports import CheckpointStore
from autoscaler.controller.process import Job, Process
from autoscaler.controller.server import Health, Server, build_app
from autoscaler.controller.slice_planner import SlicePlanner
from autoscaler.controller.slo_metrics import SloSeries
from autoscaler.controller.templates import TemplateWriter
from autoscaler.core.external import FORESCALE
from autoscaler.core.slices.settings import TemplatesMode
from autoscaler.core.types import TickRecord, WorkloadId
from autoscaler.engine import DecisionEngine

log = logging.getLogger(__name__)

IN_CLUSTER_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A controller that is ready to run."""

    process: Process
    server: Server


async def run_controller(
    settings: Settings,
    clock: Clock,
    *,
    identity: str | None = None,
    frozen: Callable[[], str | None] | None = None,
    outdated: Callable[[], bool] = lambda: False,
) -> None:
    """Until SIGTERM or SIGINT. `outdated`: whether the policy file has changed since this process was started.

    Raises:
        LeadershipLost: end the process at once.
        AutoscalerError: it can't start; the message says what to do.
    """
    client = await sources.connect_kubernetes(settings)
    prometheus = sources.connect_prometheus(settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        built = build(
            settings,
            clock,
            client=client,
            prometheus=prometheus,
            identity=identity or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}",
            frozen=frozen or (lambda: settings.freeze),
            outdated=outdated,
        )
        await built.server.start()
        log.info(
            "started",
            extra={
                "server": client.server,
                "prometheus": settings.prometheus.url,
                "port": built.server.port,
            },
        )
        try:
            await built.process.run(stop)
        finally:
            await built.server.stop()
    finally:
        prometheus.close()
        await client.close()


def build(
    settings: Settings,
    clock: Clock,
    *,
    client: KubernetesClient,
    prometheus: PrometheusClient,
    identity: str,
    frozen: Callable[[], str | None],
    outdated: Callable[[], bool] = lambda: False,
) -> Built:
    """Connects the parts; sends nothing."""
    metrics = Metrics()
    engine = DecisionEngine(settings.engine)
    leadership = _leadership(settings, clock, client, identity, metrics)
    metrics.watch_leading(leadership.is_leading)
    metrics.watch_policy(outdated)
    sight = _sight(settings, client, prometheus, clock, lambda: loop.last)
    forecasts = _forecasts(settings, engine, clock, metrics)
    accounts = Accounts(stale_after_s=settings.engine.signals.stale_after_s)
    metrics.registry.register(SloSeries(accounts))
    told = EventWriter(client, sight.workloads.uid, instance=leadership.identity)
    announcer = Announcer(
        sink=sources.KubeEvents(told), leadership=leadership, metrics=metrics, clock=clock
    )
    archive = _archive(settings, clock, client, engine, leadership, metrics, accounts)
    parts = _parts(
        settings,
        client,
        sight,
        clock,
        engine=engine,
        gatherer=_gatherer(settings, prometheus, sight, forecasts, clock, metrics, frozen),
        archive=archive,
        announcer=announcer,
        leadership=leadership,
        metrics=metrics,
    )
    loop = ControlLoop(parts, tick_s=settings.engine.tick_s)
    process = Process(
        loop=loop,
        leadership=leadership,
        archive=archive,
        announcer=announcer,
        cluster=sight.cluster,
        jobs=sight.jobs() | ({"forecasts": forecasts.run} if forecasts else {}),
        clock=clock,
        tick_s=settings.engine.tick_s,
    )
    app = build_app(
        metrics=metrics,
        leadership=leadership,
        health=Health(
            stuck=process.stuck,
            not_ready=process.not_ready,
            last=lambda: loop.last,
            refused=lambda: parts.gatherer.refused,
        ),
        compliance=accounts.compliance,
    )
    return Built(process=process, server=Server(app, settings.server))


def _forecasts(
    settings: Settings, engine: DecisionEngine, clock: Clock, metrics: Metrics
) -> ForecastService | None:
    """None: there is to be no forecast."""
    if not settings.forecast.enabled:
        return None
    return ForecastService(ProcessWorker(prepare, settings.forecast), engine, clock, metrics)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sight:
    """What looks at the cluster, each beside the loop."""

    workloads: KubernetesCollector
    cluster: sources.ClusterView
    triton: TritonCollector
    nodes: sources.NodeParts | None
    slices: SliceCollector | None
    planner: SlicePlanner | None

    def jobs(self) -> dict[str, Job]:
        """By name, what each does for as long as the process lives."""
        found: dict[str, Job] = {"kubernetes": self.workloads.run, "triton": self.triton.run}
        if self.nodes is not None:
            found["nodes"] = self.nodes.collector.run
        if self.slices is not None:
            found["slices"] = self.slices.run
        if self.planner is not None:
            found["packing"] = self.planner.run
        return found


def _sight(
    settings: Settings,
    client: KubernetesClient,
    prometheus: PrometheusClient,
    clock: Clock,
    last: Callable[[], TickRecord | None],
) -> _Sight:
    workloads = sources.collector(settings, client, clock, writes_as=written_as(settings))
    nodes = sources.node_parts(settings, client, clock, workloads)
    slices = sources.slice_collector(settings, client, prometheus, clock, workloads, nodes)
    return _Sight(
        workloads=workloads,
        cluster=sources.ClusterView(workloads),
        triton=TritonCollector(workloads.endpoints, clock, sick=lambda: _sick(last())),
        nodes=nodes,
        slices=slices,
        planner=SlicePlanner(ProcessWorker(follow), last, clock, settings.engine)
        if slices and sources.packing_on(settings)
        else None,
    )


def _gatherer(
    settings: Settings,
    prometheus: PrometheusClient,
    sight: _Sight,
    forecasts: ForecastService | None,
    clock: Clock,
    metrics: Metrics,
    frozen: Callable[[], str | None],
) -> Gatherer:
    return Gatherer(
        cluster=sight.cluster,
        measures=sources.measures(settings, prometheus),
        profiles=sight.triton,
        clock=clock,
        metrics=metrics,
        collect_timeout_s=sources.collect_timeout_s(settings),
        frozen=frozen,
        backfill=settings.prometheus.backfill_s > 0.0,
        look_back_s=sources.look_back_s(settings),
        forecasts=forecasts.take if forecasts else tuple,
        pools=sight.nodes.collector.observe if sight.nodes else tuple,
        slices=sight.slices.observe if sight.slices else lambda: None,
        slice_plan=sight.planner.take if sight.planner else lambda: None,
    )


def _archive(
    settings: Settings,
    clock: Clock,
    client: KubernetesClient,
    engine: DecisionEngine,
    leadership: Leadership,
    metrics: Metrics,
    accounts: Accounts,
) -> Archive:
    return Archive(
        engine=engine,
        journal=_journal(settings, leadership.identity),
        store=store_of(settings, client),
        interval_s=settings.checkpoint.interval_s,
        leadership=leadership,
        clock=clock,
        metrics=metrics,
        offload=asyncio.to_thread,
        accounts=AccountKeeper(
            accounts,
            account_store_of(settings, client),
            leadership=leadership,
            clock=clock,
            metrics=metrics,
            offload=asyncio.to_thread,
        ),
    )


def _parts(
    settings: Settings,
    client: KubernetesClient,
    sight: _Sight,
    clock: Clock,
    *,
    engine: DecisionEngine,
    gatherer: Gatherer,
    archive: Archive,
    announcer: Announcer,
    leadership: Leadership,
    metrics: Metrics,
) -> Parts:
    """With all that writes."""
    fence = Fence(leadership=leadership, clock=clock, call_s=settings.kubernetes.request_timeout_s)
    scale = ScaleActuator(client, written_as=written_as(settings))
    scales = KServeActuator(
        client, scale, sight.workloads.write_of, written_as=written_as(settings)
    )
    return Parts(
        engine=engine,
        gatherer=gatherer,
        archive=archive,
        announcer=announcer,
        dispatcher=Dispatcher(
            actuator=SteeringActuator(client, scales),
            fence=fence,
            metrics=metrics,
            max_concurrent=settings.kubernetes.max_concurrent_writes,
        ),
        leadership=leadership,
        metrics=metrics,
        clock=clock,
        offload=asyncio.to_thread,
        headroom=HeadroomWriter(sight.nodes.actuator, fence) if sight.nodes else None,
        headroom_namespace=settings.headroom.namespace,
        mig=MigWriter(MigActuator(client), fence) if sight.slices else None,
        templates=TemplateWriter(TemplateActuator(client), fence)
        if settings.engine.slices.templates is TemplatesMode.AUTO
        else None,
    )


def _sick(record: TickRecord | None) -> frozenset[tuple[WorkloadId, str]]:
    """Pods that the last tick found to be ill."""
    decisions = record.result.decisions if record is not None else ()
    return frozenset((d.workload, item.pod) for d in decisions for item in d.sick)


def store_of(settings: Settings, client: KubernetesClient) -> CheckpointStore:
    """Where the engine's memory is kept."""
    if settings.checkpoint.path is not None:
        return FileCheckpoint(Path(settings.checkpoint.path))
    return ConfigMapCheckpoint(
        KubeMaps(client, own_namespace(settings)), settings.checkpoint.config_map
    )


def account_store_of(settings: Settings, client: KubernetesClient) -> CheckpointStore:
    """Where SLO accounting is kept: beside the engine's memory."""
    if settings.checkpoint.path is not None:
        return FileCheckpoint(Path(f"{settings.checkpoint.path}.slo"))
    return ConfigMapCheckpoint(
        KubeMaps(client, own_namespace(settings)), f"{settings.checkpoint.config_map}-slo"
    )


def own_namespace(settings: Settings) -> str:
    """Of the lease and the checkpoint: the configured one, else the pod's, else `default`."""
    if settings.leader.namespace is not None:
        return settings.leader.namespace
    try:
        return IN_CLUSTER_NAMESPACE.read_text().strip()
    except OSError:
        return "default"


def written_as(settings: Settings) -> str:
    """What the API server keeps as who changed replicas: the same for all that share a lease, and for no others."""
    return f"{FORESCALE}{own_namespace(settings)}/{settings.leader.lease_name}"


def _leadership(
    settings: Settings, clock: Clock, client: KubernetesClient, identity: str, metrics: Metrics
) -> Leadership:
    if not settings.leader.enabled:
        return SoleLeader(identity)
    return LeaderElector(
        api=KubeLease(client, own_namespace(settings), settings.leader.lease_name),
        clock=clock,
        identity=identity,
        settings=settings.leader,
        on_failure=metrics.lease_failures.inc,
    )


def _journal(settings: Settings, identity: str) -> Journal | None:
    if settings.journal.path is None:
        return None
    return Journal(settings.journal, config=settings.engine, identity=identity)
