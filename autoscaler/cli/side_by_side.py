"""What `simulate` and `backtest` share: their options, the runs with a progress bar, and the table."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypedDict, TypeVar

if TYPE_CHECKING:
    from rich.text import Text

    from autoscaler.config.settings import ForecastSettings
    from autoscaler.core.settings import EngineConfig
    from autoscaler.errors import ConfigError
    from autoscaler.simulation.comparison import Comparison, Row
    from autoscaler.simulation.fleet.comparison import FleetComparison, WorkloadRow
    from autoscaler.simulation.scenario import Scenario

Judged = TypeVar("Judged", "Row", "WorkloadRow")
Found = TypeVar("Found", "Comparison", "FleetComparison")

DEFAULT_POLICIES = "forescale,keda,hpa-gpu,kpa,static"


class Common(TypedDict):
    """What every comparison is told alike."""

    seeds: range
    config: EngineConfig | None
    forecast: ForecastSettings | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of both."""
    from pathlib import Path

    parser.add_argument(
        "--policies",
        default=DEFAULT_POLICIES,
        help="names with commas, a peer's with =HEADROOM where not its default (%(default)s)",
    )
    parser.add_argument("--startup", metavar="SECONDS", help="median start-ups with commas")
    parser.add_argument(
        "--seeds", type=int, default=1, help="runs with different luck (%(default)s)"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="forescale's policy file")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace, scenario: Scenario) -> int:
    """Runs every policy and shows what came of it; the exit code."""
    from autoscaler.cli import MISSED, OK
    from autoscaler.errors import AutoscalerError

    try:
        from autoscaler.simulation.trial import parse_policies, require_static
    except ModuleNotFoundError as error:
        raise AutoscalerError(
            f"{error.name} is not installed, run: pip install 'forescale[simulation]'"
        ) from error
    policies = parse_policies(args.policies)
    startups_s = _startups(args.startup) or [scenario.startup.median_s]
    most = scenario.most_replicas
    for name, headroom in policies:
        if name == "static" and headroom is None:
            require_static(scenario)
        if name == "static" and headroom is not None and headroom > most:
            raise refusal(
                "--policies", f"'static={headroom:g}'", f"at most {most}, workload.max_replicas"
            )
    _say_if_unattainable(scenario)
    found = _compared(args, scenario, policies, startups_s)
    tell(args, found, _show)
    ours = of_forescale(found.rows)
    return MISSED if any(row.attainment_ratio < found.goal_ratio for row in ours) else OK


def of_forescale(rows: Sequence[Judged]) -> list[Judged]:
    """The rows that the exit code judges: forescale's, or, where that does not run, those of its engine without
    forecasts."""
    for name in ("forescale", "forescale-no-forecast"):
        found = [row for row in rows if row.policy == name]
        if found:
            return found
    return []


def _say_if_unattainable(scenario: Scenario) -> None:
    """Every policy would miss it: said before the minutes that it takes to see so."""
    from autoscaler.cli.render import console, duration
    from autoscaler.simulation.serving import ServingModel

    server, threshold_s = scenario.server, scenario.threshold_s
    if isinstance(server, ServingModel) and min(server.batch_service_s) > threshold_s:
        console(stderr=True).print(
            f"! a request takes {duration(min(server.batch_service_s))} without any queue, the objective is "
            f"{duration(threshold_s)}: no number of replicas meets it"
        )


def _startups(text: str | None) -> list[float]:
    if text is None:
        return []
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [-1.0]
    if not all(0.0 <= value <= 7200.0 for value in values):
        raise refusal("--startup", repr(text), "seconds with commas, 0 to 7200")
    if len(set(values)) < len(values):
        raise refusal("--startup", repr(text), "each once")
    return values


def refusal(where: str, given: object, allowed: str) -> ConfigError:
    """To be raised: exit code 2, with what was given and what is allowed."""
    from autoscaler.errors import ConfigError, Problem

    return ConfigError((Problem(where, str(given), allowed),))


def tell(args: argparse.Namespace, found: Found, show: Callable[[Found], None]) -> None:
    """As a table, or as JSON; refuses what had no request to judge by."""
    requests = found.requests
    if requests is None:
        requests = max(row.requests for row in found.rows)
    if requests == 0:
        given = f"{found.scenario}: no request came, though some could have"
        raise refusal("DEMAND", given, "at least one is needed to judge by")
    if args.json:
        from autoscaler.codec import encode

        print(encode(found).decode())
    else:
        show(found)


def common(args: argparse.Namespace) -> Common:
    """The options that every comparison takes alike."""
    from autoscaler.config import load

    if not 1 <= args.seeds <= 100:
        raise refusal("--seeds", args.seeds, "1 to 100")
    settings = load(args.config) if args.config else None
    return {
        "seeds": range(1, args.seeds + 1),
        "config": settings.engine if settings else None,
        "forecast": settings.forecast if settings else None,
    }


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """What is told of what is being run and how far it has come, on a terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from autoscaler.cli.render import console

    columns = (TextColumn("{task.description:46}"), BarColumn(), TimeElapsedColumn())
    err = console(stderr=True)
    # Into a file it would leave an empty line.
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("arrivals", total=1.0)

        def step(what: str, share: float) -> None:
            progress.update(task, description=what, completed=share)

        yield step


def _compared(
    args: argparse.Namespace,
    scenario: Scenario,
    policies: tuple[tuple[str, float | None], ...],
    startups_s: list[float],
) -> Comparison:
    from autoscaler.simulation.comparison import compare

    options = common(args)
    with progress_bar() as step:
        return compare(scenario, policies, startups_s=startups_s, step=step, **options)


def _show(found: Comparison) -> None:
    from rich.table import Table

    from autoscaler.cli.render import console, duration, print_whole

    out = console()
    hours = found.duration_s / 3600
    long = f"{hours:.1f} h" if hours >= 0.1 else duration(found.duration_s)
    many = "users in a closed loop" if found.requests is None else f"{found.requests:,.0f} requests"
    out.print(f"{found.scenario}: {long}, {many}, goal {found.goal_ratio:.2%} in time")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("POLICY", no_wrap=True)
    for name in ("START-UP", "IN TIME", "GPU-H", "NODES' GPU-H", "CLAIRVOYANT", "CHANGES"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("5 MIN OK", "LONGEST BAD", "WORST 5 MIN"):
        table.add_column(name, justify="right", no_wrap=True)
    of_clients = _of_clients(found)
    for name in of_clients:
        table.add_column(name, justify="right", no_wrap=True)
    for row in found.rows:
        cells = _cells(row, found.goal_ratio)
        table.add_row(*cells, *(cell(row) for cell in of_clients.values()))
    print_whole(out, table)


def _of_clients(found: Comparison) -> dict[str, Callable[[Row], str]]:
    """Columns that only such clients have: name, and what of a row stands there."""
    columns: dict[str, Callable[[Row], str]] = {}
    if found.requests is None:
        columns["REQUESTS"] = lambda row: f"{row.requests:,.0f}"
    if any(row.attempts_ratio is not None for row in found.rows):
        columns["ATTEMPTS"] = lambda row: f"x {row.attempts_ratio or 1.0:.2f}"
    return columns


def _cells(row: Row, goal_ratio: float) -> tuple[str | Text, ...]:
    from rich.text import Text

    from autoscaler.cli.render import UNKNOWN

    style = "red" if row.attainment_ratio < goal_ratio else ""
    ratio, nodes = row.clairvoyant_ratio, row.node_gpu_hours
    return (
        row.policy,
        f"{row.startup_s:g} s",
        Text(f"{row.attainment_ratio:.2%}", style=style),
        f"{row.gpu_hours:.1f}",
        UNKNOWN if nodes is None else f"{nodes:.1f}",
        UNKNOWN if ratio is None else f"x {ratio:.2f}",
        f"{row.changes:.0f}",
        f"{row.good_windows_ratio:.1%}",
        f"{row.longest_bad_s / 60:.0f} min",
        f"{row.worst_window_ratio:.1%}",
    )
