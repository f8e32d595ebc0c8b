"""`forescale simulate` of a file with several workloads: its runs, and the tables of workloads and of nodes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from autoscaler.cli.side_by_side import (
    DEFAULT_POLICIES,
    common,
    of_forescale,
    progress_bar,
    refusal,
    tell,
)

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
    found = _compared(args, scenario, policies)
    tell(args, found, _show)
    ours = of_forescale(found.rows)
    return MISSED if any(row.attainment_ratio < row.goal_ratio for row in ours) else OK


def _compared(
    args: argparse.Namespace, scenario: FleetScenario, policies: list[FleetChoice]
) -> FleetComparison:
    from autoscaler.simulation.fleet.comparison import compare_fleet

    options = common(args)
    with progress_bar() as step:
        return compare_fleet(scenario, policies, step=step, **options)


def _show(found: FleetComparison) -> None:
    from rich.table import Table

    from autoscaler.cli.render import console, print_whole

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
    print_whole(out, table)
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

    from autoscaler.cli.render import print_whole

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
    print_whole(out, table)
