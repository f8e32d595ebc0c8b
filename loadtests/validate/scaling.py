"""A change in the number of servers while requests are sent: how many are ready when, and how long requests take.

The modelled cluster gets the schedule twice: once with start-ups as they were measured before the run, which is how a
simulation is told of them, for the number that is ready; and once with the very start-ups of the run, for latencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.slo import parse_slo
from autoscaler.core.types import Slo, WorkloadId, WorkloadSpec
from autoscaler.simulation.cluster import ModelledCluster
from autoscaler.simulation.run import DRAIN_S
from autoscaler.simulation.scenario import Demand, Scenario
from autoscaler.simulation.serving import ServingModel
from autoscaler.simulation.startup import Startup
from loadtests.bench.report import Figure
from loadtests.load.profile import Step

TICK_S = 10.0
WINDOW_S = 10.0
TARGET_PERCENT = 10.0
# Windows of fewer requests have no 95th percentile to speak of.
FEWEST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Load in shares of what one server carries, and the number of servers from each time on; one at first."""

    load: tuple[tuple[float, float], ...]
    """(seconds, share)"""
    servers: tuple[tuple[float, int], ...]

    def steps(self, server_rps: float) -> tuple[Step, ...]:
        """The load as requests a second."""
        return tuple(Step(duration_s=s, rate_rps=share * server_rps) for s, share in self.load)

    @property
    def duration_s(self) -> float:
        return sum(seconds for seconds, _ in self.load)


# Load comes before the servers do: a queue builds up, is worked off by the second, and the third is not needed. Then
# load goes, and two of three servers with it.
SCHEDULE = Schedule(
    load=((40.0, 0.5), (90.0, 1.4), (60.0, 0.5)),
    servers=((40.0, 2), (80.0, 3), (150.0, 1)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredStarts(Startup):
    """Start-ups one by one, of the pods after the first."""

    times_s: tuple[float, ...] = ()

    def draw_s(self, number: int) -> float:
        """As measured."""
        return self.times_s[number - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What one side showed."""

    ready: tuple[tuple[float, int], ...]
    """(time, servers that take traffic) at the start and at every change."""
    sent_s: NDArray[np.float64]
    latencies_s: NDArray[np.float64]


def simulate_schedule(
    schedule: Schedule,
    sent_s: NDArray[np.float64],
    times: ServiceTimes,
    startup: Startup,
    *,
    overhead_s: float,
) -> Trace:
    """The schedule on the modelled cluster; `overhead_s` is added to each latency."""
    slo = parse_slo("95% < 1s", "slo")
    assert isinstance(slo, Slo)
    scenario = Scenario(
        name="schedule",
        spec=WorkloadSpec(id=WorkloadId(namespace="validate", name="m"), slo=slo),
        server=ServingModel(
            max_batch_size=times.max_batch_size,
            instances=times.instances,
            batch_service_s=times.batch_s,
            max_queue_delay_s=times.max_queue_delay_s,
        ),
        demand=Demand(name="schedule", rates_rps=np.ones(int(schedule.duration_s))),
        startup=startup,
        goal_ratio=0.95,
    )
    cluster = ModelledCluster(scenario, sent_s)
    ready = [(0.0, 1)]
    due = list(schedule.servers)
    for now_s in np.arange(1.0, schedule.duration_s + 1.0).tolist():
        while due and due[0][0] < now_s:
            cluster.advance(due[0][0], reads=None)
            cluster.set_replicas(due.pop(0)[1])
            _note(ready, cluster)
        cluster.advance(now_s, reads=None)
        _note(ready, cluster)
    cluster.advance(schedule.duration_s + DRAIN_S, reads=None)
    latencies = np.asarray(cluster.answers_s, dtype=np.float64) + overhead_s
    return Trace(ready=tuple(ready), sent_s=sent_s, latencies_s=latencies)


def _note(ready: list[tuple[float, int]], cluster: ModelledCluster) -> None:
    count = sum(pod.serves(cluster.now_s) for pod in cluster.pods)
    if count != ready[-1][1]:
        ready.append((cluster.now_s, count))


def settled(ready: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """Without numbers that were there for less than a second: two that go together go one after the other."""
    return [
        item
        for item, after in zip_longest(ready, ready[1:])
        if after is None or after[0] - item[0] >= 1.0
    ]


def apart_s(one: Sequence[tuple[float, int]], other: Sequence[tuple[float, int]]) -> float | None:
    """The longest time between the same change on both sides; None: the changes are not the same."""
    pairs = list(zip_longest(settled(one), settled(other)))
    if any(a is None or b is None or a[1] != b[1] for a, b in pairs):
        return None
    apart: list[float] = [abs(a[0] - b[0]) for a, b in pairs]
    return max(apart)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Requests that were sent in ten seconds."""

    start_s: float
    requests: int
    real_p95_s: float
    simulated_p95_s: float

    @property
    def off_percent(self) -> float:
        return 100.0 * abs(self.simulated_p95_s / self.real_p95_s - 1.0)


def windows(real: Trace, simulated: Trace) -> list[Window]:
    """Both sides, window by window; `simulated` had the same requests, in the same order."""
    found = []
    for start_s in np.arange(0.0, real.sent_s[-1], WINDOW_S).tolist():
        inside = (real.sent_s >= start_s) & (real.sent_s < start_s + WINDOW_S)
        if inside.sum() >= FEWEST:
            found.append(
                Window(
                    start_s=start_s,
                    requests=int(inside.sum()),
                    real_p95_s=float(np.quantile(real.latencies_s[inside], 0.95)),
                    simulated_p95_s=float(np.quantile(simulated.latencies_s[inside], 0.95)),
                )
            )
    return found


def scaling_figures(
    real: Trace, predicted: Trace, simulated: Trace, *, spread_s: float, lateness_p99_s: float
) -> list[Figure]:
    """The number ready as predicted, and latencies window by window under the run's own start-ups."""
    found = windows(real, simulated)
    agreeing = sum(window.off_percent <= TARGET_PERCENT for window in found)
    apart = apart_s(real.ready, predicted.ready)
    figures = []
    if apart is not None:
        figures.append(
            Figure(
                name="number of servers ready, longest time apart",
                value=apart,
                unit="s",
                target=TICK_S + spread_s,
                note=f"a tick and {spread_s:.1f} s, the spread of the start-ups",
            )
        )
    figures.append(
        Figure(
            name=f"windows of {WINDOW_S:g} s whose p95 is within {TARGET_PERCENT:g} %",
            value=float(agreeing),
            unit=f"of {len(found)}",
            better="higher",
            note=f"client {lateness_p99_s * 1e3:.1f} ms late (p99)",
        )
    )
    return figures


def where_traces_differ(real: Trace, predicted: Trace, simulated: Trace) -> list[str]:
    """A sentence for each disagreement."""
    lines = []
    if apart_s(real.ready, predicted.ready) is None:
        lines.append(f"number ready: real {real.ready}, simulated {predicted.ready}")
    lines += [
        f"{window.start_s:.0f} to {window.start_s + WINDOW_S:.0f} s: p95 "
        f"{window.simulated_p95_s * 1e3:.0f} for {window.real_p95_s * 1e3:.0f} ms"
        for window in windows(real, simulated)
        if window.off_percent > TARGET_PERCENT
    ]
    return lines
