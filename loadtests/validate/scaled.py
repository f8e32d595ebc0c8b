"""Runs a schedule on real servers, and on the modelled cluster beside it."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

import numpy as np

from autoscaler.simulation.startup import Startup
from loadtests.bench.report import Figure
from loadtests.load.driver import Driver, lateness_p99_s
from loadtests.load.profile import arrivals
from loadtests.stack.errors import StackError
from loadtests.stack.toolbox import Triton
from loadtests.validate.closed_loop import run_closed_loop
from loadtests.validate.fleet import Fleet
from loadtests.validate.measured import idle_overhead_s, times_between
from loadtests.validate.scaling import (
    MeasuredStarts,
    Schedule,
    Trace,
    scaling_figures,
    simulate_schedule,
    where_traces_differ,
    windows,
)
from loadtests.validate.servers import Setting

STARTS = 3
SATURATED_S = 5.0


async def run_scaling(
    triton: Triton, setting: Setting, schedule: Schedule, folder: Path
) -> tuple[list[Figure], list[str]]:
    """The figures, and a sentence for each disagreement."""
    async with Fleet(triton, setting, folder) as fleet:
        before_s = [await fleet.measured_startup_s() for _ in range(STARTS)]
        overhead_s = await idle_overhead_s(fleet)
        rps = await _capacity_rps(fleet, setting)
        print(
            f"scaling: {rps:.0f} requests a second of one server, start-ups "
            f"{', '.join(f'{taken_s:.1f}' for taken_s in before_s)} s",
            flush=True,
        )
        first = await fleet.profile()
        driver = Driver(fleet.targets())
        due_s = arrivals(schedule.steps(rps), seed=1)
        fleet.begin()
        started_s = time.time()
        async with asyncio.TaskGroup() as group:
            group.create_task(driver.run(due_s, started_s=started_s))
            group.create_task(_follow(fleet, schedule))
        times = times_between(await fleet.profile(), first)
        real = _trace(driver, started_s, fleet)
    median_s = statistics.median(before_s)
    usual = Startup(median_s=median_s, p99_ratio=max(before_s) / median_s)
    same = MeasuredStarts(median_s=median_s, times_s=tuple(fleet.startups_s))
    predicted, simulated = (
        simulate_schedule(schedule, real.sent_s, times, startup, overhead_s=overhead_s)
        for startup in (usual, same)
    )
    _print(real, predicted, simulated)
    told = scaling_figures(
        real,
        predicted,
        simulated,
        spread_s=max(before_s) - min(before_s),
        lateness_p99_s=lateness_p99_s(driver.requests),
    )
    return told, where_traces_differ(real, predicted, simulated)


async def _capacity_rps(fleet: Fleet, setting: Setting) -> float:
    under_way = 2 * setting.model.instances * setting.model.max_batch_size
    start_s = time.monotonic()
    latencies = await run_closed_loop(fleet.targets(), under_way=under_way, seconds=SATURATED_S)
    return len(latencies) / (time.monotonic() - start_s)


async def _follow(fleet: Fleet, schedule: Schedule) -> None:
    for at_s, wanted in schedule.servers:
        await asyncio.sleep(max(0.0, at_s - fleet.now_s))
        await fleet.scale(wanted)


def _trace(driver: Driver, started_s: float, fleet: Fleet) -> Trace:
    failed = sum(r.latency_s is None for r in driver.requests)
    if failed:
        raise StackError(f"scaling: {failed} requests failed; see the servers' logs")
    rows = sorted(
        (r.sent_s - started_s, r.done_s - r.sent_s)
        for r in driver.requests
        if r.sent_s is not None and r.done_s is not None
    )
    sent_s, latencies_s = np.array(rows).T
    return Trace(
        ready=tuple(fleet.changes), sent_s=np.maximum(sent_s, 0.0), latencies_s=latencies_s
    )


def _print(real: Trace, predicted: Trace, simulated: Trace) -> None:
    def told(trace: Trace) -> str:
        return ", ".join(f"{count} from {at_s:.1f} s" for at_s, count in trace.ready)

    print(f"  ready: real {told(real)} | simulated {told(predicted)}")
    for window in windows(real, simulated):
        print(
            f"  {window.start_s:4.0f} s {window.requests:5d} requests p95: "
            f"real {window.real_p95_s * 1e3:7.1f} ms | "
            f"simulated {window.simulated_p95_s * 1e3:7.1f} ms"
        )
