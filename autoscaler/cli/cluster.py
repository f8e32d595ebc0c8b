"""What the commands that look at a cluster have in common: their options, their settings, a dry run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from autoscaler.errors import ConfigError, Problem

if TYPE_CHECKING:
    from autoscaler.config import Settings
    from autoscaler.controller.dry_run import DryRun

# Prometheus knows the last half minute, which is what a tick looks at.
WAIT_S = 0.0
MOST_WAIT_S = 3600.0


def add_cluster_arguments(parser: argparse.ArgumentParser, *, dry: bool = True) -> None:
    """How the cluster and Prometheus are reached."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="policy file")
    parser.add_argument("--kubeconfig", metavar="FILE", help="else KUBECONFIG, else ~/.kube/config")
    parser.add_argument("--context", help="of the kubeconfig; else its current one")
    parser.add_argument("--prometheus-url", metavar="URL")
    if dry:
        parser.add_argument(
            "--wait",
            type=float,
            default=WAIT_S,
            metavar="SECONDS",
            help="how long to watch before deciding; Prometheus knows the last half minute (%(default)g)",
        )
        parser.add_argument(
            "--cold", action="store_true", help="do not use what the running controller has learned"
        )


def settings_of(args: argparse.Namespace, extra: dict[str, object] | None = None) -> Settings:
    """Flags, environment, file, defaults."""
    import os

    from autoscaler.config import load

    overrides: dict[str, object] = {
        "kubernetes.kubeconfig": args.kubeconfig,
        "kubernetes.context": args.context,
        "prometheus.url": args.prometheus_url,
        **(extra or {}),
    }
    return load(args.config, os.environ, overrides)


def dry_run(args: argparse.Namespace) -> DryRun:
    """One decision for every workload, as the controller would take it now. Nothing is written."""
    import asyncio
    import logging

    from autoscaler.clock import SystemClock
    from autoscaler.controller.dry_run import run_dry

    if not 0.0 <= args.wait <= MOST_WAIT_S:
        raise ConfigError((Problem("--wait", f"{args.wait:g}", f"must be 0 to {MOST_WAIT_S:g} s"),))
    settings = settings_of(args)
    # What goes wrong is in the answer; libraries' own words beside it would only confuse.
    logging.getLogger().addHandler(logging.NullHandler())
    from autoscaler.cli.render import waiting

    with waiting(f"looking at the cluster{f' for {args.wait:g} s' if args.wait else ''}"):
        return asyncio.run(run_dry(settings, SystemClock(), wait_s=args.wait, cold=args.cold))
