"""What the gatherer adds to what the sources say: the engine whose metrics are scraped."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from autoscaler.controller.gather import Gatherer
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.ports import Measured, Samples
from autoscaler.core.types import HistoryPoint, PodSample, WorkloadId, WorkloadSpec
from tests.fakes.clock import SteppedClock
from tests.fakes.controller import FakeCluster, FakeProfiles


class Scraped:
    """Samples of the engines that the test names, pod by pod."""

    def __init__(self, *engines: str) -> None:
        self.engines = engines

    async def collect(self, at_s: float, workloads: tuple[WorkloadSpec, ...]) -> Measured:
        return Samples(
            samples={
                ("team", f"bert-{index}"): PodSample(
                    pod=f"bert-{index}", sampled_at_s=at_s, engine=engine
                )
                for index, engine in enumerate(self.engines)
            }
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
    gatherer = Gatherer(
        cluster=FakeCluster(),
        measures=Scraped(*engines),
        profiles=FakeProfiles(),
        clock=SteppedClock(),
        metrics=Metrics(),
        collect_timeout_s=5.0,
        frozen=lambda: None,
        backfill=False,
    )
    (given,) = (await gatherer.gather()).workloads
    assert (given.spec.engine, given.spec.engine_from) == told
