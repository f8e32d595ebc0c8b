"""Prometheus' clock beside the controller's: where they differ nothing tells how old a sample is."""

from __future__ import annotations

import pytest

from autoscaler.clients.prometheus import PrometheusClient
from autoscaler.collectors.prometheus import Collected, PrometheusCollector
from tests.core.story import spec
from tests.fakes.prometheus_api import PrometheusApi

SUCCESS = "nv_inference_request_success"


async def collected(
    there_s: float | None, at_s: float = 1000.0, ago_s: float = 0.0
) -> tuple[Collected, list[str]]:
    """What is told at `at_s` of one pod, and what was asked; `there_s` None: Prometheus does not say its time."""
    source = PrometheusApi()
    labels = {"namespace": "team", "pod": "bert-0", "model": "bert"}
    for query, value in ((SUCCESS, "7"), (f"timestamp({SUCCESS})", f"{at_s - 3.0}")):
        source.vectors[query] = [{"metric": labels, "value": [at_s, value]}]
    if there_s is not None:
        source.vectors["vector(time())"] = [{"metric": {}, "value": [there_s, str(there_s)]}]
    async with source.serving():
        client = PrometheusClient(source.url, timeout_s=5.0)
        try:
            return await PrometheusCollector(client).collect(
                at_s, (spec(),), ago_s=ago_s
            ), source.asked
        finally:
            client.close()


@pytest.mark.parametrize("there_s", [None, 970.0, 1000.4, 1030.0])
async def test_clocks_that_agree_and_one_that_is_not_told(there_s: float | None) -> None:
    told, _ = await collected(there_s)
    assert (told.error, list(told.samples)) == (None, [("team", "bert-0")])


@pytest.mark.parametrize(
    ("there_s", "words"),
    [
        # At the time that is asked for the samples are three seconds old: five minutes ago they were.
        (1300.0, "Prometheus' clock is 300 s ahead of the controller's, so that nothing tells"),
        (700.0, "Prometheus' clock is 300 s behind the controller's, so that nothing tells"),
    ],
)
async def test_what_is_told_at_another_time_is_not_believed(there_s: float, words: str) -> None:
    told, asked = await collected(there_s)
    assert told.error is not None
    assert told.error.startswith(words)
    assert not told.samples
    assert SUCCESS not in asked


async def test_the_past_that_is_asked_for_is_no_clock_that_is_behind() -> None:
    told, _ = await collected(1000.4, ago_s=30.0)
    assert (told.error, list(told.samples)) == (None, [("team", "bert-0")])
