"""Other engines than Triton, by what they expose: recorded samples, and a stand-in that batches while it is watched."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import generate_latest

from autoscaler.clients.prometheus import PrometheusClient
from autoscaler.collectors.presets import BUILT_IN
from autoscaler.collectors.prometheus import Collected, PrometheusCollector
from autoscaler.config import QuerySet
from autoscaler.core.annotations import KEYS
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slo import parse_slo
from autoscaler.core.types import (
    Decision,
    ModelCounters,
    PodStatus,
    ReplicaStatus,
    Slo,
    TickInput,
    WorkloadId,
    WorkloadInput,
    WorkloadSpec,
)
from autoscaler.core.untold import TOKEN_ENGINES, WITHOUT_TOKENS
from autoscaler.engine import DecisionEngine
from loadtests.engines.vllm import Engine, Speed
from tests.fakes.scraped import ScrapedPrometheus

SAMPLES = Path(__file__).parent / "samples"
ROOT = Path(__file__).parents[2]
INF = 1e308


def spec(engine: str, slo: str = "p95 < 1s", engine_from: str = "annotation") -> WorkloadSpec:
    parsed = parse_slo(slo, "test")
    assert isinstance(parsed, Slo)
    return WorkloadSpec(
        id=WorkloadId(namespace="team", name="llm"),
        slo=parsed,
        engine=engine,
        engine_from=engine_from,
    )


async def collected(source: ScrapedPrometheus, asked: WorkloadSpec, at_s: float) -> Collected:
    async with source.serving():
        client = PrometheusClient(source.url, timeout_s=5.0)
        try:
            return await PrometheusCollector(client).collect(at_s, (asked,))
        finally:
            client.close()


async def only_model(exposition: str, asked: WorkloadSpec) -> ModelCounters:
    source = ScrapedPrometheus()
    source.scrape("llm-0", exposition, 1000.0)
    told = await collected(source, asked, 1003.0)
    assert told.error is None
    sample = told.samples[("team", "llm-0")]
    assert sample.sampled_at_s == 1000.0
    (model,) = sample.models
    return model


VLLM = ModelCounters(
    model="llama",
    success=250.0,
    failure=5.0,
    inferences=50_000.0,
    pending=3.0,
    request_s=130.0,
    queue_s=65.0,
    latency_buckets=((10.0, 230.0), (INF, 250.0)),
    ttft_buckets=((0.5, 180.0), (2.5, 245.0), (INF, 250.0)),
    tpot_buckets=((0.05, 240.0), (INF, 250.0)),
    token_s=1500.0,
    running=12.0,
    cache_ratio=0.36,
)


async def test_vllm_by_its_own_names() -> None:
    assert await only_model((SAMPLES / "vllm.txt").read_text(), spec("vllm")) == VLLM


async def test_vllm_by_the_names_that_kserve_gives_it() -> None:
    renamed = (SAMPLES / "vllm.txt").read_text().replace("vllm:", "kserve_vllm:")
    assert await only_model(renamed, spec("vllm")) == VLLM


@pytest.mark.parametrize(
    ("engine", "colon", "stored"),
    [
        ("vllm", "vllm:", "vllm_"),
        ("vllm", "vllm:", "kserve_vllm_"),
        ("sglang", "sglang:", "sglang_"),
    ],
)
async def test_names_that_python_wrote_without_a_colon(
    engine: str, colon: str, stored: str
) -> None:
    """Newer versions of its client for it do so (seen: 0.26) where OpenMetrics is asked for, as Prometheus does:
    nothing was read of such a server."""
    told = (SAMPLES / f"{engine}.txt").read_text().replace(colon, stored)
    assert await only_model(told, spec(engine)) == {"vllm": VLLM, "sglang": SGLANG}[engine]


async def test_vllm_of_before_its_metrics_were_renamed() -> None:
    """The time per token was told over all tokens only, and the cache was the GPU's."""
    older = (
        (SAMPLES / "vllm.txt")
        .read_text()
        .replace("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
        .replace("vllm:request_time_per_output_token_seconds", "vllm:left_out_seconds")
        .replace("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds")
    )
    told = await only_model(older, spec("vllm"))
    assert (told.cache_ratio, told.token_s) == (0.36, 1500.0)
    assert told.tpot_buckets == ((0.05, 49_000.0), (INF, 49_750.0))


async def test_the_engines_of_a_data_parallel_server_are_one() -> None:
    text = (SAMPLES / "vllm.txt").read_text()
    second = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    told = await only_model(text + second.replace('engine="0"', 'engine="1"') + "\n", spec("vllm"))
    assert (told.success, told.inferences, told.running) == (500.0, 100_000.0, 24.0)
    assert told.ttft_buckets[-1] == (INF, 500.0)
    assert told.cache_ratio == 0.36


async def test_no_server_holds_a_billion_billion_requests() -> None:
    text = (SAMPLES / "vllm.txt").read_text()
    waiting = next(line for line in text.splitlines() if line.startswith("vllm:num_requests_wa"))
    absurd = text.replace(waiting, waiting.rpartition(" ")[0] + " 1e18")
    assert await only_model(absurd, spec("vllm")) == replace(VLLM, pending=None)


SGLANG = replace(
    VLLM,
    ttft_buckets=((0.4, 180.0), (2.0, 245.0), (INF, 250.0)),
    tpot_buckets=((0.04, 49_000.0), (INF, 49_750.0)),
)


async def test_sglang_by_the_names_of_its_documentation_and_source() -> None:
    """docs.sglang.io/docs/references/production_metrics.md, and python/sglang/srt/observability/metrics_collector.py at
    016d8605. 48,000 tokens are those of answers that are over; 250 first ones and 49,750 after them have come."""
    assert await only_model((SAMPLES / "sglang.txt").read_text(), spec("sglang")) == SGLANG


async def test_sglang_that_tells_streamed_answers_from_others() -> None:
    """The label came later than the metric. Of the first tokens 150 were streamed."""
    lines = []
    for line in (SAMPLES / "sglang.txt").read_text().splitlines():
        if not line.startswith("sglang:time_to_first_token_seconds"):
            lines.append(line)
            continue
        name, value = line.rsplit(" ", 1)
        for streaming, share in (("true", 0.6), ("false", 0.4)):
            label = name.replace("{", f'{{is_streaming="{streaming}",')
            lines.append(f"{label} {float(value) * share}")
    assert await only_model("\n".join(lines) + "\n", spec("sglang")) == SGLANG


async def test_sglang_whose_ranks_and_priorities_all_tell() -> None:
    """--enable-metrics-for-all-schedulers: two ranks of one replica run the same twelve sequences, of which nine are of
    priority 1. Two that serve different requests (data parallel) are counted together."""
    lines = (SAMPLES / "sglang.txt").read_text().splitlines()
    told = []
    for line in lines:
        ranked = 'tp_rank="0"' in line
        told += [line] if not ranked else [line.replace("{", '{priority="",')]
        if ranked and "_reqs{" in line:
            told.append(line.replace("{", '{priority="1",').replace(" 12.0", " 9.0"))
        if ranked:
            told.append(told[-1].replace('tp_rank="0"', 'tp_rank="1"'))
    ranked_text = "\n".join(told) + "\n"
    assert await only_model(ranked_text, spec("sglang")) == SGLANG
    source = ScrapedPrometheus()
    source.scrape("llm-0", ranked_text, 1000.0)
    assert (await collected(source, spec("sglang"), 1003.0)).doubled == frozenset()
    parallel = [
        line.replace("{", f'{{dp_rank="{rank}",') if "pp_rank" in line else line
        for rank in (0, 1)
        for line in lines
        if "pp_rank" in line or rank == 0
    ]
    both = await only_model("\n".join(sorted(parallel)) + "\n", spec("sglang"))
    assert (both.running, both.pending, both.queue_s) == (24.0, 6.0, 130.0)
    assert (both.cache_ratio, both.success) == (0.36, 250.0)


async def test_sglang_whose_first_answer_is_under_way() -> None:
    """One token has come and none after it: no time between tokens is told yet, and the token counts."""
    text = (SAMPLES / "sglang.txt").read_text()
    early = "\n".join(line for line in text.splitlines() if "inter_token" not in line)
    told = await only_model(early + "\n", spec("sglang"))
    assert (told.inferences, told.token_s) == (250.0, None)


async def test_kserves_own_server() -> None:
    told = await only_model((SAMPLES / "kserve.txt").read_text(), spec("kserve"))
    assert told == ModelCounters(
        model="iris",
        success=400.0,
        executions=400.0,
        compute_s=12.0,
        latency_buckets=((0.05, 390.0), (0.1, 398.0), (INF, 400.0)),
    )


@pytest.mark.parametrize("engine", sorted(set(BUILT_IN) - {"triton"}))
async def test_an_engine_that_nothing_tells_is_found_by_what_is_scraped(engine: str) -> None:
    source = ScrapedPrometheus()
    source.scrape("llm-0", (SAMPLES / f"{engine}.txt").read_text(), 1000.0)
    told = await collected(source, spec("triton", engine_from="assumed"), 1003.0)
    assert told.samples[("team", "llm-0")].engine == engine


@pytest.mark.parametrize("engine", BUILT_IN)
def test_an_engine_is_named_wherever_engines_are_listed(engine: str) -> None:
    """The annotation's meaning, the README's row of it, and the head of the engines' table."""
    readme = (ROOT / "README.md").read_text()
    page = (ROOT / "docs" / "engines.md").read_text()
    row = next(line for line in readme.splitlines() if line.startswith("| `engine` |"))
    head = next(line for line in page.splitlines() if line.startswith("| |"))
    for text in (KEYS["engine"].value, row, head):
        assert f"`{engine}`" in text


def test_an_engine_counts_tokens_if_it_tells_the_time_between_them() -> None:
    """So `ttft` and `tpot` are refused to those that can't tell them, and figures have the right unit."""
    telling = {name for name, preset in BUILT_IN.items() if preset.queries.token_s is not None}
    assert telling == set(TOKEN_ENGINES)
    assert set(BUILT_IN) - telling == set(WITHOUT_TOKENS)


class RefusingPrometheus(ScrapedPrometheus):
    """Answers queries that hold `refused` with 400, as ones that it can't parse."""

    refused = ""

    async def _answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        if self.refused in str(form.get("query") or request.query.get("query")):
            return web.json_response({"status": "error", "errorType": "bad_data"}, status=400)
        return await super()._answer(request)


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        pytest.param(
            "my_requests", {"mine": "sum(my_requests: status 400"}, id="one that is wrong"
        ),
        pytest.param(
            "",
            {"mine": "sum(my_requests: status 400", "llm": "status 400"},
            id="all, by a Prometheus that answers nothing",
        ),
    ],
)
async def test_queries_that_fail_hold_the_workloads_that_need_them_and_no_others(
    refused: str, told: dict[str, str]
) -> None:
    """An SRE's own set with a bracket too few."""
    source = RefusingPrometheus()
    source.refused = refused
    source.scrape("llm-0", (SAMPLES / "vllm.txt").read_text(), 1000.0)
    own = QuerySet(success="sum(my_requests", inferences="sum(my_requests")
    mine = replace(spec("mine"), id=WorkloadId(namespace="team", name="mine"))
    async with source.serving():
        client = PrometheusClient(source.url, timeout_s=5.0)
        collector = PrometheusCollector(client, custom={"mine": own})
        found = await collector.collect(1003.0, (spec("vllm"), mine))
        client.close()
    assert {key.name for key in found.errors} == set(told)
    for key, error in found.errors.items():
        assert told[key.name] in error
    assert (found.error is None) == bool(refused)
    assert (("team", "llm-0") in found.samples) == bool(refused)


@pytest.mark.parametrize(
    ("slo", "held"),
    [("p95 < 1s", True), ("p95 ttft < 1s", False), ("p95 ttft < 1s, p95 < 20s", True)],
)
async def test_an_objective_whose_misses_are_refused_lowers_nothing(slo: str, held: bool) -> None:
    """Buckets are the largest answers: a `query.max-samples` that is too small for the fleet refuses them alone.

    It was told `SloUntold`, with the advice to start the servers otherwise.
    """
    source = RefusingPrometheus()
    source.refused = "e2e_request_latency_seconds_bucket"
    source.scrape("llm-0", (SAMPLES / "vllm.txt").read_text(), 1000.0)
    told = await collected(source, spec("vllm", slo), 1003.0)
    assert (told.error, list(told.samples)) == (None, [("team", "llm-0")])
    assert [source.refused in error for error in told.errors.values()] == [True] * held


class PartialPrometheus(ScrapedPrometheus):
    """Says of its answers to queries that hold `lacking` what Thanos says while a store of it is down."""

    lacking = ""

    async def _answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        response = await super()._answer(request)
        if self.lacking not in str(form.get("query")):
            return response
        told = json.loads(response.text or "")
        return web.json_response(told | {"warnings": ["store 10.0.0.7:10901: down"]})


@pytest.mark.parametrize(
    ("lacking", "held"),
    [("generation_tokens_total", True), ("cache_usage_perc", False)],
)
async def test_answers_that_may_lack_pods_are_used_and_lower_nothing(
    lacking: str, held: bool
) -> None:
    """Where they are about what arrives: `samples_error` beside samples is a veto against any lowering."""
    source = PartialPrometheus()
    source.lacking = lacking
    source.scrape("llm-0", (SAMPLES / "vllm.txt").read_text(), 1000.0)
    found = await collected(source, spec("vllm"), 1003.0)
    assert found.error is None
    assert found.samples[("team", "llm-0")].models == (VLLM,)
    why = "the answer is not whole, store 10.0.0.7:10901: down"
    assert dict(found.errors) == ({WorkloadId(namespace="team", name="llm"): why} if held else {})


async def test_a_told_engine_is_not_looked_for() -> None:
    source = ScrapedPrometheus()
    source.scrape("llm-0", (SAMPLES / "vllm.txt").read_text(), 1000.0)
    told = await collected(source, spec("triton", engine_from="annotation"), 1003.0)
    assert told.samples == {}
    assert not any("vllm" in query for query in source.asked)


class Watched:
    """Two stand-ins under Poisson arrivals, scraped each 5 s and decided on each 10 s, in virtual time."""

    def __init__(self, slo: str, speed: Speed) -> None:
        self.spec = spec("vllm", slo)
        self.servers = [Engine(speed, model="llama") for _ in range(2)]
        self.ends_s: list[float | None] = [None, None]
        self.now_s = 1_000_000_020.0
        self.source = ScrapedPrometheus()
        self.engine = DecisionEngine(EngineConfig())
        self.chance = random.Random(4)

    async def run(self, seconds: float, rps: float) -> Decision:
        """Answers of 50 to 150 tokens to prompts of 200."""
        decision = None
        until_s = self.now_s + seconds
        arrival_s = self.now_s + self.chance.expovariate(rps)
        while self.now_s < until_s:
            tick_s = self.now_s + 10.0
            while self.now_s < tick_s:
                arrival_s = self._advance(min(arrival_s, tick_s), arrival_s, rps)
            for index, server in enumerate(self.servers):
                text = generate_latest(server.metrics.registry).decode()
                self.source.scrape(f"llm-{index}", text, self.now_s)
            decision = self.engine.tick(await self._look()).decisions[0]
        assert decision is not None
        return decision

    def _advance(self, to_s: float, arrival_s: float, rps: float) -> float:
        """Steps both servers to `to_s`; returns the next arrival."""
        for index, server in enumerate(self.servers):
            at_s = self.now_s
            while True:
                end_s = self.ends_s[index]
                if end_s is None:
                    step_s = server.step(at_s)
                    if step_s is None:
                        break
                    end_s = self.ends_s[index] = at_s + step_s
                if end_s > to_s:
                    break
                server.finish(end_s)
                at_s, self.ends_s[index] = end_s, None
        self.now_s = to_s
        if to_s < arrival_s:
            return arrival_s
        shortest = min(self.servers, key=lambda s: len(s.running) + len(s.waiting))
        shortest.submit(200, self.chance.randint(50, 150), to_s)
        return to_s + self.chance.expovariate(rps)

    async def _look(self) -> TickInput:
        told = await collected(self.source, self.spec, self.now_s)
        given = WorkloadInput(
            spec=self.spec,
            replicas=ReplicaStatus(desired=2, template_hash="h"),
            pods=tuple(
                PodStatus(name=f"llm-{i}", template_hash="h", created_s=1e9, ready_s=1e9 + 1)
                for i in range(2)
            ),
            samples=tuple(told.samples[("team", f"llm-{i}")] for i in range(2)),
        )
        return TickInput(now_s=self.now_s, workloads=(given,))


async def test_a_stand_in_that_batches_is_sized_by_its_tokens() -> None:
    """30 ms and a millisecond a sequence: 50 ms a token allow 20 sequences, whose mean may be 14 with room for chance:
    14 / 44 ms = 316 tokens a second, less the time that prompts take."""
    watched = Watched("p95 tpot < 50ms", Speed(base_s=0.03, each_s=0.001, prefill_s=0.00001))
    for rps in (2.0, 5.0, 7.0, 3.0):
        await watched.run(120.0, rps)
    calm = await watched.run(240.0, 4.0)
    assert calm.facts.offered_rps == pytest.approx(400.0, rel=0.2)
    assert calm.facts.capacity_rps == pytest.approx(300.0, rel=0.1)
    assert calm.facts.violated_ratio == 0.0
    busy = await watched.run(120.0, 16.0)
    assert busy.facts.violated_ratio is not None
    assert busy.facts.violated_ratio > 0.5
    assert busy.steps[0].after >= 4  # what the demand asks for, before any brake
    assert "tokens/s to be ready for" in busy.steps[0].message
    assert "limited by 50 ms a token" in busy.steps[0].message
    assert (busy.facts.tokens, busy.facts.capacity_limit) == (True, "50 ms a token")


async def test_of_two_objectives_the_one_that_no_replicas_can_hold_is_named() -> None:
    """A step of 61 ms at least: `ttft` holds, and is not what the message is about."""
    watched = Watched("p95 ttft < 2s, p95 tpot < 50ms", Speed(base_s=0.06, each_s=0.001))
    decision = await watched.run(240.0, 0.5)
    (told,) = [one.message for one in decision.findings if one.reason is Reason.SLO_UNATTAINABLE]
    assert "too long for p95 tpot < 50ms; no number of replicas meets it" in told
    assert decision.facts.violated_of == "p95 tpot < 50ms"


async def test_a_full_cache_is_seen_as_the_limit() -> None:
    """2,700 tokens hold about ten sequences of 200 and an answer: however fast a step is, a replica carries no more."""
    watched = Watched("p99 ttft < 2s", Speed(cache_tokens=2_700))
    await watched.run(240.0, 4.0)
    decision = await watched.run(120.0, 6.0)
    assert decision.facts.capacity_rps == pytest.approx(5.0 / 0.023, rel=0.4)
