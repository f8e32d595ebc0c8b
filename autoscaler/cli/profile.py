"""`forescale profile import FILE…` and `profile show FILE`: what is believed of a model before it is measured."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from autoscaler.config.profile_file import Profile
    from autoscaler.core.profile import ModelPrior
    from autoscaler.core.types import LatencyObjective


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="import|show")
    make = commands.add_parser(
        "import",
        help="read measurements and write a profile",
        description="Reads CSV of perf_analyzer, CSV of Model Analyzer, JSON of GenAI-Perf, or a plain table "
        "(docs/profiles.md), and writes the file that the policy names in `profiles`.",
    )
    make.add_argument("files", type=Path, nargs="+", metavar="FILE")
    make.add_argument("-o", "--output", type=Path, metavar="FILE", help="else to standard output")
    make.add_argument(
        "--model", help="its name on the server, where the files name none or several"
    )
    make.add_argument("--config", help="which of Model Analyzer's configurations")
    make.add_argument("--batch-size", type=_whole, help="perf_analyzer's -b (1)")
    make.add_argument("--instances", type=_whole, help="of the model on the server (1)")
    make.add_argument("--max-batch-size", type=_whole, help="of the server (the largest measured)")
    show = commands.add_parser("show", help="show what a profile says")
    show.add_argument("file", type=Path)
    show.add_argument("--slo", help="as in the annotation: adds what a replica carries within it")
    for command in (make, show):
        command.add_argument("--json", action="store_true", help="print the profile as JSON")


def run(args: argparse.Namespace) -> int:
    """Writes or shows a profile."""
    from autoscaler.cli.render import console, print_whole
    from autoscaler.config.profile_file import profile_text, read_profile

    if args.what == "show":
        profile = read_profile(args.file)
        objective = _objective(args.slo)
    else:
        profile = _imported(args)
        objective = None
        if args.output is not None:
            _write(args.output, profile_text(profile))
    if args.json and objective is not None:
        import json

        told = json.loads(profile_text(profile))
        carried = {model.model: _carries_rps(model, objective) for model in profile.models}
        print(json.dumps(told | {"slo": args.slo, "carries_rps": carried}, indent=2))
        return 0
    if args.json or (args.what == "import" and args.output is None):
        print(profile_text(profile), end="")
        return 0
    print_whole(console(), profile_table(profile, objective))
    if args.what == "import":
        console().print(f"{args.output}: written; name it in the policy's profiles", markup=False)
    return 0


def profile_table(profile: Profile, objective: LatencyObjective | None) -> Table:
    """A line for each batch size of each model; with an objective what one replica carries within it."""
    from rich.table import Table

    from autoscaler.cli.render import UNKNOWN, number

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("MODEL", no_wrap=True)
    for name in ("BATCH", "TIME", "INFERENCES/S", "INSTANCES"):
        table.add_column(name, justify="right", no_wrap=True)
    if objective is not None:
        table.add_column("CARRIES", justify="right", no_wrap=True)
    for model in profile.models:
        carries = UNKNOWN
        if objective is not None:
            rps = _carries_rps(model, objective)
            carries = "nothing" if rps is None else f"{number(rps)}/s"
        for item in model.batches:
            last = item is model.batches[-1]
            rate = item.batch_size * model.instances / item.mean_s
            cells = [
                model.model,
                str(item.batch_size),
                f"{item.mean_s * 1000.0:.4g} ms",
                number(rate),
                str(model.instances),
            ]
            table.add_row(*cells, *([carries if last else ""] if objective is not None else []))
    return table


def _carries_rps(model: ModelPrior, objective: LatencyObjective) -> float | None:
    """What one replica carries within the objective, in inferences a second; None: nothing."""
    from autoscaler.core.prior import evidence_of
    from autoscaler.core.queueing import utilization_limit
    from autoscaler.core.service_time import service_times

    times = service_times(evidence_of(model))
    assert times is not None
    limit = utilization_limit(
        times,
        ratio=objective.ratio,
        threshold_s=objective.threshold_s,
        variability=model.variability,
    )
    return None if limit is None else limit / times.work_s


def _imported(args: argparse.Namespace) -> Profile:
    from autoscaler.profiles.importing import Told, import_profile
    from autoscaler.profiles.measured import Server

    return import_profile(
        args.files,
        Told(
            model=args.model,
            config=args.config,
            client_batch=args.batch_size,
            server=Server(instances=args.instances, max_batch_size=args.max_batch_size),
        ),
    )


def _write(path: Path, text: str) -> None:
    from autoscaler.errors import AutoscalerError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise AutoscalerError(f"{path}: can't be written: {error.strerror}") from error


def _objective(text: str | None) -> LatencyObjective | None:
    from autoscaler.core.latency import main_objective
    from autoscaler.core.slo import parse_slo
    from autoscaler.core.types import Slo
    from autoscaler.errors import ConfigError, Problem

    if text is None:
        return None
    slo = parse_slo(text, "--slo")
    if not isinstance(slo, Slo):
        raise ConfigError(slo)
    objective = main_objective(slo)
    if objective.signal != "latency":
        given = f"{text!r} is about {objective.signal}"
        allowed = "an objective on latency is allowed: a profile tells how long batches take"
        raise ConfigError((Problem("--slo", given, allowed),))
    return objective


def _whole(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number, at least 1")
    return value
