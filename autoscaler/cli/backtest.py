"""`forescale backtest JOURNAL`: the demand of a journal once more, on a modelled cluster, beside other autoscalers.

Exits with 99 when forescale attained less than the goal.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from autoscaler.cli import side_by_side


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("journal", type=Path, help="a journal file, or a folder of them")
    parser.add_argument("--workload", metavar="NAMESPACE/NAME", help="where there are several")
    parser.add_argument(
        "--slo", metavar="SLO", help="in place of the workload's, such as '99%% < 200ms'"
    )
    side_by_side.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Makes a scenario of the journal and runs every policy."""
    from autoscaler.cli.render import waiting
    from autoscaler.cli.slo import parsed
    from autoscaler.simulation.backtest import scenario_of
    from autoscaler.simulation.journal_file import files_of

    slo = None if args.slo is None else parsed(args.slo)
    files = files_of(args.journal)
    with waiting(f"reading {args.journal}"):
        scenario = scenario_of(files, args.workload, slo)
    return side_by_side.run(args, scenario)
