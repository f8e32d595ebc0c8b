"""`make bench-streams`: how late one process of the load driver is with hundreds of streams open.

The stand-in for vLLM serves them in a process of its own. A step of it takes the same time however many run, so that
streams come and go as fast as they are sent; what the driver sees of them is compared with the server's own histograms.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from itertools import pairwise

import aiohttp
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from loadtests.bench.beside import HOST, beside
from loadtests.bench.report import Figure, report
from loadtests.engines.server import app
from loadtests.engines.vllm import Engine, Speed
from loadtests.load.completions import Completions
from loadtests.load.driver import MAX_LATENESS_S, Driver, lateness_p99_s
from loadtests.load.profile import Step, arrivals
from loadtests.load.request_log import OK, Request
from loadtests.load.targets import ReadyPods

MODEL = "stand-in"
STREAMS = (200, 500)
STEP_S = 0.1
PROMPT_TOKENS, ANSWER_TOKENS = 500, 100
SECONDS = 40.0
TTFT, TPOT = "vllm:time_to_first_token_seconds", "vllm:request_time_per_output_token_seconds"


def serve(port: int) -> None:
    """The stand-in, until its process is ended."""
    speed = Speed(
        base_s=STEP_S, each_s=0.0, prefill_s=0.0, max_sequences=4096, cache_tokens=10_000_000
    )
    served = app(Engine(speed, model=MODEL), model=MODEL)
    web.run_app(
        served, host=HOST, port=port, print=None, access_log=None, handler_cancellation=True
    )


async def measure(port: int, streams: int) -> list[Request]:
    """With about so many streams open at once, once the first are over."""
    rate_rps = streams / (ANSWER_TOKENS * STEP_S)
    due_s = arrivals((Step(rate_rps=rate_rps, duration_s=SECONDS),), seed=1)
    asks = Completions(
        model=MODEL,
        prompt_tokens=[PROMPT_TOKENS] * len(due_s),
        answer_tokens=[ANSWER_TOKENS] * len(due_s),
    )
    driver = Driver(ReadyPods(lambda: {MODEL: HOST}, asks, port=port))
    await driver.run(due_s)
    return driver.requests


async def buckets(port: int) -> dict[tuple[str, float], float]:
    """Requests by histogram and upper bound, in seconds, up to now."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://{HOST}:{port}/metrics") as response:
            text = await response.text()
    return {
        (family.name, float(sample.labels["le"])): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.endswith("_bucket") and family.name in (TTFT, TPOT)
    }


def furthest_apart(name: str, seen_s: list[float], counts: dict[tuple[str, float], float]) -> float:
    """The largest difference between the shares of requests within a bound, the client's and the server's."""
    bounds = sorted(bound for key, bound in counts if key == name)
    total = counts[name, bounds[-1]]
    return max(
        abs(sum(value <= bound for value in seen_s) / len(seen_s) - counts[name, bound] / total)
        for bound in bounds
    )


def bucket_of(
    name: str, counts: dict[tuple[str, float], float], percent: float
) -> tuple[float, float]:
    """The server's bucket, as its bounds in seconds, in which that percentile lies."""
    bounds = sorted(bound for key, bound in counts if key == name)
    rank = percent / 100.0 * counts[name, bounds[-1]]
    return next((low, high) for low, high in pairwise([0.0, *bounds]) if counts[name, high] >= rank)


def open_at_once(requests: list[Request]) -> int:
    """The most streams that were under way at any time."""
    sent = [(r.sent_s, 1) for r in requests if r.sent_s is not None]
    done = [(r.done_s, -1) for r in requests if r.done_s is not None]
    most = now = 0
    for _, change in sorted([*sent, *done]):
        now += change
        most = max(most, now)
    return most


def figures(
    streams: int, requests: list[Request], counts: dict[tuple[str, float], float], busy: float
) -> list[Figure]:
    """What a run showed. `counts` are the server's histograms of it, `busy` the share of a processor that it took."""
    answered = [r for r in requests if r.outcome == OK and r.first_token_s and r.sent_s]
    took_s = max(r.done_s or 0.0 for r in requests) - min(r.due_s for r in requests)
    # From when it was sent: the server can't know when it was due.
    seen = {
        TTFT: [(r.first_token_s or 0.0) - (r.sent_s or 0.0) for r in answered],
        TPOT: [r.tpot_s for r in answered if r.tpot_s is not None],
    }
    note = (
        f"{len(answered)} of {len(requests)} answered, {open_at_once(requests)} at once, "
        f"{sum(r.tokens or 0 for r in answered) / took_s:,.0f} tokens/s"
    )
    told = [
        Figure(
            name=f"{streams} streams: late at p99",
            value=lateness_p99_s(requests) * 1e3,
            unit="ms",
            target=MAX_LATENESS_S * 1e3,
            note=note,
        ),
        Figure(name=f"{streams} streams: of a processor", value=busy * 100.0, unit="%"),
    ]
    for name, what in ((TTFT, "ttft"), (TPOT, "tpot")):
        ordered = sorted(seen[name])
        middle_s = statistics.median(ordered)
        low, high = bucket_of(name, counts, 50.0)
        told.append(
            Figure(
                name=f"{streams} streams: {what}, client and server apart",
                value=furthest_apart(name, ordered, counts) * 100.0,
                unit="% of requests",
                note=f"median {middle_s * 1e3:.0f} ms, server's between {low * 1e3:g} and {high * 1e3:g} ms",
            )
        )
    return told


async def run(port: int) -> list[Figure]:
    """All of them, one after the other."""
    told = []
    for streams in STREAMS:
        before, cpu_s, start_s = await buckets(port), time.process_time(), time.monotonic()
        requests = await measure(port, streams)
        busy = (time.process_time() - cpu_s) / (time.monotonic() - start_s)
        after = await buckets(port)
        counts = {key: after[key] - before.get(key, 0.0) for key in after}
        told += figures(streams, requests, counts, busy)
    return told


def main() -> None:
    """Measures and reports."""
    with beside(serve) as port:
        told = asyncio.run(run(port))
    report("streams", told)


if __name__ == "__main__":
    main()
