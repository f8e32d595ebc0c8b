"""`forescale run`: the controller itself."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from autoscaler.errors import LeadershipLost

if TYPE_CHECKING:
    from autoscaler.config import Settings
    from autoscaler.controller.freeze import FreezeSwitch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    from autoscaler.cli.cluster import add_cluster_arguments

    add_cluster_arguments(parser, dry=False)
    parser.add_argument("--journal", metavar="FOLDER", help="write every tick down there")
    parser.add_argument("--checkpoint", metavar="FILE", help="keep what is learned in this file")
    parser.add_argument("--namespace", metavar="NAME", help="of the lease and the checkpoint")
    parser.add_argument("--port", type=int, help="of health, metrics and decisions")
    parser.add_argument("--bind", metavar="ADDRESS", help="listen on this address only")
    parser.add_argument("--identity", help="unique name of this process; else made up")
    parser.add_argument(
        "--no-leader-election", action="store_true", help="for a controller that surely runs alone"
    )
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning"))


def run(args: argparse.Namespace) -> int:
    """Until SIGTERM (exit code 0) or until leadership is lost (1)."""
    import asyncio

    from autoscaler.cli.cluster import settings_of
    from autoscaler.controller import garbage
    from autoscaler.controller.freeze import FreezeSwitch
    from autoscaler.controller.logs import configure

    extra: dict[str, object] = {
        "journal.path": args.journal,
        "checkpoint.path": args.checkpoint,
        "leader.namespace": args.namespace,
        "leader.enabled": False if args.no_leader_election else None,
        "server.port": args.port,
        "server.bind": args.bind,
    }
    settings = settings_of(args, extra)
    configure(args.log_level)
    garbage.look_seldom()
    policy = FreezeSwitch(settings, args.config, lambda: settings_of(args, extra))
    asyncio.run(_control(settings, args.identity, policy))
    return 0


async def _control(settings: Settings, identity: str | None, policy: FreezeSwitch) -> None:
    from autoscaler.clock import SystemClock
    from autoscaler.controller.wiring import run_controller

    try:
        await run_controller(
            settings,
            SystemClock(),
            identity=identity,
            frozen=policy,
            outdated=lambda: policy.outdated,
        )
    except LeadershipLost as lost:
        # At once: no thread that still waits for an answer may keep this process, which another has replaced.
        print(f"forescale: leadership lost: {lost}", file=sys.stderr, flush=True)
        os._exit(1)
