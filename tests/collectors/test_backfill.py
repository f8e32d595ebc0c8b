"""Demand of the past from Prometheus: which minute a rate is told of."""

from __future__ import annotations

import pytest

from autoscaler.clients.prometheus import Series
from autoscaler.collectors.prometheus import PrometheusCollector
from tests.core.story import spec

NINE_S = 1_700_006_400.0
LOW_RPS, HIGH_RPS = 10.0, 100.0


class JumpAtNine:
    """Answers as a Prometheus that has scraped a jump of demand: the rate of the two minutes before each moment."""

    def __init__(self) -> None:
        self.asked_s: list[float] = []

    async def query_range(
        self, promql: str, *, start_s: float, end_s: float, step_s: float
    ) -> tuple[Series, ...]:
        moments = [start_s + step_s * i for i in range(round((end_s - start_s) / step_s) + 1)]
        self.asked_s += moments
        points = tuple((at_s, self._rate_rps(at_s)) for at_s in moments)
        return (Series(labels={"namespace": "team", "workload": "bert"}, points=points),)

    def _rate_rps(self, at_s: float) -> float:
        high_s = min(120.0, max(0.0, at_s - NINE_S))
        return (HIGH_RPS * high_s + LOW_RPS * (120.0 - high_s)) / 120.0


async def test_a_rate_is_told_of_the_minute_in_the_middle_of_its_window() -> None:
    """A quarter of the window around 8:59 lies behind the jump, and three quarters of that around 9:00."""
    prometheus = JumpAtNine()
    collector = PrometheusCollector(prometheus, backfill_s=8 * 3600.0)  # type: ignore[arg-type]
    told = await collector.backfill(NINE_S + 200.0, (spec("bert"),))
    points = {(p.minute_s - NINE_S) / 60.0: p.offered_rps for p in told[spec("bert").id]}
    assert [points[minute] for minute in (-2.0, -1.0, 0.0, 1.0)] == [10.0, 32.5, 77.5, 100.0]
    # The next one would be asked at 210 s, which is yet to come.
    assert max(points) == 1.0
    assert len(points) == len(prometheus.asked_s) == 480


class TwoModels:
    """A server of two models, as Prometheus sums them up."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def query_range(
        self, promql: str, *, start_s: float, end_s: float, step_s: float
    ) -> tuple[Series, ...]:
        self.asked.append(promql)
        told = {"quick": 20.0, "slow": 0.5}
        return tuple(
            Series(
                labels={"namespace": "team", "workload": "bert", "model": model},
                points=((end_s, rps),),
            )
            for model, rps in told.items()
        )


@pytest.mark.parametrize(
    ("model", "past_rps"), [(None, 20.5), ("slow", 0.5), ("quick", 20.0), ("other", None)]
)
async def test_the_past_is_of_the_model_that_counts(
    model: str | None, past_rps: float | None
) -> None:
    """As the demand of the present is: half a request a second of one model had a past of 20.5."""
    prometheus = TwoModels()
    collector = PrometheusCollector(prometheus, backfill_s=3600.0)  # type: ignore[arg-type]
    told = await collector.backfill(NINE_S, (spec("bert", model=model),))
    found = [point.offered_rps for point in told[spec("bert").id]]
    assert found == ([] if past_rps is None else [past_rps])


async def test_a_pod_that_two_jobs_scrape_has_one_past() -> None:
    """They differ in `job`, `instance` and the like alone; what is a part of a whole is kept apart and added up."""
    prometheus = TwoModels()
    collector = PrometheusCollector(prometheus, backfill_s=3600.0)  # type: ignore[arg-type]
    await collector.backfill(NINE_S, (spec("bert"),))
    assert (
        "max by (namespace, pod, model, reason, version, finished_reason, engine, dp_rank, priority, is_streaming) "
        "(rate(nv_inference_count[2m]))" in prometheus.asked[0]
    )
    assert "sum by (namespace, workload, model) (" in prometheus.asked[0]
