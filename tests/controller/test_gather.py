"""What the gatherer adds to what the sources say: the engine whose metrics are scraped, scrapes without a sample."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from autoscaler.controller.gather import Gatherer
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.ports import Measured, Samples
from autoscaler.core.nodes.observed import PoolInput
from autoscaler.core.slices.observed import SlicesInput
from autoscaler.core.types import (
    HistoryPoint,
    PodGpus,
    PodSample,
    Scrape,
    Targets,
    TickInput,
    WorkloadId,
    WorkloadSpec,
)
from tests.fakes.clock import SteppedClock
from tests.fakes.controller import FakeCluster, FakeProfiles


class Scraped:
    """Samples of the engines that the test names, pod by pod."""

    def __init__(
        self,
        *engines: str,
        scrapes: tuple[Scrape, ...] = (),
        xids: Mapping[str, tuple[int, ...]] | None = None,
        error: str | None = None,
        errors: Mapping[WorkloadId, str] | None = None,
        delay_s: float = 0.0,
    ) -> None:
        self.error, self.errors = error, errors or {}
        self.delay_s, self.clock = delay_s, SteppedClock()
        self.asked_s: list[float] = []
        self.engines = engines
        self.scrapes = scrapes
        self.xids = xids or {}

    async def collect(
        self, now_s: float, workloads: tuple[WorkloadSpec, ...], *, ago_s: float = 0.0
    ) -> Measured:
        self.asked_s.append(-ago_s)
        if self.delay_s:
            await self.clock.sleep(self.delay_s)
        return Samples(
            samples={
                ("team", f"bert-{index}"): PodSample(
                    pod=f"bert-{index}", sampled_at_s=now_s - ago_s, engine=engine
                )
                for index, engine in enumerate(self.engines)
            },
            scrapes={("team", scrape.pod): scrape for scrape in self.scrapes},
            error=self.error,
            errors=self.errors,
            targets=Targets(known=9, answering=8) if self.scrapes else None,
            gpus={("team", pod): PodGpus(pod=pod, xids=xids) for pod, xids in self.xids.items()},
        )

    async def backfill(
        self, at_s: float, workloads: tuple[WorkloadSpec, ...]
    ) -> Mapping[WorkloadId, tuple[HistoryPoint, ...]]:
        return {}


@pytest.mark.parametrize(
    ("engines", "told"),
    [
        pytest.param(("vllm", "vllm"), ("vllm", "metrics that are scraped"), id="they tell"),
        pytest.param((), ("triton", "assumed"), id="nothing is scraped"),
        pytest.param(("vllm", "triton"), ("triton", "assumed"), id="they contradict each other"),
    ],
)
async def test_the_engine_by_what_is_scraped(
    engines: tuple[str, ...], told: tuple[str, str]
) -> None:
    (given,) = (await gathered(Scraped(*engines))).workloads
    assert (given.spec.engine, given.spec.engine_from) == told


async def test_a_scrape_is_told_of_pods_without_a_sample_only() -> None:
    scrapes = tuple(
        Scrape(pod=pod, at_s=1.0, answered=pod == "bert-0") for pod in ("bert-0", "bert-1", "gone")
    )
    tick = await gathered(Scraped("vllm", scrapes=scrapes))
    assert tick.workloads[0].scrapes == scrapes[1:2]
    assert tick.targets == Targets(known=9, answering=8)


async def test_gpus_are_told_of_the_workloads_pods() -> None:
    tick = await gathered(Scraped("triton", xids={"bert-0": (79,), "other": (48,)}))
    assert tick.workloads[0].gpus == (PodGpus(pod="bert-0", xids=(79,)),)


@pytest.mark.parametrize(
    ("error", "errors", "told"),
    [
        pytest.param("no connection", {}, ["no connection"], id="an outage"),
        pytest.param(
            None,
            {"a": "x: status 400", "b": "x: status 400", "c": "y: status 422"},
            ["x: status 400; y: status 422"],
            id="queries of some: each error once",
        ),
        pytest.param(None, {}, [], id="all is well"),
    ],
)
async def test_what_prometheus_does_not_tell_is_a_line_of_the_log(
    error: str | None,
    errors: dict[str, str],
    told: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its collector raises nothing: nothing else names an outage there."""
    ids = {WorkloadId(namespace="team", name=name): text for name, text in errors.items()}
    with caplog.at_level("WARNING", logger="autoscaler.controller"):
        await gathered(Scraped("triton", error=error, errors=ids))
    assert [vars(line)["error"] for line in caplog.records] == told


async def test_nodes_that_can_not_be_told_are_held_as_they_were_and_stop_no_workload() -> None:
    faults: list[Exception] = []

    def pools() -> tuple[PoolInput, ...]:
        if faults:
            raise faults[0]
        return (PoolInput(pool="a100", other_units=3),)

    def slices() -> SlicesInput:
        if faults:
            raise faults[0]
        return SlicesInput(fronts=())

    metrics = Metrics()
    gatherer = Gatherer(
        cluster=FakeCluster(),
        measures=Scraped("triton"),
        profiles=FakeProfiles(),
        clock=SteppedClock(),
        metrics=metrics,
        collect_timeout_s=5.0,
        frozen=lambda: None,
        backfill=False,
        pools=pools,
        slices=slices,
    )
    await gatherer.gather()
    faults.append(KeyError("zone"))
    given = await gatherer.gather()
    why = "they could not be looked at: KeyError: 'zone'"
    assert [item.spec.id.name for item in given.workloads] == ["bert"]
    assert given.pools == (PoolInput(pool="a100", other_units=3, stale=why),)
    assert given.slices == SlicesInput(fronts=(), stale=why)
    labels = {"source": "kubernetes"}
    assert metrics.registry.get_sample_value("forescale_source_errors_total", labels) == 2.0
    faults.clear()
    given = await gatherer.gather()
    assert [pool.stale for pool in given.pools] == [None]


def looking_back(measures: Scraped, clock: SteppedClock) -> Gatherer:
    return Gatherer(
        cluster=FakeCluster(),
        measures=measures,
        profiles=FakeProfiles(),
        clock=clock,
        metrics=Metrics(),
        collect_timeout_s=5.0,
        frozen=lambda: None,
        backfill=False,
        look_back_s=(30.0, 10.0),
    )


async def test_prometheus_is_asked_for_the_past_where_what_it_told_is_as_old_as_that() -> None:
    """A new leader, and one whose Prometheus was not reached for a while. One tick that is missed is no such thing."""
    measures, clock = Scraped("triton"), SteppedClock()
    gatherer = looking_back(measures, clock)
    asked = []
    for error in (None, None, "refused", None, "refused", "refused", "refused", None, None):
        measures.error, measures.asked_s = error, []
        begun_s = clock.now_s()
        tick = await gatherer.gather()
        asked.append(measures.asked_s)
        told = [sample.sampled_at_s - begun_s for sample in tick.workloads[0].earlier]
        assert told == ([] if error else asked[-1][:-1])
        await clock.advance(10.0)
    now, back = [0.0], [-30.0, -10.0, 0.0]
    assert asked == [back, now, now, now, now, now, [-30.0, 0.0], back, now]


async def test_a_prometheus_that_is_slow_is_not_asked_for_the_past_at_the_tick_s_cost() -> None:
    measures, clock = Scraped("triton", delay_s=4.0), SteppedClock()
    measures.clock = clock
    gathering = asyncio.create_task(looking_back(measures, clock).gather())
    await clock.advance(1.25 + 4.0)
    (given,) = (await gathering).workloads
    assert (len(given.samples), given.earlier, given.samples_error) == (1, (), None)


async def gathered(measures: Scraped) -> TickInput:
    gatherer = Gatherer(
        cluster=FakeCluster(),
        measures=measures,
        profiles=FakeProfiles(),
        clock=SteppedClock(),
        metrics=Metrics(),
        collect_timeout_s=5.0,
        frozen=lambda: None,
        backfill=False,
    )
    return await gatherer.gather()
