"""`python -m loadtests.e2e JOB`: exit code 0, 1 if it could not run, 99 if a check was missed."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from rich.console import Console

from loadtests.stack.errors import StackError
from loadtests.stack.stack import Stack

MISSED = 99


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code; whatever happens, the stack is down afterwards."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.e2e", description=__doc__)
    parser.add_argument("job", choices=("main", "proxy", "kserve", "nodes", "sick"))
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupted)
    console = Console(width=None if sys.stdout.isatty() else 140)
    stack = Stack(say=lambda text: console.print(f"[dim]{text}[/]"))
    try:
        # Where nodes come and go, all of them do.
        stack.up(nodes=0 if given.job == "nodes" else 2, gpus_per_node=8)
        if given.job == "main":
            from loadtests.e2e import main_job

            passed = asyncio.run(main_job.run(stack, console))
        elif given.job == "kserve":
            from loadtests.e2e import kserve_job

            passed = asyncio.run(kserve_job.run(stack, console))
        elif given.job == "nodes":
            from loadtests.e2e import nodes_job

            passed = asyncio.run(nodes_job.run(stack, console))
        elif given.job == "sick":
            from loadtests.e2e import sick_job

            passed = asyncio.run(sick_job.run(stack, console))
        else:
            from loadtests.e2e import proxy_job

            passed = asyncio.run(proxy_job.run(stack, console))
    except StackError as error:
        print(f"e2e: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("e2e: interrupted", file=sys.stderr)
        return 130
    finally:
        stack.down()
    return 0 if passed else MISSED


if __name__ == "__main__":
    sys.exit(main())
