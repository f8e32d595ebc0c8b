"""`forescale replay JOURNAL`: the same inputs, decided again - by the same configuration or by another one.

Exits with 99 when the journal's own configuration decides otherwise than it did, with 1 where a line is broken. A last
one without an end is left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoscaler.core.settings import EngineConfig
    from autoscaler.simulation.replay import Difference, ReplayReport

SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("journal", type=Path, help="a journal file, or a folder of them")
    parser.add_argument("--config", type=Path, metavar="FILE", help="decide with this policy file")
    parser.add_argument("--limit", type=int, default=SHOWN, help="differences shown (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Replays file by file; each stands for itself."""
    from autoscaler.cli import FAILURE, MISSED, OK
    from autoscaler.cli.render import console, waiting
    from autoscaler.codec import encode
    from autoscaler.config import load
    from autoscaler.simulation.journal_file import files_of

    config = load(args.config).engine if args.config else None
    files = files_of(args.journal)
    with waiting(f"deciding {args.journal} again"):
        reports, left_out = _replayed(files, config, max(0, args.limit))
    for text in (*left_out, *(report.unfinished for report in reports)):
        if text is not None:
            console(stderr=True).print(f"! left out: {text}")
    if args.json:
        print(encode(reports).decode())
    else:
        for report in reports:
            _show(report, compared=config is not None)
    if any(report.broken for report in reports):
        return FAILURE
    own = config is None
    return MISSED if own and any(report.differing for report in reports) else OK


def _replayed(
    files: list[Path], config: EngineConfig | None, most: int
) -> tuple[list[ReplayReport], list[str]]:
    """A report for each file, and why there is none: a controller that was just killed, or just began, has left no
    whole header."""
    from autoscaler.simulation.journal_file import JournalTorn
    from autoscaler.simulation.replay import replay

    reports: list[ReplayReport] = []
    left_out: list[JournalTorn] = []
    for path in files:
        try:
            reports.append(replay(path, config=config, max_differences=most))
        except JournalTorn as error:
            left_out.append(error)
    if not reports:
        raise left_out[-1]
    return reports, [str(error) for error in left_out]


def _show(report: ReplayReport, *, compared: bool) -> None:
    from rich.table import Table

    from autoscaler.cli.render import console

    out = console()
    hours = (report.to_s or 0.0) - (report.from_s or 0.0)
    out.print(
        f"{report.path}: {report.ticks} ticks over {hours / 3600:.2f} h, {report.decisions} decisions; "
        f"{report.differing} differ, {report.differing_targets} of them in the number of replicas"
    )
    if compared:
        out.print(
            f"replica-hours of the targets: {report.recorded_replica_hours:.2f} recorded, "
            f"{report.replayed_replica_hours:.2f} with this configuration"
        )
    if report.differences:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("LINE", "TIME", "WORKLOAD", "RECORDED", "NOW", "WHY"):
            table.add_column(name, no_wrap=name != "WHY")
        for difference in report.differences:
            table.add_row(*_row(difference))
        out.print(table)
        left = report.differing - len(report.differences)
        if left:
            out.print(f"... and {left} more (--limit)")
    if report.broken:
        console(stderr=True).print(f"forescale: {report.broken}")


def _row(difference: Difference) -> tuple[str, ...]:
    from autoscaler.cli.render import moment

    recorded, replayed = difference.recorded, difference.replayed
    return (
        str(difference.line),
        moment(difference.now_s),
        str(difference.workload or "fleet"),
        f"{recorded.target} {recorded.reason.value}" if recorded else "-",
        f"{replayed.target} {replayed.reason.value}" if replayed else "-",
        replayed.message if replayed else "",
    )
