"""One level of load on both sides, and by how much they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.types import BatchTime
from autoscaler.simulation.serving import Routing, ServingModel, ServingPool, Status
from loadtests.bench.report import Figure
from loadtests.load.request_log import Request

QUANTILES = (0.5, 0.95, 0.99)
TARGET_PERCENT = 10.0
"""What the project promises of each."""
MOST_LATE_S = 0.005
"""A level whose client sent later than this, at its 99th percentile, was disturbed."""
# After the last arrival every request is served within this.
DRAIN_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of a level's requests."""

    latencies_s: tuple[float, ...]
    """At `QUANTILES`."""
    mean_batch: float
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """The same arrivals, once at real servers and once at modelled ones."""

    setting: str
    load_ratio: float
    """Of the capacity that was measured."""
    rate_rps: float
    real: Seen
    simulated: Seen
    lateness_p99_s: float
    """Of the client. It is in neither side's latencies, but a client that is late to send is late to read."""
    failed: int


def seen(latencies_s: Sequence[float] | NDArray[np.float64], mean_batch: float) -> Seen:
    """Of the requests that were answered."""
    values = np.asarray(latencies_s, dtype=np.float64)
    return Seen(
        latencies_s=tuple(float(v) for v in np.quantile(values, QUANTILES)),
        mean_batch=mean_batch,
        requests=values.size,
    )


def since_sent(answered: Sequence[Request]) -> tuple[list[float], list[float]]:
    """(latencies, times from the first), in the order in which they were sent, both in seconds.

    From when a request was sent and not from when it was due: a client that was late sent its servers other arrivals,
    and what is compared is what servers make of arrivals.
    """
    pairs = sorted(
        (r.sent_s, r.done_s - r.sent_s)
        for r in answered
        if r.sent_s is not None and r.done_s is not None
    )
    return [latency for _, latency in pairs], [sent - pairs[0][0] for sent, _ in pairs]


def mean_batch(now: Sequence[BatchTime], before: Sequence[BatchTime]) -> float:
    """Items in a batch, of those executed in between."""
    earlier = {item.batch_size: item.count for item in before}
    counts = {item.batch_size: item.count - earlier.get(item.batch_size, 0) for item in now}
    return sum(size * count for size, count in counts.items()) / sum(counts.values())


def simulate(
    due_s: Sequence[float], times: ServiceTimes, *, servers: int, overhead_s: float
) -> Seen:
    """The arrivals at modelled servers with these times; `overhead_s` is added to each latency."""
    model = ServingModel(
        max_batch_size=times.max_batch_size,
        instances=times.instances,
        batch_service_s=times.batch_s,
        max_queue_delay_s=times.max_queue_delay_s,
    )
    pool = ServingPool(model, np.asarray(due_s), Routing.LEAST_OUTSTANDING, max_servers=servers)
    for _ in range(servers):
        pool.add_server(0.0)
    pool.run_until(due_s[-1] + DRAIN_S)
    done = pool.status == Status.DONE
    if not done.all():
        raise RuntimeError(f"simulated: {int((~done).sum())} requests were not finished")
    batches = [item for index in range(servers) for item in pool.batch_statistics(index)]
    items = sum(item.batch_size * item.exec_count for item in batches)
    executions = sum(item.exec_count for item in batches)
    return seen(pool.latencies_s.astype(np.float64) + overhead_s, items / executions)


def figures(level: Level) -> list[Figure]:
    """How far the simulator is off at this level, in percent of what was measured."""
    names = [f"p{quantile * 100:g}" for quantile in QUANTILES]
    pairs = list(zip(names, level.real.latencies_s, level.simulated.latencies_s, strict=True))
    told = [
        _figure(level, name, real, simulated, f"{simulated * 1e3:.1f} for {real * 1e3:.1f} ms")
        for name, real, simulated in pairs
    ]
    real, simulated = level.real.mean_batch, level.simulated.mean_batch
    told.append(
        _figure(level, "mean batch", real, simulated, f"{simulated:.2f} for {real:.2f} items")
    )
    late = Figure(
        name=f"{_name(level)} client late",
        value=level.lateness_p99_s * 1e3,
        unit="ms",
        target=MOST_LATE_S * 1e3,
        note="p99; above it the client measures itself",
    )
    return [*told, late]


def _name(level: Level) -> str:
    return f"{level.setting}, {level.load_ratio:.0%}:"


def _figure(level: Level, name: str, real: float, simulated: float, note: str) -> Figure:
    failed = f"; {level.failed} requests failed" if level.failed else ""
    return Figure(
        name=f"{_name(level)} {name} off",
        value=abs(simulated / real - 1.0) * 100.0,
        unit="%",
        target=TARGET_PERCENT,
        note=note + failed,
    )


def where_not(levels: Sequence[Level]) -> list[str]:
    """A sentence for each level at which a figure misses its target."""
    lines = []
    for level in levels:
        missed = [figure for figure in figures(level) if figure.met is False]
        told = [
            f"{figure.name.removeprefix(_name(level)).strip()} {figure.value:.1f} {figure.unit}"
            for figure in missed
        ]
        if told:
            lines.append(f"{_name(level)} {', '.join(told)}")
    return lines
