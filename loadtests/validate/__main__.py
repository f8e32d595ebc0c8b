"""`make validate-simulator`: the same arrival times at real Triton servers and at the simulator's.

For each of two settings a few tritonserver processes are started on loopback addresses, their capacity is measured with
as many requests under way as fill every batch, and Poisson arrivals at 30, 60, 80 and 90 % of it are sent by an open
loop. The simulator gets the times at which they were sent, and the time of a batch of each size as Triton's own
statistics tell it of the level. What neither knows is a request's way to the server and back: it is measured at an idle
server and added to every simulated latency. A level at which the client itself was late is taken once more, and the
attempt with the less late client counts; how late it was is told.

At the end the number of servers is changed while requests are sent, and both sides follow it: see `scaling`.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from autoscaler.core.service_time import ServiceTimes
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
from loadtests.validate.measured import IDLE_REQUESTS, idle_overhead_s, times_between
from loadtests.validate.scaled import run_scaling
from loadtests.validate.scaling import SCHEDULE
from loadtests.validate.servers import Servers, Setting

FOLDER = Path("build/validate")
LOADS = (0.3, 0.6, 0.8, 0.9)
REQUESTS, QUICK_REQUESTS = 20_000, 2_000
ATTEMPTS = 2
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
    parser.add_argument("--only-scaling", action="store_true", help="without the steady levels")
    args = parser.parse_args(arguments)
    try:
        requests = QUICK_REQUESTS if args.quick else REQUESTS
        levels, extra, lines = asyncio.run(_all(requests, only_scaling=args.only_scaling))
    except (StackError, AutoscalerError) as error:
        print(f"validate-simulator: {error}", file=sys.stderr)
        return 1
    told = [figure for level in levels for figure in figures(level)]
    report("validate-simulator", [*told, *extra])
    for line in [*where_not(levels), *lines]:
        print(f"does not hold: {line}")
    return 0


async def _all(requests: int, *, only_scaling: bool) -> tuple[list[Level], list[Figure], list[str]]:
    triton = find_triton(print)
    shutil.rmtree(FOLDER, ignore_errors=True)
    levels: list[Level] = []
    extra: list[Figure] = []
    for setting in () if only_scaling else SETTINGS:
        folder = FOLDER / setting.name.replace(" ", "-")
        async with Servers(triton, setting, folder) as servers:
            found, told = await _setting(servers, requests)
        levels += found
        extra += told
    told, lines = await run_scaling(triton, SETTINGS[-1], SCHEDULE, FOLDER / "scaling")
    return levels, [*extra, *told], lines


async def _setting(servers: Servers, requests: int) -> tuple[list[Level], list[Figure]]:
    name = servers.setting.name
    await run_closed_loop(servers.targets(), under_way=1, requests=IDLE_REQUESTS)
    overhead_s = await idle_overhead_s(servers)
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


async def _capacity_rps(servers: Servers) -> tuple[float, ServiceTimes]:
    """Requests a second with twice as many under way as are in all batches, and the times meanwhile."""
    setting = servers.setting
    under_way = 2 * setting.servers * setting.model.instances * setting.model.max_batch_size
    best_rps, before = 0.0, await servers.profile()
    for _ in range(SATURATED_RUNS):
        start_s = time.monotonic()
        latencies = await run_closed_loop(
            servers.targets(), under_way=under_way, seconds=SATURATED_S
        )
        best_rps = max(best_rps, len(latencies) / (time.monotonic() - start_s))
    return best_rps, times_between(await servers.profile(), before)


async def _level(
    servers: Servers, load: float, capacity_rps: float, overhead_s: float, requests: int
) -> Level:
    rate = load * capacity_rps
    due_s = arrivals((Step(rate_rps=rate, duration_s=requests / rate * 1.02),), seed=1)
    before = await servers.profile()
    driver = Driver(servers.targets())
    await driver.run(due_s)
    after = await servers.profile()
    answered = [r for r in driver.requests if r.latency_s is not None]
    latencies, sent_s = since_sent(answered)
    times = times_between(after, before)
    return Level(
        setting=servers.setting.name,
        load_ratio=load,
        rate_rps=rate,
        real=seen(latencies, mean_batch(after.batch_times, before.batch_times)),
        simulated=simulate(sent_s, times, servers=servers.setting.servers, overhead_s=overhead_s),
        lateness_p99_s=lateness_p99_s(driver.requests),
        failed=len(driver.requests) - len(answered),
    )


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
