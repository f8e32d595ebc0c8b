"""`make validate-simulator`: the same arrival times at real Triton servers and at the simulator's.

For each of two settings a few tritonserver processes are started on loopback addresses, their capacity is measured with
as many requests under way as fill every batch, and Poisson arrivals at 30, 60, 80 and 90 % of it are sent by an open
loop. The simulator gets the times at which they were sent, and the time of a batch of each size as Triton's own
statistics tell it of the level. What neither knows is a request's way to the server and back: it is measured at an idle
server and added to every simulated latency. A level at which the client itself was late is taken once more, and the
attempt with the less late client counts; how late it was is told.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from autoscaler.core.service_readings import take_profile
from autoscaler.core.service_time import ServiceEvidence, ServiceTimes, service_times
from autoscaler.core.types import ModelProfile
from autoscaler.errors import AutoscalerError
from loadtests.bench.report import Figure, report
from loadtests.load.driver import Driver, lateness_p99_s
from loadtests.load.profile import Step, arrivals
from loadtests.stack.agent.models import Model
from loadtests.stack.errors import StackError
from loadtests.stack.toolbox import find_triton
from loadtests.validate.closed_loop import run_closed_loop
from loadtests.validate.compare import (
    MOST_LATE_S,
    Level,
    figures,
    mean_batch,
    seen,
    simulate,
    since_sent,
    where_not,
)
from loadtests.validate.servers import Servers, Setting

FOLDER = Path("build/validate")
LOADS = (0.3, 0.6, 0.8, 0.9)
REQUESTS, QUICK_REQUESTS = 20_000, 2_000
ATTEMPTS = 2
IDLE_REQUESTS = 100
# Whatever else the machine does only takes capacity away: the best of a few short runs is what there is.
SATURATED_S, SATURATED_RUNS = 5.0, 3
# Long enough that a process which wakes up a millisecond late is no error of 10 %; 400 to 500 requests a second in all,
# which take half a core here and half a core there.
SETTINGS = (
    Setting(
        name="no dynamic batching",
        servers=4,
        model=Model(
            name="m", max_batch_size=1, instances=4, service_base_ms=35.0, service_per_item_ms=1.0
        ),
        dynamic_batching=False,
    ),
    Setting(
        name="dynamic batching to 8",
        servers=2,
        model=Model(
            name="m", max_batch_size=8, instances=3, service_base_ms=56.0, service_per_item_ms=4.0
        ),
        dynamic_batching=True,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Takes the figures and writes the report; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.validate", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_REQUESTS:,} requests a level")
    args = parser.parse_args(arguments)
    try:
        levels, extra = asyncio.run(_all(QUICK_REQUESTS if args.quick else REQUESTS))
    except (StackError, AutoscalerError) as error:
        print(f"validate-simulator: {error}", file=sys.stderr)
        return 1
    told = [figure for level in levels for figure in figures(level)]
    report("validate-simulator", [*told, *extra])
    for line in where_not(levels):
        print(f"does not hold: {line}")
    return 0


async def _all(requests: int) -> tuple[list[Level], list[Figure]]:
    triton = find_triton(print)
    shutil.rmtree(FOLDER, ignore_errors=True)
    levels: list[Level] = []
    extra: list[Figure] = []
    for setting in SETTINGS:
        folder = FOLDER / setting.name.replace(" ", "-")
        async with Servers(triton, setting, folder) as servers:
            found, told = await _setting(servers, requests)
        levels += found
        extra += told
    return levels, extra


async def _setting(servers: Servers, requests: int) -> tuple[list[Level], list[Figure]]:
    name = servers.setting.name
    await run_closed_loop(servers.targets(), model="m", under_way=1, requests=IDLE_REQUESTS)
    overhead_s = await _overhead_s(servers)
    capacity_rps, times = await _capacity_rps(servers)
    print(
        f"{name}: {capacity_rps:.0f} requests a second at most, {overhead_s * 1e3:.1f} ms on the way"
    )
    levels = []
    for load in LOADS:
        attempts: list[Level] = []
        while len(attempts) < ATTEMPTS and all(a.lateness_p99_s > MOST_LATE_S for a in attempts):
            attempts.append(await _level(servers, load, capacity_rps, overhead_s, requests))
            print(_line(attempts[-1]), flush=True)
        levels.append(min(attempts, key=lambda attempt: attempt.lateness_p99_s))
    return levels, [
        Figure(name=f"{name}: capacity measured", value=capacity_rps, unit="requests/s"),
        Figure(
            name=f"{name}: capacity by the times of full batches",
            value=servers.setting.servers / times.work_s,
            unit="requests/s",
            note="what an instance does between batches is in no time of Triton's",
        ),
        Figure(name=f"{name}: way to the server and back", value=overhead_s * 1e3, unit="ms"),
    ]


async def _overhead_s(servers: Servers) -> float:
    """Median latency at an idle server, less what Triton says that the batch took."""
    before = await servers.profile()
    latencies = await run_closed_loop(
        servers.targets(), model="m", under_way=1, requests=IDLE_REQUESTS
    )
    executed = _times(await servers.profile(), before)
    return max(0.0, statistics.median(latencies) - executed.batch_s[0])


async def _capacity_rps(servers: Servers) -> tuple[float, ServiceTimes]:
    """Requests a second with twice as many under way as are in all batches, and the times meanwhile."""
    setting = servers.setting
    under_way = 2 * setting.servers * setting.model.instances * setting.model.max_batch_size
    best_rps, before = 0.0, await servers.profile()
    for _ in range(SATURATED_RUNS):
        start_s = time.monotonic()
        latencies = await run_closed_loop(
            servers.targets(), model="m", under_way=under_way, seconds=SATURATED_S
        )
        best_rps = max(best_rps, len(latencies) / (time.monotonic() - start_s))
    return best_rps, _times(await servers.profile(), before)


async def _level(
    servers: Servers, load: float, capacity_rps: float, overhead_s: float, requests: int
) -> Level:
    rate = load * capacity_rps
    due_s = arrivals((Step(rate_rps=rate, duration_s=requests / rate * 1.02),), seed=1)
    before = await servers.profile()
    driver = Driver(servers.targets(), model="m")
    await driver.run(due_s)
    after = await servers.profile()
    answered = [r for r in driver.requests if r.latency_s is not None]
    latencies, sent_s = since_sent(answered)
    times = _times(after, before)
    return Level(
        setting=servers.setting.name,
        load_ratio=load,
        rate_rps=rate,
        real=seen(latencies, mean_batch(after.batch_times, before.batch_times)),
        simulated=simulate(sent_s, times, servers=servers.setting.servers, overhead_s=overhead_s),
        lateness_p99_s=lateness_p99_s(driver.requests),
        failed=len(driver.requests) - len(answered),
    )


def _times(now: ModelProfile, before: ModelProfile) -> ServiceTimes:
    """As Triton told them of what was executed in between, by the engine's own reading."""
    times = service_times(take_profile(ServiceEvidence(), now, before.batch_times))
    if times is None:
        raise StackError("Triton's statistics show no execution; were the requests answered?")
    return times


def _line(level: Level) -> str:
    def told(side: str, values: Sequence[float], batch: float) -> str:
        return f"{side} {' '.join(f'{v * 1e3:7.1f}' for v in values)} ms, batch {batch:.2f}"

    return (
        f"  {level.load_ratio:4.0%} {level.rate_rps:5.0f}/s p50 p95 p99: "
        f"{told('real', level.real.latencies_s, level.real.mean_batch)} | "
        f"{told('simulated', level.simulated.latencies_s, level.simulated.mean_batch)} | "
        f"client {level.lateness_p99_s * 1e3:.1f} ms late"
    )


if __name__ == "__main__":
    sys.exit(main())
