"""What a mesh's histogram tells of a workload: every instance for itself, failures apart, one reporter only."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler.clients.prometheus import PrometheusClient
from autoscaler.collectors import gateways
from autoscaler.collectors.gateways import BUILT_IN, selector
from autoscaler.collectors.prometheus import Collected, PrometheusCollector
from autoscaler.config import GatewayQueries
from autoscaler.config.rules import BUILT_IN_GATEWAYS
from autoscaler.core.types import ModelCounters, WorkloadId, WorkloadSpec
from autoscaler.errors import SourceUnavailable
from tests.core.story import spec
from tests.fakes.scraped import ScrapedPrometheus

ISTIO = (Path(__file__).parent / "samples" / "istio.txt").read_text()
BERT = spec("bert")


async def collected(
    source: ScrapedPrometheus,
    *,
    gateway: str = "auto",
    custom: dict[str, GatewayQueries] | None = None,
    workloads: tuple[WorkloadSpec, ...] = (BERT,),
) -> Collected:
    async with source.serving():
        client = PrometheusClient(source.url, timeout_s=5.0)
        try:
            collector = PrometheusCollector(client, gateway=gateway, custom_gateways=custom)
            return await collector.collect(1003.0, workloads)
        finally:
            client.close()


def test_the_policy_allows_just_those_that_are_built_in() -> None:
    assert set(BUILT_IN_GATEWAYS) == set(BUILT_IN)


async def test_istio_is_found_and_read_as_its_clients_see_it() -> None:
    """A 404 was answered well; a 503 and a broken connection were not. What the server's own proxy reports is the same
    once more, and left out."""
    source = ScrapedPrometheus()
    source.scrape("gateway-0", ISTIO, 1000.0, namespace="istio-system")
    (sample,) = (await collected(source)).gateway[BERT.id]
    assert (sample.pod, sample.sampled_at_s) == ("gateway-0", 1000.0)
    assert sample.models == (
        ModelCounters(
            model="",
            success=950.0,
            failure=50.0,
            latency_buckets=((0.1, 750.0), (0.25, 930.0), (1e308, 950.0)),
        ),
    )


async def test_instances_are_not_added_up() -> None:
    """Counters of several together would fall when one restarts."""
    source = ScrapedPrometheus()
    source.scrape("gateway-0", ISTIO, 1000.0, namespace="istio-system")
    source.scrape("gateway-1", ISTIO, 1001.0, namespace="istio-system")
    told = (await collected(source)).gateway[BERT.id]
    assert [(sample.pod, sample.sampled_at_s) for sample in told] == [
        ("gateway-0", 1000.0),
        ("gateway-1", 1001.0),
    ]


@pytest.mark.parametrize("gateway", ["none", "linkerd"])
async def test_another_gateway_is_not_asked(gateway: str) -> None:
    source = ScrapedPrometheus()
    source.scrape("gateway-0", ISTIO, 1000.0)
    assert (await collected(source, gateway=gateway)).gateway == {}
    assert not any("istio" in query for query in source.asked)


async def test_a_gateway_that_can_not_be_read_is_a_line_of_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It was one in each tick."""
    source = ScrapedPrometheus()
    source.scrape("gateway-0", ISTIO, 1000.0, namespace="istio-system")
    read = gateways.selector

    def too_many(*_: object, **__: object) -> str:
        raise SourceUnavailable("query processing would load too many samples")

    async with source.serving():
        client = PrometheusClient(source.url, timeout_s=5.0)
        collector = PrometheusCollector(client, gateway="auto")
        with caplog.at_level("INFO", logger="autoscaler.collectors.prometheus"):
            for broken in (True, True, True, False):
                monkeypatch.setattr(gateways, "selector", too_many if broken else read)
                told = (await collector.collect(1003.0, (BERT,))).gateway
                assert bool(told) is not broken
        client.close()
    assert [line.msg for line in caplog.records] == ["gateway not read", "gateway is read again"]


async def test_where_nothing_is_scraped_of_a_gateway_it_is_asked_for_once() -> None:
    source = ScrapedPrometheus()
    assert (await collected(source)).gateway == {}
    assert [q for q in source.asked if "istio" in q] == [
        "group(istio_request_duration_milliseconds_bucket)"
    ]


async def test_one_of_the_policys_own() -> None:
    own = GatewayQueries(
        metric="edge_seconds_bucket",
        namespace_label="ns",
        workload_label="app",
        code_label="code",
        instance_label="replica",
    )
    source = ScrapedPrometheus()
    text = "\n".join(
        f'edge_seconds_bucket{{ns="team",app="bert",code="{code}",replica="r",le="{le}"}} {count}'
        for code, le, count in (("200", "0.3", 90), ("200", "+Inf", 100), ("500", "+Inf", 3))
    )
    source.scrape("edge", f"# TYPE edge_seconds histogram\n{text}\n", 1000.0)
    told = await collected(source, gateway="edge", custom={"edge": own})
    (sample,) = told.gateway[BERT.id]
    assert sample.pod == "r"
    assert sample.models[0].latency_buckets == ((0.3, 90.0), (1e308, 100.0))
    assert sample.models[0].failure == 3.0


def test_only_what_is_annotated_is_asked_for() -> None:
    other = WorkloadSpec(id=WorkloadId(namespace="b", name="v1.2"), slo=BERT.slo)
    assert selector(BUILT_IN["istio"], (BERT, other), only_le="+Inf") == (
        'istio_request_duration_milliseconds_bucket{reporter="source",'
        'destination_workload_namespace=~"b|team",destination_workload=~"bert|v1[.]2",le="+Inf"}'
    )
