"""The command `forescale`. Each command imports what it needs when it runs, so that help is there at once.

Exit codes: 0, 1 failure, 2 usage or configuration, 99 a threshold missed.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Protocol

from autoscaler import __version__
from autoscaler.errors import AutoscalerError, ConfigError

OK, FAILURE, USAGE, MISSED = 0, 1, 2, 99
INTERRUPTED = 130

COMMANDS = {
    "run": "run the controller",
    "plan": "decide once, change nothing, show the table",
    "watch": "show what a running controller decides, as it decides it",
    "explain": "show every step of one workload's decision",
    "doctor": "check Prometheus, metrics, rights, node autoscaler, GPUs and quotas, with a remedy for each finding",
    "slo": "show compliance, error budget and burn rate of every objective",
    "rules": "write Prometheus rules and burn-rate alerts for annotated workloads",
    "dashboard": "print a Grafana dashboard over the controller's metrics",
    "check-config": "say everything that is wrong with a policy file and annotations",
    "profile": "read measurements of a model made elsewhere, and show what they say a replica carries",
    "sweep": "remove headroom for nodes that no controller looks after",
    "replay": "decide a journal's ticks again and show what differs",
    "simulate": "run forescale and other autoscalers on a modelled cluster under a trace, a shape or a scenario",
    "backtest": "run a journal's demand on a modelled cluster, with forescale and other autoscalers",
    "report": "show what forescale would have run beside what was there, from a journal",
    "demo": "run the engine on a modelled cluster under a day of demand",
}


class Command(Protocol):
    """A module of this package."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares the options; imports nothing heavy."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Does it; the exit code."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        if given[:1] == ["demo"]:
            return _demo(given[1:])
        parser = build_parser()
        args = parser.parse_args(given)
        code = _module(args.command).run(args)
        # What is still buffered may find no reader, or a full disk: here it is told, at the end it would not be.
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except ConfigError as error:
        return _complain(str(error), USAGE)
    except AutoscalerError as error:
        return _complain(str(error), FAILURE)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        _drop_output()
        return OK
    except OSError as error:
        if error.errno == errno.ENOSPC and error.filename is None:
            _drop_output()
            return _complain("output: no space is left where it goes, name another place", FAILURE)
        # What is read is told of where it is read: this is a page or a folder that was to be written.
        if error.filename is None:
            raise
        said = f"{error.filename}: {error.strerror}, name another place"
        return _complain(said, FAILURE)


def _drop_output() -> None:
    """What is still buffered has nowhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(
        prog="forescale",
        description="Sizes GPU inference serving on Kubernetes to its latency SLO.",
        epilog="Exit codes: 0, 1 failure, 2 usage or configuration, 99 a threshold missed.",
    )
    parser.add_argument("--version", action="version", version=f"forescale {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name != "demo":
            _module(name).add_arguments(command)
    return parser


def _module(command: str) -> Command:
    module: Command = importlib.import_module(f"autoscaler.cli.{command.replace('-', '_')}")
    return module


def _demo(argv: list[str]) -> int:
    try:
        demo = importlib.import_module("autoscaler.simulation.demo")
    except ImportError as error:
        return _complain(
            f"demo: {error.name} is not installed, run: pip install 'forescale[simulation]'",
            FAILURE,
        )
    code: int | None = demo.main(argv)
    return code or OK


def _complain(text: str, code: int) -> int:
    for line in text.splitlines():
        print(f"forescale: {line}", file=sys.stderr)
    return code
