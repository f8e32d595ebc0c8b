"""`forescale simulate` of a file with several workloads: its runs, and the tables of workloads and of nodes."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from autoscaler.cli.side_by_side import DEFAULT_POLICIES, refusal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from autoscaler.simulation.fleet.comparison import FleetChoice, FleetComparison, WorkloadRow
    from autoscaler.simulation.fleet.scenario import FleetScenario

FLEET_POLICIES = "forescale,keda,hpa-gpu"


def run(args: argparse.Namespace, scenario: FleetScenario) -> int:
    """Runs every policy and shows what came of it; the exit code."""
    from autoscaler.cli import MISSED, OK
    from autoscaler.errors import AutoscalerError

    try:
        from autoscaler.simulation.fleet.comparison import parse_choice
    except ModuleNotFoundError as error:
        raise AutoscalerError(
            f"{error.name} is not installed, run: pip install 'forescale[simulation]'"
        ) from error
    text = FLEET_POLICIES if args.policies == DEFAULT_POLICIES else args.policies
    policies = [parse_choice(part, scenario) for part in text.split(",")]
    if len(set(policies)) < len(policies):
        raise refusal("--policies", text, "each once")
    if args.startup is not None:
        raise refusal("--startup", args.startup, "a fleet's file says it of each workload")
    if not 1 <= args.seeds <= 100:
        raise refusal("--seeds", args.seeds, "1 to 100")
    found = _compared(args, scenario, policies)
    if found.requests == 0:
        given = f"{found.scenario}: no request came, though some could have"
        raise refusal("DEMAND", given, "at least one is needed to judge by")
    if args.json:
        from autoscaler.codec import encode

        print(encode(found).decode())
    else:
        _show(found)
    ours = [row for row in found.rows if row.policy == "forescale"]
    return MISSED if any(row.attainment_ratio < row.goal_ratio for row in ours) else OK


def _compared(
    args: argparse.Namespace, scenario: FleetScenario, policies: list[FleetChoice]
) -> FleetComparison:
    from autoscaler.cli.side_by_side import progress_bar
    from autoscaler.config import load
    from autoscaler.simulation.fleet.comparison import compare_fleet

    # The forecasts' trees are small: threads that wait for each other made a fit ten times as long on a busy machine.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    settings = load(args.config) if args.config else None
    with progress_bar() as step:
        return compare_fleet(
            scenario,
            policies,
            seeds=range(1, args.seeds + 1),
            config=settings.engine if settings else None,
            forecast=settings.forecast if settings else None,
            step=step,
        )


def _show(found: FleetComparison) -> None:
    from rich.table import Table

    from autoscaler.cli.render import console

    out = console()
    hours = found.duration_s / 3600
    out.print(f"{found.scenario}: {hours:.1f} h, {found.requests:,.0f} requests")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("POLICY", "WORKLOAD"):
        table.add_column(name, no_wrap=True)
    for name in ("GOAL", "IN TIME", "GPU-H", "CHANGES", "5 MIN OK", "LONGEST BAD", "WORST 5 MIN"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in found.rows:
        table.add_row(*_cells(row))
    out.print(table)
    _show_nodes(found, out)


def _cells(row: WorkloadRow) -> tuple[str | Text, ...]:
    from rich.text import Text

    style = "red" if row.attainment_ratio < row.goal_ratio else ""
    return (
        row.policy,
        row.workload,
        f"{row.goal_ratio:.1%}",
        Text(f"{row.attainment_ratio:.2%}", style=style),
        f"{row.gpu_hours:.1f}",
        f"{row.changes:.0f}",
        f"{row.good_windows_ratio:.1%}",
        f"{row.longest_bad_s / 60:.0f} min",
        f"{row.worst_window_ratio:.1%}",
    )


def _show_nodes(found: FleetComparison, out: Console) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("POLICY", no_wrap=True)
    for name in ("NODES' GPU-H", "IN USE", "CUT ANEW", "FAILED"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in found.nodes:
        table.add_row(
            row.policy,
            f"{row.node_gpu_hours:.1f}",
            f"{row.used_node_gpu_hours:.1f}",
            f"{row.cuts:.0f}",
            f"{row.failed_cuts:.0f}",
        )
    out.print()
    out.print(table)
