"""Runs every check once."""

from __future__ import annotations

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clients.prometheus import PrometheusClient
from autoscaler.clock import Clock
from autoscaler.config import Settings
from autoscaler.controller import sources
from autoscaler.controller.deadline import within
from autoscaler.controller.doctor import (
    autoscalers,
    cluster,
    gpus,
    leftovers,
    metrics,
    rights,
    slices,
    templates,
    workloads,
)
from autoscaler.controller.doctor.diagnosis import Diagnosis, error, ok
from autoscaler.controller.ports import Measured, Observation, Samples
from autoscaler.controller.wiring import own_namespace
from autoscaler.core.types import Mode
from autoscaler.core.writes import ReplicaWrite
from autoscaler.errors import AutoscalerError, SourceDenied, SourceError

KUBERNETES = "Kubernetes"
METRICS_TIMEOUT_S = 20.0


async def examine(
    settings: Settings, clock: Clock, *, account: str | None = None
) -> tuple[Diagnosis, ...]:
    """Every finding, in the order of what depends on what. `account`: whose rights, as `namespace/name`.

    Raises:
        ConfigError: there is no usable kubeconfig.
    """
    client = await sources.connect_kubernetes(settings)
    prometheus = sources.connect_prometheus(settings)
    try:
        return tuple(await _all(settings, clock, client, prometheus, account))
    finally:
        prometheus.close()
        await client.close()


async def _all(
    settings: Settings,
    clock: Clock,
    client: KubernetesClient,
    prometheus: PrometheusClient,
    account: str | None,
) -> list[Diagnosis]:
    try:
        version = (await client.read("/version")).get("gitVersion", "")
    except SourceError as failed:
        remedy = "look whether it can be reached from here, or give --kubeconfig or --context"
        unreached = error(KUBERNETES, f"{client.server}: {failed}", remedy)
        return [unreached, await _prometheus_alone(settings, prometheus, clock)]
    found = [ok(KUBERNETES, f"{version} at {client.server}")]
    own = account.partition("/")[0] if account else own_namespace(settings)
    kserve = await rights.kserve_served(client)
    found += await rights.check(client, rights.needed(settings, own, kserve=kserve), account)
    seen, problems, writes = await _observe(settings, client, clock)
    found += problems
    measured = await _measure(settings, prometheus, clock, seen)
    found += metrics.check(settings.prometheus.url, measured, seen.workloads)
    looked = await cluster.look(client, settings.kubernetes.watch_namespaces)
    found += autoscalers.check(looked, settings)
    found += gpus.check(looked, settings)
    found += slices.check(looked, settings)
    found += leftovers.check(looked, settings)
    found += templates.check(settings, seen.workloads)
    of_templates = rights.of_templates(settings, [item.spec for item in seen.workloads])
    found += await rights.check(
        client, of_templates | rights.of_services(settings, writes), account
    )
    found += workloads.check(looked, settings, [item.spec for item in seen.workloads])
    return found


async def _observe(
    settings: Settings, client: KubernetesClient, clock: Clock
) -> tuple[Observation, list[Diagnosis], list[ReplicaWrite]]:
    """What is there, what is wrong with it, and how KServe's services would be written."""
    collector = sources.collector(settings, client, clock)
    try:
        await collector.read_once()
    except SourceError as failed:
        denied = isinstance(failed, SourceDenied)
        remedy = "grant the rights above" if denied else "look whether the API server is well"
        return Observation(), [error("workloads", str(failed), remedy)], []
    seen = sources.ClusterView(collector).observe()
    problems = [
        error(f"annotations of {item.workload}", str(problem), "correct or remove it")
        for item in seen.refused
        for problem in item.problems
    ]
    asked = [item.spec.id for item in seen.workloads if item.spec.mode is Mode.AUTO]
    writes = [write for one in asked if (write := collector.write_of(one)) is not None]
    return seen, problems, writes


async def _prometheus_alone(
    settings: Settings, prometheus: PrometheusClient, clock: Clock
) -> Diagnosis:
    """Whether it answers; which workloads it should know of nobody knows."""
    measured = await _measure(settings, prometheus, clock, Observation())
    return metrics.reached(settings.prometheus.url, measured)


async def _measure(
    settings: Settings, prometheus: PrometheusClient, clock: Clock, seen: Observation
) -> Measured:
    specs = tuple(item.spec for item in seen.workloads)
    try:
        if not specs:
            await within(
                clock, METRICS_TIMEOUT_S, prometheus.query("vector(1)", at_s=clock.now_s())
            )
            return Samples()
        collector = sources.measures(settings, prometheus)
        return await within(clock, METRICS_TIMEOUT_S, collector.collect(clock.now_s(), specs))
    except TimeoutError:
        return Samples(error=f"no answer within {METRICS_TIMEOUT_S:g} s")
    except AutoscalerError as failed:
        return Samples(error=str(failed))
