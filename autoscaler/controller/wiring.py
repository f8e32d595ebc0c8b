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
from autoscaler.controller.process import Process
from autoscaler.controller.server import Health, Server, build_app
from autoscaler.controller.slice_planner import SlicePlanner
from autoscaler.controller.slo_metrics import SloSeries
from autoscaler.controller.templates import TemplateWriter
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
) -> None:
    """Until SIGTERM or SIGINT.

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
) -> Built:
    """Connects the parts; sends nothing."""
    metrics = Metrics()
    engine = DecisionEngine(settings.engine)
    leadership = _leadership(settings, clock, client, identity, metrics)
    metrics.watch_leading(leadership.is_leading)
    collector = sources.collector(settings, client, clock)
    nodes = sources.node_parts(settings, client, clock, collector)
    slices = sources.slice_collector(settings, client, prometheus, clock, collector)
    planner = (
        SlicePlanner(ProcessWorker(follow), lambda: loop.last, clock, settings.engine)
        if slices and sources.packing_on(settings)
        else None
    )
    triton = TritonCollector(collector.endpoints, clock, sick=lambda: _sick(loop.last))
    cluster = sources.ClusterView(collector)
    announcer = Announcer(
        sink=sources.KubeEvents(
            EventWriter(client, collector.uid, instance=leadership.identity), clock
        ),
        leadership=leadership,
        metrics=metrics,
        clock=clock,
    )
    accounts = Accounts(stale_after_s=settings.engine.signals.stale_after_s)
    metrics.registry.register(SloSeries(accounts))
    archive = Archive(
        engine=engine,
        journal=_journal(settings, identity),
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
            offload=asyncio.to_thread,
        ),
    )
    forecasts = (
        ForecastService(ProcessWorker(prepare, settings.forecast), engine, clock, metrics)
        if settings.forecast.enabled
        else None
    )
    fence = Fence(leadership=leadership, clock=clock, call_s=settings.kubernetes.request_timeout_s)
    parts = Parts(
        engine=engine,
        gatherer=Gatherer(
            cluster=cluster,
            measures=sources.measures(settings, prometheus),
            profiles=triton,
            clock=clock,
            metrics=metrics,
            collect_timeout_s=sources.collect_timeout_s(settings),
            frozen=frozen,
            backfill=settings.prometheus.backfill_s > 0.0,
            forecasts=forecasts.take if forecasts else tuple,
            pools=nodes.collector.observe if nodes else tuple,
            slices=slices.observe if slices else lambda: None,
            slice_plan=planner.take if planner else lambda: None,
        ),
        dispatcher=Dispatcher(
            actuator=SteeringActuator(
                client, KServeActuator(client, ScaleActuator(client), collector.write_of)
            ),
            fence=fence,
            metrics=metrics,
            max_concurrent=settings.kubernetes.max_concurrent_writes,
        ),
        archive=archive,
        announcer=announcer,
        leadership=leadership,
        metrics=metrics,
        clock=clock,
        offload=asyncio.to_thread,
        headroom=HeadroomWriter(nodes.actuator, fence) if nodes else None,
        headroom_namespace=settings.headroom.namespace,
        mig=MigWriter(MigActuator(client), fence) if slices else None,
        templates=TemplateWriter(TemplateActuator(client), fence)
        if settings.engine.slices.templates is TemplatesMode.AUTO
        else None,
    )
    loop = ControlLoop(parts, tick_s=settings.engine.tick_s)
    process = Process(
        loop=loop,
        leadership=leadership,
        archive=archive,
        announcer=announcer,
        cluster=cluster,
        jobs={
            "kubernetes": collector.run,
            "triton": triton.run,
            **({"forecasts": forecasts.run} if forecasts else {}),
            **({"nodes": nodes.collector.run} if nodes else {}),
            **({"slices": slices.run} if slices else {}),
            **({"packing": planner.run} if planner else {}),
        },
        clock=clock,
        tick_s=settings.engine.tick_s,
    )
    health = Health(stuck=process.stuck, not_ready=process.not_ready, last=lambda: loop.last)
    app = build_app(
        metrics=metrics, leadership=leadership, health=health, compliance=accounts.compliance
    )
    return Built(process=process, server=Server(app, settings.server))


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
