"""`forescale slo`: compliance, error budget and burn rate of every objective.

From a running controller, or counted anew from a journal - which reaches as far back as its files do.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from autoscaler.errors import AutoscalerError, ConfigError, Problem

if TYPE_CHECKING:
    from rich.table import Table

    from autoscaler.core.compliance import Bounds, WorkloadCompliance


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("workload", metavar="NAMESPACE/NAME", nargs="?", help="else all")
    parser.add_argument(
        "--controller", metavar="URL", help="ask a running one, such as http://127.0.0.1:8080"
    )
    parser.add_argument("--journal", type=Path, metavar="PATH", help="a file, or a folder of them")
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
    if args.json:
        from autoscaler.codec import encode

        print(encode({"workloads": told}).decode())
        return 0
    from autoscaler.cli.render import NONE_ANNOTATED, console, print_whole

    if told:
        print_whole(console(), compliance_table(told))
    else:
        console().print(NONE_ANNOTATED)
    return 0


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
    if args.controller is not None:
        from autoscaler.cli.controller import ask
        from autoscaler.controller.server import CompliancePage

        return ask(args.controller, "/debug/slo", CompliancePage).workloads
    from autoscaler.cli.render import waiting

    with waiting(f"reading {args.journal}"):
        return _from_journal(args.journal)


def _from_journal(path: Path) -> tuple[WorkloadCompliance, ...]:
    from autoscaler.controller.accounts import Accounts
    from autoscaler.simulation.journal_file import NO_TICK, files_of, records_of

    accounts: Accounts | None = None
    for config, record in records_of(files_of(path)):
        if accounts is None:
            accounts = Accounts(stale_after_s=config.signals.stale_after_s)
        accounts.take(record.input)
    if accounts is None:
        raise AutoscalerError(f"{path}: {NO_TICK}")
    return accounts.compliance()
