"""`make bench-simulator`: requests a second of the serving model, on one core.

Twenty servers with dynamic batching under Poisson arrivals at 70 % of what they can carry with full
batches, every latency kept. Compiling is timed apart, into an empty cache: it happens once for an
installation. The fastest of a few runs is reported: whatever else the machine does only adds time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from numpy.typing import NDArray

from autoscaler.simulation.arrivals import poisson_arrivals
from autoscaler.simulation.continuous import ContinuousPool
from autoscaler.simulation.continuous_model import ContinuousModel, Lengths
from autoscaler.simulation.serving import Routing, ServingModel, ServingPool, Status
from loadtests.bench.report import Figure, report

SERVERS = 20
UTILISATION = 0.7
REQUESTS = 5_000_000
RUNS = 3
SCRAPE_S = 5.0
TARGET_RPS = 1_000_000.0
"""What the project promises of its modelled cluster."""

# A fixed part and a part for each item, as GPUs show: 5 ms alone, 12 ms for eight.
MODEL = ServingModel(
    max_batch_size=8,
    batch_service_s=tuple(0.004 + 0.001 * size for size in range(1, 9)),
    service_cv=0.1,
)

# 20 ms a step, 0.3 ms a sequence, prompts of 500 tokens in 25 ms: 6.8 requests a second.
ENGINE = ContinuousModel(
    base_step_s=0.02,
    sequence_s=0.0003,
    prompt_token_s=0.00005,
    lengths=Lengths(prompt_tokens=500.0, answer_tokens=200.0),
    max_sequences=64,
    cache_tokens=60_000,
)
UTILISATION_OF_ENGINES = 0.8
TOKEN_REQUESTS = 500_000

_FIRST_CALL = """
import sys, time
from autoscaler.simulation.serving import ServingModel, ServingPool
model = ServingModel(max_batch_size=1, batch_service_s=(1.0,))
start_s = time.perf_counter()
pool = ServingPool(model, [0.0])
pool.add_server(0.0)
pool.run_until(2.0)
pool.latency_quantiles_us(0)
sys.stdout.write(str(time.perf_counter() - start_s))
"""


def first_call_s(cache_dir: str) -> float:
    """Time to the first result in a new process, which compiles what it doesn't find in the cache."""
    environment = os.environ | {"NUMBA_CACHE_DIR": cache_dir}
    command = [sys.executable, "-c", _FIRST_CALL]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def demand() -> NDArray[np.float64]:
    """At least `REQUESTS` arrivals at `UTILISATION`."""
    rate_rps = UTILISATION * SERVERS * MODEL.capacity_rps
    # One percent more, so that chance leaves no fewer than were asked for.
    seconds = int(1.01 * REQUESTS / rate_rps) + 1
    return poisson_arrivals(np.full(seconds, rate_rps), np.random.default_rng(1))


def started_pool(arrivals_s: NDArray[np.float64], routing: Routing) -> ServingPool:
    """A pool with its servers ready."""
    pool = ServingPool(MODEL, arrivals_s, routing)
    for _ in range(SERVERS):
        pool.add_server(0.0)
    return pool


def fastest_s(arrivals_s: NDArray[np.float64], routing: Routing, *, scrapes: bool) -> float:
    """Seconds that all requests take, with or without a scrape of each server every five seconds."""
    end_s = float(arrivals_s[-1]) + 10.0
    ticks_s = [*np.arange(SCRAPE_S, end_s, SCRAPE_S).tolist(), end_s] if scrapes else [end_s]
    times_s = []
    for _ in range(RUNS):
        pool = started_pool(arrivals_s, routing)
        start_s = time.perf_counter()
        for tick_s in ticks_s:
            pool.run_until(tick_s)
            if scrapes:
                for index in range(SERVERS):
                    pool.counters(index)
                    pool.latency_quantiles_us(index)
        times_s.append(time.perf_counter() - start_s)
        if not (pool.status == Status.DONE).all():
            raise RuntimeError("bench-simulator: a request was not finished, all must be")
    return min(times_s)


def throughput(arrivals_s: NDArray[np.float64], routing: Routing, *, scrapes: bool) -> Figure:
    """Requests a second of wall time."""
    return Figure(
        name=f"{routing}{', scraped every 5 s' if scrapes else ''}",
        value=arrivals_s.size / fastest_s(arrivals_s, routing, scrapes=scrapes),
        unit="requests/s",
        target=TARGET_RPS,
        better="higher",
        note=f"{arrivals_s.size:,} requests, {SERVERS} servers, batches up to 8, one core",
    )


def tokens() -> Figure:
    """Requests a second of wall time of engines that make tokens, 80 % loaded."""
    count = TOKEN_REQUESTS
    seconds = count / (UTILISATION_OF_ENGINES * SERVERS * ENGINE.capacity_rps)
    due = np.sort(np.random.default_rng(1).uniform(0.0, seconds, count))
    times_s = []
    for requests in (1, *(count,) * RUNS):
        pool = ContinuousPool(ENGINE, due[:requests])
        for _ in range(SERVERS):
            pool.add_server(0.0)
        start_s = time.perf_counter()
        pool.run_until(seconds + 3600.0)
        times_s.append(time.perf_counter() - start_s)
        if not (pool.status == Status.DONE).all():
            raise RuntimeError("bench-simulator: a request was not finished, all must be")
    made = int(pool.answer_tokens.sum())
    fastest = min(times_s[1:])
    return Figure(
        name="continuous batching, least-outstanding",
        value=count / fastest,
        unit="requests/s",
        better="higher",
        note=f"{count:,} requests, {made / fastest / 1e6:.0f} M tokens/s, {SERVERS} engines, 64 sequences each",
    )


def first_call(name: str, value_s: float, note: str) -> Figure:
    """Time to the first result of a process; no target, it is shown apart."""
    return Figure(name=name, value=value_s, unit="s", note=note)


def main() -> None:
    """Take the figures and write the report."""
    with tempfile.TemporaryDirectory() as cache_dir:
        compiling_s, cached_s = first_call_s(cache_dir), first_call_s(cache_dir)
    arrivals_s = demand()
    warm = started_pool(arrivals_s[:1], Routing.RANDOM)
    warm.run_until(float(arrivals_s[0]) + 1.0)  # loads the compiled code
    warm.latency_quantiles_us(0)
    figures = [
        throughput(arrivals_s, routing, scrapes=scrapes)
        for routing in (Routing.LEAST_OUTSTANDING, Routing.ROUND_ROBIN)
        for scrapes in (False, True)
    ]
    figures.append(tokens())
    figures += [
        first_call("first call, compiling", compiling_s, "once for an installation"),
        first_call("first call, compiled before", cached_s, "in every process"),
    ]
    report("simulator", figures)


if __name__ == "__main__":
    main()
