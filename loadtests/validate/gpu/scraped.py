"""What one server showed, as forescale's own collector gives it to the engine."""

from __future__ import annotations

import asyncio
from typing import cast

from autoscaler.clients.prometheus import Answer, PrometheusClient, Series
from autoscaler.collectors.prometheus import PrometheusCollector
from autoscaler.core.types import (
    PodStatus,
    ReplicaStatus,
    ServerProfile,
    TickInput,
    WorkloadInput,
    WorkloadSpec,
)
from loadtests.engines.scraped import answer, scrape

POD, NAMESPACE, TEMPLATE = "server-0", "validate", "t"
# The server was ready, and warm, long before it was measured.
READY_FOR_S = 3600.0


def tick_input(
    spec: WorkloadSpec,
    metrics: str,
    *,
    scraped_s: float,
    began_s: float,
    now_s: float,
    profiles: tuple[ServerProfile, ...] = (),
) -> TickInput:
    """A tick at `now_s` that sees the /metrics of `scraped_s`; what is measured of the server began at `began_s`."""
    ready_s = began_s - READY_FOR_S
    pod = PodStatus(
        name=POD,
        template_hash=TEMPLATE,
        created_s=ready_s,
        ready_s=ready_s,
        first_ready_s=ready_s,
    )
    client = cast(PrometheusClient, _Scraped(metrics, scraped_s))
    found = asyncio.run(PrometheusCollector(client).collect(now_s, (spec,)))
    given = WorkloadInput(
        spec=spec,
        replicas=ReplicaStatus(desired=1, template_hash=TEMPLATE),
        pods=(pod,),
        samples=tuple(found.samples.values()),
        profiles=profiles,
    )
    return TickInput(now_s=now_s, workloads=(given,))


class _Scraped:
    """Stands for a Prometheus that has scraped one text."""

    def __init__(self, text: str, at_s: float) -> None:
        self._samples, self._at_s = scrape(text, at_s, namespace=NAMESPACE, pod=POD), at_s

    async def clock_s(self) -> float:
        """As PrometheusClient's."""
        return self._at_s

    async def answer(self, promql: str, at_s: float) -> Answer:
        """As PrometheusClient's; nothing is missing."""
        return Answer(await self.query(promql, at_s))

    async def query(self, promql: str, at_s: float) -> tuple[Series, ...]:
        """As PrometheusClient's."""
        return tuple(
            Series(
                labels={k: v for k, v in found.labels.items() if k != "__name__"},
                points=((at_s, found.value),),
            )
            for found in answer(promql.strip(), self._samples, at_s)
        )
