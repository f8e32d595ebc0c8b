"""`forescale demo`: a day of three workloads on modelled clusters, forescale beside HPA and a static peak.

The engine is the real one; only the cluster, its servers and the clock are modelled. Needs no cluster and no network.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from autoscaler.claim import claim
from autoscaler.report.page import write
from autoscaler.simulation.demo.page import page_of
from autoscaler.simulation.demo.parallel import run_days
from autoscaler.simulation.demo.runs import Day
from autoscaler.simulation.demo.workloads import workloads
from autoscaler.simulation.recorded import Run
from autoscaler.simulation.score import Score


def main(argv: Sequence[str] | None = None) -> int:
    """Runs it; the exit code."""
    given = _parsed(argv)
    if given.html is not None:
        claim(given.html)
    console = Console(stderr=given.json)
    days = run_days(
        workloads(hours=given.hours, seed=given.seed),
        seed=given.seed,
        jobs=given.jobs,
        console=console,
    )
    if given.html is not None:
        write(page_of(days, given.seed), given.html)
    if given.json:
        json.dump([_told(day, run) for day in days for run in day.runs], sys.stdout, indent=1)
        print()
        return 0
    _show(console, days, given.hours)
    if given.html is not None:
        console.print(f"The whole day with every reason: {given.html}", soft_wrap=True)
    return 0


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="forescale demo", description=__doc__)
    parser.add_argument(
        "--hours", type=float, default=24.0, help="of virtual time, 1 to 48 (%(default)g)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of demand and start-ups (%(default)d)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (one a core)"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the report there")
    parser.add_argument("--json", action="store_true", help="figures instead of a table")
    given = parser.parse_args(argv)
    if not 1.0 <= given.hours <= 48.0:
        parser.error(f"--hours: {given.hours:g}, 1 to 48 is allowed")
    if given.seed < 0:
        parser.error(f"--seed: {given.seed}, 0 or more is allowed")
    if given.jobs < 1:
        parser.error(f"--jobs: {given.jobs}, 1 or more is allowed")
    return given


def _told(day: Day, run: Run) -> dict[str, object]:
    score: Score = run.score
    return {
        "workload": day.workload.name,
        "slo": day.workload.scenario.spec.slo.text,
        "good_ratio": run.budget.good_ratio,
        "target_ratio": run.budget.target_ratio,
        "budget_left_ratio": run.budget.left[-1],
        **asdict(score),
    }


def _show(console: Console, days: Sequence[Day], hours: float) -> None:
    requests = sum(day.requests for day in days)
    console.print(f"{hours:g} h, {requests:,} requests")
    # One space between columns: the whole is 78 wide, and a terminal at least 80.
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("WORKLOAD", "SLO", "POLICY"):
        table.add_column(name, no_wrap=True)
    for name in ("GOOD", "TARGET", "GPU-H", "CHANGES"):
        table.add_column(name, justify="right", no_wrap=True)
    for day in days:
        spec = day.workload.scenario.spec
        for run in day.runs:
            kept = run.budget.good_ratio >= run.budget.target_ratio
            good = f"{run.budget.good_ratio:.2%}"
            table.add_row(
                day.workload.name if run is day.ours else "",
                spec.slo.text if run is day.ours else "",
                run.score.policy,
                good if kept else f"[red]{good}[/]",
                f"{100 * run.budget.target_ratio:.4g}%",
                f"{run.score.gpu_hours:.0f}",
                f"{run.score.changes}",
            )
    console.print(table)
    for line in (_outage(day) for day in days):
        if line:
            console.print(line)
    console.print("Next: `make stack`, for the same engine on a real API server and real servers.")


def _outage(day: Day) -> str:
    told = day.ours.explained
    if told is None or not day.workload.scenario.outages:
        return ""
    outage = day.workload.scenario.outages[0]
    lowered = sum(1 for turn in told.turns if outage.holds(turn.at_s) and turn.after < turn.before)
    reason = told.why.texts[day.steps.at(outage.end_s)].split(":")[0]
    what = f"lowered replicas {lowered} times" if lowered else "lowered nothing"
    when = f"{_clock(outage.start_s)} to {_clock(outage.end_s)}"
    return f"{day.workload.name}: no metrics from {when}, and forescale {what} ({reason})."


def _clock(at_s: float) -> str:
    minutes = int(at_s // 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
