"""`forescale check-config FILE`: everything that is wrong with a policy file, and with annotations in manifests."""

from __future__ import annotations

import argparse
from pathlib import Path

from autoscaler.errors import ConfigError, Problem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("file", type=Path, nargs="?", help="a policy file, or its ConfigMap")
    parser.add_argument(
        "--manifests",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="manifests, or folders of them, whose forescale.io annotations are checked too",
    )
    parser.add_argument("--json", action="store_true", help="print the effective settings as JSON")


def run(args: argparse.Namespace) -> int:
    """All problems of all files at once."""
    import os
    import sys

    from autoscaler.cli.manifests import workloads_in
    from autoscaler.cli.render import slo_of
    from autoscaler.config import Settings, load

    if args.file is None and not args.manifests:
        raise ConfigError(
            (Problem("check-config", "no file", "name a policy file or --manifests"),)
        )
    problems: list[Problem] = []
    settings = Settings()
    try:
        settings = load(args.file, os.environ)
    except ConfigError as error:
        problems.extend(error.problems)
    specs, wrong = workloads_in(
        args.manifests, settings, lambda note: print(f"! {note}", file=sys.stderr)
    )
    problems += wrong
    if problems:
        raise ConfigError(tuple(problems))
    if args.json:
        from autoscaler.codec import encode

        print(encode({"settings": settings, "workloads": specs}).decode())
        return 0
    if args.file is not None:
        print(f"{args.file}: fine")
    for spec in specs:
        print(f"{spec.id}: {slo_of(spec)}, mode {spec.mode.value}: fine")
    if args.manifests and not specs:
        print("no workload in the manifests has forescale.io/slo")
    return 0
