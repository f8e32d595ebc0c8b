"""`forescale report JOURNAL`: what forescale would have run, beside what was there.

For a controller in `recommend` mode, under whatever scales the workload now. Exits with 99 when forescale would, by the
estimate, have missed an objective that was kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from autoscaler.simulation.recommended.comparison import WorkloadReport
    from autoscaler.simulation.recommended.estimate import Estimate
    from autoscaler.simulation.recommended.observed import Told
    from autoscaler.simulation.recommended.page import Compared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("journal", type=Path, help="a journal file, or a folder of them")
    parser.add_argument("--workload", metavar="NAMESPACE/NAME", help="only this one")
    parser.add_argument(
        "--estimate",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run the demand once more on a modelled cluster; seconds for each workload and day",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write it as a page")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    """Reads, estimates, shows; the exit code."""
    from autoscaler.cli import MISSED, OK
    from autoscaler.errors import AutoscalerError
    from autoscaler.simulation.journal_file import files_of
    from autoscaler.simulation.recommended.comparison import summed, worse
    from autoscaler.simulation.recommended.node_hours import both_sides

    files = files_of(args.journal)
    if args.html is not None:
        from autoscaler.claim import claim

        claim(args.html)
    compared, where = _compared(files, args.workload, with_estimate=args.estimate)
    if not compared:
        raise AutoscalerError(_nothing(where, args.workload))
    reports = [item.report for item in compared]
    nodes = both_sides((item.observed, item.found) for item in compared)
    if args.html is not None:
        from autoscaler.report.page import write
        from autoscaler.simulation.recommended.page import page_of

        write(page_of(where, compared, nodes), args.html)
    if args.json:
        from autoscaler.codec import encode

        there, ours, both = summed(reports)
        total = {
            "workloads": both,
            "gpu_hours": there,
            "estimated_gpu_hours": ours,
            "node_gpu_hours": None if nodes is None else nodes[0],
            "estimated_node_gpu_hours": None if nodes is None else nodes[1],
        }
        print(encode({"journal": where, "total": total, "workloads": reports}).decode())
    else:
        _show(reports, nodes, args.html)
    return MISSED if worse(reports) else OK


def _nothing(where: str, workload: str | None) -> str:
    if workload is None:
        return f"{where}: holds no workload over two ticks yet, let the controller run on"
    return f"{where}: does not hold {workload} over two ticks, name one that `forescale slo --journal` shows"


def _compared(
    files: list[Path], workload: str | None, *, with_estimate: bool
) -> tuple[list[Compared], str]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from autoscaler.cli.render import console
    from autoscaler.simulation.recommended.comparison import report_of
    from autoscaler.simulation.recommended.observed import read
    from autoscaler.simulation.recommended.page import Compared

    columns = (TextColumn("{task.description:46}"), BarColumn(), TimeElapsedColumn())
    err = console(stderr=True)
    # Into a file it would leave an empty line.
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("reading", total=None)
        told = read(
            files, workload, told=lambda path: progress.update(task, description=Path(path).name)
        )
        compared = []
        for place, observed in enumerate(told.observed):
            progress.update(task, description=f"estimating {observed.spec.id}", total=1.0)
            found = (
                _estimate(told, place, lambda share: progress.update(task, completed=share))
                if with_estimate
                else "it was not asked for"
            )
            report = report_of(observed, found)
            compared.append(Compared(observed=observed, found=found, report=report))
    return compared, told.where


def _estimate(told: Told, place: int, progress: Callable[[float], None]) -> Estimate | str:
    from autoscaler.simulation.recommended.estimate import estimate

    try:
        return estimate(told.observed[place], told.watched[place], told.config, told=progress)
    except ModuleNotFoundError as error:
        # The controller's image has no compiler: what was there can be told all the same.
        return f"{error.name} is not installed, run: pip install 'forescale[simulation]'"


def _show(
    reports: Sequence[WorkloadReport], nodes: tuple[float, float] | None, html: Path | None
) -> None:
    from rich.table import Table

    from autoscaler.cli.render import UNKNOWN, console, print_whole
    from autoscaler.simulation.recommended.comparison import percent, summed
    from autoscaler.simulation.recommended.node_hours import RULE

    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("WORKLOAD", "SLO", "SCALED BY"):
        table.add_column(name, no_wrap=True)
    for name in ("HOURS", "TARGET", "GOOD, OBSERVED", "GOOD, ESTIMATED", "GPU-H", "ESTIMATED"):
        table.add_column(name, justify="right", no_wrap=True)
    for r in reports:
        table.add_row(
            str(r.workload),
            r.judged,
            r.held_by or f"mode {r.mode}",
            f"{r.hours:.1f}" if r.hours >= 1.0 else f"{r.hours:.2f}",
            f"{100 * r.target_ratio:.4g}%",
            percent(r.good),
            percent(r.estimated_good),
            f"{r.gpu_hours:.1f}",
            UNKNOWN if r.estimated_gpu_hours is None else f"{r.estimated_gpu_hours:.1f}",
        )
    print_whole(out, table)
    there, ours, both = summed(reports)
    if both:
        out.print(
            f"together, where there is an estimate: {there:.1f} GPU-hours there, {ours:.1f} estimated"
        )
    if nodes is not None:
        out.print(f"their nodes: {nodes[0]:.1f} GPU-hours there, {nodes[1]:.1f} estimated ({RULE})")
    for line in (*_without_estimate(reports), *(line for r in reports for line in _hours(r))):
        out.print(line, markup=False)
    if html is not None:
        out.print(f"With plots and every reason: {html}")


def _without_estimate(reports: Sequence[WorkloadReport]) -> list[str]:
    """One line for each reason: forty engines that generate tokens have the same."""
    names: dict[str, list[str]] = {}
    for report in reports:
        if report.no_estimate is not None:
            names.setdefault(report.no_estimate, []).append(str(report.workload))
    return [
        f"{first}{f' and {len(others)} more' if others else ''}: no estimate: {reason}"
        for reason, (first, *others) in names.items()
    ]


def _hours(report: WorkloadReport) -> list[str]:
    return [
        f"{report.workload}: {hour.from_time} UTC {hour.there:.1f} replicas there, "
        f"{hour.ours:.1f} forescale: {hour.why}"
        for hour in report.differed_most
    ]
