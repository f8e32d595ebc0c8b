"""`forescale watch`: what a running controller decides, as it decides it.

On a terminal a table that is kept as it is now, with the last changes below it; elsewhere a line for each change; with
`--json` a line for each tick, with everything that is known of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from autoscaler.cli import OK
from autoscaler.errors import AutoscalerError, ConfigError, Problem

if TYPE_CHECKING:
    from autoscaler.cli.watched import Shown
    from autoscaler.clock import Clock
    from autoscaler.controller.server import DecisionsPage

CONTROLLER = "http://127.0.0.1:8080"
# A tick is ten seconds: what it decided is seen soon after.
EVERY_S, LEAST_EVERY_S, MOST_EVERY_S = 2.0, 0.1, 3600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("workloads", metavar="NAMESPACE/NAME", nargs="*", help="else all")
    parser.add_argument(
        "--controller",
        metavar="URL",
        default=CONTROLLER,
        help="a running one (%(default)s, as kubectl port-forward has it)",
    )
    parser.add_argument(
        "--every",
        type=float,
        default=EVERY_S,
        metavar="SECONDS",
        help="how often it is asked (%(default)g)",
    )
    parser.add_argument(
        "--for",
        dest="for_s",
        type=float,
        metavar="SECONDS",
        help="end after so long; else it goes on until Ctrl-C",
    )
    parser.add_argument("--json", action="store_true", help="each tick as JSON, in a line")


def run(args: argparse.Namespace) -> int:
    """Shows every tick until it is interrupted."""
    import asyncio

    from autoscaler.cli.controller import fetch
    from autoscaler.cli.watched import shown_on
    from autoscaler.clock import SystemClock
    from autoscaler.controller.server import DecisionsPage

    if not LEAST_EVERY_S <= args.every <= MOST_EVERY_S:
        allowed = f"must be {LEAST_EVERY_S:g} to {MOST_EVERY_S:g} s"
        raise ConfigError((Problem("--every", f"{args.every:g}", allowed),))
    if args.for_s is not None and not args.for_s >= 0.0:
        raise ConfigError((Problem("--for", f"{args.for_s:g}", "must be 0 s or more"),))

    def ask() -> DecisionsPage:
        return fetch(args.controller, "/debug/decisions", DecisionsPage)

    with shown_on(as_json=args.json) as shown:
        asyncio.run(
            follow(
                ask,
                shown,
                SystemClock(),
                workloads=frozenset(args.workloads),
                every_s=args.every,
                for_s=args.for_s,
            )
        )
    return OK


async def follow(
    ask: Callable[[], DecisionsPage],
    shown: Shown,
    clock: Clock,
    *,
    workloads: Collection[str] = (),
    every_s: float,
    for_s: float | None = None,
) -> None:
    """Shows each new tick, of these workloads or of all, and why none comes.

    Raises:
        AutoscalerError: there was no answer the first time, or one of the workloads was not in it. Later it is waited
            for, and a workload may go.
    """
    from autoscaler.cli.watched import only

    began_s = clock.monotonic_s()
    newest_s: float | None = None
    came_s = began_s
    while True:
        try:
            page = ask()
        except AutoscalerError as error:
            if newest_s is None:
                raise
            shown.without(str(error))
        else:
            if newest_s is None:
                _refuse_unknown(workloads, page)
            if page.now_s != newest_s:
                newest_s, came_s = page.now_s, clock.monotonic_s()
                shown.tick(only(page, workloads))
            else:
                shown.waited(clock.monotonic_s() - came_s)
        if for_s is not None and clock.monotonic_s() - began_s + every_s > for_s:
            return
        await clock.sleep(every_s)


def _refuse_unknown(workloads: Collection[str], page: DecisionsPage) -> None:
    from autoscaler.cli.explain import unknown_workload

    known = [str(decision.workload) for decision in page.decisions]
    known += [str(refused.workload) for refused in page.refused]
    for name in sorted(workloads):
        if name not in known:
            raise AutoscalerError(unknown_workload(name, known))
