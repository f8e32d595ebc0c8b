"""`forescale simulate DEMAND`: what forescale and other autoscalers do under a trace, a shape or a scenario.

Exits with 99 when forescale attained less than the goal.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from autoscaler.cli import fleet, side_by_side

if TYPE_CHECKING:
    from autoscaler.simulation.scenario import Scenario


YAML = (".yaml", ".yml")
OF_ANY = ("slo", "service_s", "peak_rps")
OF_TRACES = ("column", "last_days")
OF_SHAPES = ("hours",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument(
        "demand",
        metavar="DEMAND",
        help="a scenario (.yaml), a trace (.csv, .csv.gz), or a shape such as 'diurnal(low_rps=20, high_rps=100)'",
    )
    side_by_side.add_arguments(parser)
    only = parser.add_argument_group("for traces and shapes, which say nothing of the workload")
    only.add_argument("--slo", help="as in the annotation (95%% < 1.1s)")
    only.add_argument("--service-s", type=float, help="time of one request on one replica (0.1)")
    only.add_argument("--column", help="which series of a trace that holds several")
    only.add_argument("--last-days", type=float, help="run only the end of a trace")
    only.add_argument("--hours", type=float, help="of a shape (24)")
    only.add_argument("--peak-rps", type=float, help="scale the 99.9 %% minute to this")


def run(args: argparse.Namespace) -> int:
    """Runs every policy and shows what came of it."""
    if args.demand.endswith(YAML):
        from autoscaler.simulation.fleet.file import is_fleet, read_fleet

        _refuse(_given(args), "a scenario file says it itself")
        if is_fleet(Path(args.demand)):
            return fleet.run(args, read_fleet(Path(args.demand)))
    return side_by_side.run(args, _scenario(args))


def _given(args: argparse.Namespace) -> list[str]:
    """Options that say what a scenario file says."""
    return [name for name in (*OF_ANY, *OF_TRACES, *OF_SHAPES) if getattr(args, name) is not None]


def _scenario(args: argparse.Namespace) -> Scenario:
    from autoscaler.simulation.demand import demand_of_shape, demand_of_trace
    from autoscaler.simulation.scenario_file import read_scenario
    from autoscaler.simulation.simple_scenario import simple_scenario

    given = _given(args)
    if args.demand.endswith(YAML):
        return read_scenario(Path(args.demand))
    is_trace = args.demand.endswith((".csv", ".csv.gz"))
    if not is_trace and Path(args.demand).exists():
        raise side_by_side.refusal(
            f"DEMAND {args.demand}",
            "a file or folder of no known kind",
            "a name in .yaml, .csv or .csv.gz is read",
        )
    _refuse(
        [name for name in given if name in (OF_SHAPES if is_trace else OF_TRACES)],
        "of a shape alone: the end of a trace is chosen by --last-days"
        if is_trace
        else "of a trace alone",
    )
    try:
        if is_trace:
            demand = demand_of_trace(
                Path(args.demand),
                column=args.column,
                last_days=args.last_days,
                peak_rps=args.peak_rps,
            )
        else:
            hours = 24.0 if args.hours is None else args.hours
            demand = demand_of_shape(args.demand, hours=hours, peak_rps=args.peak_rps)
        return simple_scenario(
            demand,
            slo="95% < 1.1s" if args.slo is None else args.slo,
            service_s=0.1 if args.service_s is None else args.service_s,
        )
    except ValueError as error:
        raise side_by_side.refusal("DEMAND", str(error), "see docs/simulation.md") from error


def _refuse(given: list[str], allowed: str) -> None:
    """Options that would be overlooked."""
    if given:
        raise side_by_side.refusal("--" + min(given).replace("_", "-"), "given", allowed)
