"""One look at a cluster and one decision for every workload, with nothing written: what `plan` and `explain` show."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clients.prometheus import PrometheusClient
from autoscaler.clock import Clock
from autoscaler.collectors.kubernetes import KubernetesCollector
from autoscaler.collectors.triton import TritonCollector
from autoscaler.config import Settings
from autoscaler.controller import sources
from autoscaler.controller.checkpoint import unpack
from autoscaler.controller.deadline import within
from autoscaler.controller.gather import Gatherer
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.ports import Observation, Refused
from autoscaler.controller.wiring import store_of
from autoscaler.core.types import TickRecord
from autoscaler.engine import DecisionEngine
from autoscaler.errors import AutoscalerError, SourceDenied, SourceError, SourceUnavailable

# As often as Prometheus usually scrapes.
LOOK_EVERY_S = 5.0
# Servers may be out of reach from where a person sits; their statistics are not waited for longer.
TRITON_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What was seen and decided."""

    record: TickRecord
    refused: tuple[Refused, ...]


async def run_dry(settings: Settings, clock: Clock, *, wait_s: float, cold: bool) -> DryRun:
    """Decides by the last half minute, or looks for `wait_s` first.

    Raises:
        ConfigError: there is no usable kubeconfig.
        SourceError: Kubernetes or Prometheus can't be read; the message says what to do.
    """
    client = await sources.connect_kubernetes(settings)
    prometheus = sources.connect_prometheus(settings)
    try:
        return await _look(settings, clock, client, prometheus, wait_s=wait_s, cold=cold)
    finally:
        prometheus.close()
        await client.close()


async def list_workloads(settings: Settings, clock: Clock) -> Observation:
    """Every annotated workload, without asking Prometheus. Raises as `run_dry`."""
    client = await sources.connect_kubernetes(settings)
    try:
        collector = sources.collector(settings, client, clock)
        await _list(collector, client)
        return sources.ClusterView(collector).observe()
    finally:
        await client.close()


async def _look(
    settings: Settings,
    clock: Clock,
    client: KubernetesClient,
    prometheus: PrometheusClient,
    *,
    wait_s: float,
    cold: bool,
) -> DryRun:
    collector = sources.collector(settings, client, clock)
    nodes = sources.node_parts(settings, client, clock, collector)
    slices = sources.slice_collector(settings, client, prometheus, clock, collector, nodes)
    triton = TritonCollector(collector.endpoints, clock)
    gatherer = Gatherer(
        cluster=sources.ClusterView(collector),
        measures=sources.measures(settings, prometheus),
        profiles=triton,
        clock=clock,
        metrics=Metrics(),
        # Nobody waits for a tick here.
        collect_timeout_s=settings.prometheus.timeout_s * 3.0,
        frozen=lambda: settings.freeze,
        backfill=False,
        look_back_s=sources.look_back_s(settings),
        pools=nodes.collector.observe if nodes else tuple,
        slices=slices.observe if slices else lambda: None,
    )
    engine = DecisionEngine(settings.engine)
    await _list(collector, client)
    if not cold:
        await _take_over(engine, settings, clock, client)
    left_s = wait_s
    while True:
        if nodes is not None:
            await nodes.collector.read_once()
        if slices is not None:
            await slices.read_once()
        await _ask_servers(triton, clock)
        given = await gatherer.gather()
        errors = {item.samples_error for item in given.workloads}
        if given.workloads and None not in errors and not any(w.samples for w in given.workloads):
            said = sorted(map(str, errors))[0].removeprefix(f"{settings.prometheus.url}: ")
            raise SourceUnavailable(
                f"Prometheus at {settings.prometheus.url}: {said}; "
                "give --prometheus-url, or FORESCALE_PROMETHEUS_URL"
            )
        result = engine.tick(given)
        if left_s <= 0.0 or not given.workloads:
            break
        step_s = min(LOOK_EVERY_S, left_s)
        await clock.sleep(step_s)
        left_s -= step_s
        await _list(collector, client)
    return DryRun(record=TickRecord(input=given, result=result), refused=gatherer.refused)


async def _list(collector: KubernetesCollector, client: KubernetesClient) -> None:
    try:
        await collector.read_once()
    except SourceError as error:
        remedy = "give --kubeconfig or --context"
        if isinstance(error, SourceDenied):
            remedy += "; forescale doctor names the rights that are lacking"
        raise type(error)(f"Kubernetes at {client.server}: {error}; {remedy}") from error


async def _take_over(
    engine: DecisionEngine, settings: Settings, clock: Clock, client: KubernetesClient
) -> None:
    """What the running controller has learned, where one may read it; without it the plan is a cold start's."""
    try:
        data = await within(clock, 5.0, store_of(settings, client).load())
        if data is not None:
            engine.restore(unpack(data).left())
    except (AutoscalerError, OSError, TimeoutError):
        return


async def _ask_servers(triton: TritonCollector, clock: Clock) -> None:
    try:
        await within(clock, TRITON_S, triton.read_once())
    except (AutoscalerError, TimeoutError):
        return
