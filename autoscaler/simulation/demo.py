"""`forescale demo`: a day of demand on a modelled cluster, forescale beside HPA and a static peak.

The engine is the real one; only the cluster, its servers and the clock are modelled. Needs no cluster and no network.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import LatencyObjective, Slo, SloForm, WorkloadId, WorkloadSpec
from autoscaler.engine import DecisionEngine
from autoscaler.simulation import shapes
from autoscaler.simulation.cluster import EPOCH_S, ModelledCluster
from autoscaler.simulation.nodes import Span
from autoscaler.simulation.peers.forescale import Forescale
from autoscaler.simulation.peers.hpa import QUEUE_COMPUTE
from autoscaler.simulation.peers.policy import Policy
from autoscaler.simulation.peers.rule import RulePolicy, known_of
from autoscaler.simulation.peers.static import Static
from autoscaler.simulation.run import run, static_peak
from autoscaler.simulation.scenario import Demand, Scenario
from autoscaler.simulation.score import Score
from autoscaler.simulation.serving import ServingModel
from autoscaler.simulation.startup import Startup

HOUR_S = 3600.0
GOAL, THRESHOLD_S = 0.99, 0.4
# Four at once: 80 ms for one inference, 140 ms for four; 28.6 a second at most.
MODEL = ServingModel(max_batch_size=4, batch_service_s=(0.08, 0.10, 0.12, 0.14))
FLASH_CROWD_H, OUTAGE_H = 14.0, 8.0
OUTAGE_S = 1200.0
FIRST_REPLICAS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The scenario, its requests, and when the flash crowd comes."""

    scenario: Scenario
    arrivals_s: NDArray[np.float64]
    flash_crowd_s: float | None

    @property
    def duration_s(self) -> float:
        return self.scenario.demand.duration_s


def make_day(*, hours: float, seed: int, startup_s: float = 80.0) -> Day:
    """Two humps and noise; at 14:00 a flash crowd to three times the demand, at 8:00 metrics are gone for a while."""
    duration_s = hours * HOUR_S
    crowd_s = FLASH_CROWD_H * HOUR_S if hours > FLASH_CROWD_H + 1.0 else None
    shape = shapes.diurnal(low_rps=20.0, high_rps=110.0) * shapes.noise(cv=0.08, seed=seed)
    if crowd_s is not None:
        shape = shape * shapes.flash_crowd(
            at_s=crowd_s, peak_ratio=3.0, rise_s=120.0, hold_s=600.0, decay_s=900.0
        )
    outage = Span(start_s=OUTAGE_H * HOUR_S, end_s=OUTAGE_H * HOUR_S + OUTAGE_S)
    demand = Demand(name="a day", rates_rps=shape.sample(duration_s))
    scenario = Scenario(
        name="demo",
        spec=spec(),
        server=MODEL,
        demand=demand,
        startup=Startup(median_s=startup_s, seed=seed),
        goal_ratio=GOAL,
        first_replicas=FIRST_REPLICAS,
        outages=(outage,) if outage.end_s < duration_s else (),
    )
    return Day(scenario=scenario, arrivals_s=demand.arrivals(seed), flash_crowd_s=crowd_s)


def spec() -> WorkloadSpec:
    """The workload, as its one annotation would say it."""
    objective = LatencyObjective(form=SloForm.REQUESTS, ratio=GOAL, threshold_s=THRESHOLD_S)
    return WorkloadSpec(
        id=WorkloadId(namespace="demo", name="model"),
        slo=Slo(objectives=(objective,), text="99% < 400ms"),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs it; the exit code."""
    parser = argparse.ArgumentParser(prog="forescale demo", description=__doc__)
    parser.add_argument(
        "--hours", type=float, default=24.0, help="of virtual time, 1 to 48 (%(default)g)"
    )
    parser.add_argument(
        "--startup-s", type=float, default=80.0, help="median start-up (%(default)g)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of demand and start-ups (%(default)d)")
    parser.add_argument("--json", action="store_true", help="figures instead of a table")
    given = parser.parse_args(argv)
    if not 1.0 <= given.hours <= 48.0:
        parser.error(f"--hours: {given.hours:g}, 1 to 48 is allowed")
    if not 1.0 <= given.startup_s <= 1800.0:
        parser.error(f"--startup-s: {given.startup_s:g}, 1 to 1800 is allowed")
    if given.seed < 0:
        parser.error(f"--seed: {given.seed}, 0 or more is allowed")
    console = Console(stderr=given.json)
    day = make_day(hours=given.hours, seed=given.seed, startup_s=given.startup_s)
    scores, forescale = _compare(day, console)
    if given.json:
        json.dump([asdict(score) for score in scores], sys.stdout, indent=1)
        print()
        return 0
    _show(console, day, scores, forescale, given.startup_s)
    return 0


def _compare(day: Day, console: Console) -> tuple[list[Score], Forescale]:
    columns = (TextColumn("{task.description:26}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("static peak: searching", total=None)
        peak = static_peak(MODEL, day.arrivals_s, threshold_s=THRESHOLD_S, goal=GOAL)
        progress.remove_task(task)
        forescale = Forescale(DecisionEngine(EngineConfig()))
        # Bounded as a team would bound it: on this ratio alone HPA goes to its maximum and stays.
        known = replace(known_of(day.scenario, MODEL.capacity_rps), max_replicas=2 * peak)
        policies: list[Policy] = [
            forescale,
            RulePolicy(QUEUE_COMPUTE, known),
            Static(peak),
        ]
        scores = []
        for policy in policies:
            task = progress.add_task(policy.name, total=day.duration_s)
            replicas = peak if isinstance(policy, Static) else FIRST_REPLICAS
            cluster = ModelledCluster(day.scenario, day.arrivals_s, replicas=replicas)
            scores.append(
                run(
                    policy,
                    cluster,
                    day.arrivals_s,
                    duration_s=day.duration_s,
                    progress=lambda now_s, task=task: progress.update(task, completed=now_s),  # type: ignore[misc]
                )
            )
    return scores, forescale


def _show(
    console: Console, day: Day, scores: list[Score], forescale: Forescale, startup_s: float
) -> None:
    table = Table(
        title=f"{day.duration_s / HOUR_S:g} h, {day.arrivals_s.size:,} requests, 99% < {THRESHOLD_S * 1000:.0f}ms, "
        f"start-up {startup_s:g} s",
        show_edge=False,
        pad_edge=False,
    )
    for name in ("policy", "in SLO", "GPU-hours", "changes", "worst minute", "5 min ok"):
        table.add_column(name, justify="left" if name == "policy" else "right", no_wrap=True)
    for score in scores:
        table.add_row(
            score.policy,
            f"{score.attainment_ratio:.2%}",
            f"{score.gpu_hours:.0f}",
            f"{score.changes}",
            f"{score.worst_minute_ratio:.0%} at {_clock(score.worst_minute_s)}",
            f"{score.good_windows_ratio:.1%}",
        )
    console.print(table)
    for line in (_crowd(day, scores), _outage(day, forescale)):
        if line:
            console.print(line)
    console.print(
        "Next: `make stack` runs the same engine against a real API server, Prometheus and Triton servers."
    )


def _crowd(day: Day, scores: list[Score]) -> str:
    if day.flash_crowd_s is None:
        return ""
    span = (day.flash_crowd_s, day.flash_crowd_s + 900.0)
    peaks = ", ".join(f"{s.policy} {_highest(s, span)}" for s in scores)
    return f"Flash crowd at {_clock(day.flash_crowd_s)}, three times the demand: most replicas in 15 minutes: {peaks}."


def _highest(score: Score, span: tuple[float, float]) -> int:
    before = [n for at_s, n in score.replicas if at_s <= span[0]][-1:]
    return max(before + [n for at_s, n in score.replicas if span[0] < at_s <= span[1]])


def _outage(day: Day, forescale: Forescale) -> str:
    if not day.scenario.outages:
        return ""
    outage = day.scenario.outages[0]
    inside = [decision for now_s, decision in forescale.decisions if outage.holds(now_s - EPOCH_S)]
    lowered = sum(1 for decision in inside if decision.target < decision.current)
    reason = inside[-1].reason if inside else "-"
    return (
        f"Metrics were gone from {_clock(outage.start_s)} to {_clock(outage.end_s)}: forescale lowered replicas "
        f"{lowered} times in {len(inside)} ticks ({reason})."
    )


def _clock(at_s: float) -> str:
    minutes = int(at_s // 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
