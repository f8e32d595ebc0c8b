"""`forescale slo`: compliance, error budget and burn rate of every objective.

From a running controller, or counted anew from a journal - which reaches as far back as its files do. With `--judge` it
exits with 99 where an objective was not kept.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autoscaler.cli import MISSED, OK
from autoscaler.errors import AutoscalerError, ConfigError, Problem

if TYPE_CHECKING:
    from rich.table import Table

    from autoscaler.core.compliance import Bounds, WorkloadCompliance
    from autoscaler.core.types import Slo, TickInput


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("workload", metavar="NAMESPACE/NAME", nargs="?", help="else all")
    parser.add_argument(
        "--controller", metavar="URL", help="ask a running one, such as http://127.0.0.1:8080"
    )
    parser.add_argument("--journal", type=Path, metavar="PATH", help="a file, or a folder of them")
    parser.add_argument(
        "--slo",
        metavar="SLO",
        help="with --journal: judge by this one in place of theirs, such as '99%% < 200ms'",
    )
    parser.add_argument(
        "--worst",
        type=int,
        metavar="N",
        help="those N workloads of which the least is left of an SLO's budget, worst first",
    )
    parser.add_argument(
        "--window", metavar="WINDOW", help="this one alone: 1h, 24h, or an SLO's own such as 28d"
    )
    parser.add_argument(
        "--judge",
        action="store_true",
        help="exit with 99 where an objective was not kept in what is shown, or nothing is known of it",
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the table."""
    told = _told(args)
    if args.workload is not None:
        from autoscaler.cli.explain import unknown_workload

        names = [str(item.workload) for item in told]
        if args.workload not in names:
            raise AutoscalerError(unknown_workload(args.workload, names))
        told = tuple(item for item in told if str(item.workload) == args.workload)
    if args.worst is not None:
        if args.worst < 1:
            raise ConfigError((Problem("--worst", str(args.worst), "1 or more is allowed"),))
        told = tuple(sorted(told, key=_least_left)[: args.worst])
    if args.window is not None:
        told = _in_window(told, args.window)
    if args.json:
        from autoscaler.codec import encode

        print(encode({"workloads": told}).decode())
    else:
        _print(told)
    return _judged(told) if args.judge else OK


def _print(told: tuple[WorkloadCompliance, ...]) -> None:
    from autoscaler.cli.render import NONE_ANNOTATED, console, print_whole

    if told:
        print_whole(console(), compliance_table(told))
    else:
        console().print(NONE_ANNOTATED)


def _judged(told: tuple[WorkloadCompliance, ...]) -> int:
    """Whether one was missed; each is named on standard error. What nothing was measured of is not kept."""
    from autoscaler.cli.render import console, share

    missed = [] if told else ["no workload is known, so that nothing was kept"]
    for item in told:
        for one in item.objectives:
            for window in one.windows:
                where = f"{item.workload} {one.objective} over {window.window}"
                good = window.compliance.estimate
                if good is None:
                    missed.append(f"{where}: nothing is known")
                elif good < one.target_ratio:
                    shown = between(window.compliance, 100.0, " %", digits=6)
                    missed.append(f"{where}: {shown} good, below {share(one.target_ratio)}")
    for text in missed:
        console(stderr=True).print(f"! {text}")
    return MISSED if missed else OK


def _least_left(item: WorkloadCompliance) -> tuple[bool, float, str]:
    """Of the SLO's own window, which is the last; of whom nothing is known comes last."""
    left = [
        objective.windows[-1].budget_left.estimate
        for objective in item.objectives
        if objective.windows
    ]
    known = [ratio for ratio in left if ratio is not None]
    return (not known, min(known, default=0.0), str(item.workload))


def _in_window(told: tuple[WorkloadCompliance, ...], window: str) -> tuple[WorkloadCompliance, ...]:
    """Workloads whose SLO has another window are left out."""
    every = sorted({w.window for item in told for one in item.objectives for w in one.windows})
    if told and window not in every:
        raise ConfigError(
            (Problem("--window", repr(window), f"one of {', '.join(every)} is allowed"),)
        )
    cut = [
        replace(
            item,
            objectives=tuple(
                replace(one, windows=tuple(w for w in one.windows if w.window == window))
                for one in item.objectives
            ),
        )
        for item in told
    ]
    return tuple(item for item in cut if any(one.windows for one in item.objectives))


def compliance_table(told: tuple[WorkloadCompliance, ...]) -> Table:
    """A line for each objective and window."""
    from rich.table import Table

    from autoscaler.cli.render import UNKNOWN, number, share

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("WORKLOAD", "OBJECTIVE", "READ FROM", "WINDOW"):
        table.add_column(name, no_wrap=True)
    for name in ("REQUESTS", "GOOD", "TARGET", "BUDGET LEFT", "BURN RATE", "SEEN"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in told:
        for objective in item.objectives:
            for window in objective.windows:
                table.add_row(
                    str(item.workload),
                    objective.objective,
                    objective.source.value if objective.source else UNKNOWN,
                    window.window,
                    number(window.requests),
                    between(window.compliance, 100.0, " %", digits=6),
                    share(objective.target_ratio),
                    between(window.budget_left, 100.0, " %", digits=3),
                    between(window.burn_rate, 1.0, "", digits=3),
                    share(window.known_ratio),
                )
    return table


def between(bounds: Bounds, scale: float, unit: str, *, digits: int) -> str:
    """`99.5 %`, with `(99.1 to 99.8)` where it is not exact; `-` where nothing is known."""
    from autoscaler.cli.render import UNKNOWN

    if bounds.estimate is None:
        return UNKNOWN
    low, told, high = (
        _number(value * scale, digits) for value in (bounds.low, bounds.estimate, bounds.high)
    )
    return f"{told}{unit}" if low == high else f"{told}{unit} ({low} to {high})"


def _number(value: float, digits: int) -> str:
    """So many digits, and never a power of ten: -1,870, not -1.87e+03."""
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def _told(args: argparse.Namespace) -> tuple[WorkloadCompliance, ...]:
    if (args.controller is None) == (args.journal is None):
        given = "neither is given" if args.controller is None else "both are given"
        raise ConfigError((Problem("slo", given, "give --controller or --journal"),))
    if args.slo is not None and args.journal is None:
        problem = Problem("--slo", "without --journal", "name the journal to count by it")
        raise ConfigError((problem,))
    if args.controller is not None:
        from autoscaler.cli.controller import ask
        from autoscaler.controller.server import CompliancePage

        return ask(args.controller, "/debug/slo", CompliancePage).workloads
    from autoscaler.cli.render import waiting

    with waiting(f"reading {args.journal}"):
        return _from_journal(args.journal, None if args.slo is None else parsed(args.slo))


def parsed(text: str) -> Slo:
    """Of the option `--slo`. Raises ConfigError."""
    from autoscaler.core.slo import parse_slo

    found = parse_slo(text, "--slo")
    if isinstance(found, tuple):
        raise ConfigError(found)
    return found


def _judged_by(slo: Slo, given: TickInput) -> TickInput:
    workloads = (replace(item, spec=replace(item.spec, slo=slo)) for item in given.workloads)
    return replace(given, workloads=tuple(workloads))


def _from_journal(path: Path, slo: Slo | None) -> tuple[WorkloadCompliance, ...]:
    from autoscaler.controller.accounts import Accounts
    from autoscaler.simulation.journal_file import NO_TICK, files_of, records_of

    accounts: Accounts | None = None
    for config, record in records_of(files_of(path)):
        if accounts is None:
            accounts = Accounts(stale_after_s=config.signals.stale_after_s)
        accounts.take(record.input if slo is None else _judged_by(slo, record.input))
    if accounts is None:
        raise AutoscalerError(f"{path}: {NO_TICK}")
    return accounts.compliance()
