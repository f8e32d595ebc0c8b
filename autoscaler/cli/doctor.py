"""`forescale doctor`: what stands in the way of forescale in this cluster, and what to do about it. Changes nothing.

Exit codes: 0 nothing that can't work (there may be warnings), 1 at least one error, 2 usage or configuration.
"""

from __future__ import annotations

import argparse

from autoscaler.errors import ConfigError, Problem

MARKS = {"ok": "ok", "warning": "WARN", "error": "ERROR", "unknown": "?"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    from autoscaler.cli.cluster import add_cluster_arguments

    add_cluster_arguments(parser, dry=False)
    parser.add_argument("--json", action="store_true", help="print findings as JSON")
    parser.add_argument(
        "--service-account",
        metavar="NAMESPACE/NAME",
        help="whose rights are asked about, such as forescale/forescale; else your own",
    )


def run(args: argparse.Namespace) -> int:
    """Prints every finding; the exit code says whether there is an error among them."""
    import asyncio
    import logging

    from autoscaler.cli.cluster import settings_of
    from autoscaler.cli.render import console, counted, waiting
    from autoscaler.clock import SystemClock
    from autoscaler.controller.doctor.diagnosis import Level
    from autoscaler.controller.doctor.examine import examine

    account = args.service_account
    if account is not None and (account.count("/") != 1 or not all(account.split("/"))):
        raise ConfigError((Problem("--service-account", repr(account), "must be NAMESPACE/NAME"),))
    settings = settings_of(args)
    logging.getLogger().addHandler(logging.NullHandler())
    with waiting("asking Kubernetes and Prometheus"):
        found = asyncio.run(examine(settings, SystemClock(), account=account))
    errors = sum(1 for item in found if item.level is Level.ERROR)
    if args.json:
        from autoscaler.codec import encode

        print(encode({"findings": found, "errors": errors}).decode())
        return 1 if errors else 0
    out = console()
    for item in found:
        mark = MARKS[item.level.value]
        out.print(f"{mark:5} {item.check}: {item.found}", markup=False)
        if item.remedy:
            out.print(f"      -> {item.remedy}", markup=False)
    warnings = sum(1 for item in found if item.level is Level.WARNING)
    unseen = sum(1 for item in found if item.level is Level.UNKNOWN)
    out.print(f"{counted(errors, 'error')}, {counted(warnings, 'warning')}, {unseen} not seen")
    return 1 if errors else 0
