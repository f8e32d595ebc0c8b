"""`python -m loadtests.stack tools | up | status | down`."""

from __future__ import annotations

import argparse
import sys

from loadtests.stack.errors import StackError
from loadtests.stack.stack import Stack
from loadtests.stack.toolbox import find_helm, find_karpenter, find_kserve, find_or_make

UP = """
The stack is up. For kubectl and forescale:
  export KUBECONFIG={kubeconfig} FORESCALE_PROMETHEUS_URL={prometheus}
Next, as the README goes on:
  kubectl apply -f loadtests/stack/manifests/bert.yaml
  kubectl annotate deployment bert -n team forescale.io/slo='99% < 300ms'
  .venv/bin/forescale plan
  make stack-down
"""


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    tools = commands.add_parser("tools", help="find or build every program that the stack needs")
    tools.add_argument("--karpenter", action="store_true", help="Karpenter too (two minutes more)")
    tools.add_argument("--kserve", action="store_true", help="KServe's model server too")
    up = commands.add_parser("up", help="start everything in the background")
    up.add_argument("--nodes", type=int, default=2)
    up.add_argument("--gpus-per-node", type=int, default=8)
    status = commands.add_parser("status", help="what runs")
    status.add_argument("--json", action="store_true")
    down = commands.add_parser("down", help="stop everything and remove its data")
    down.add_argument("--purge", action="store_true", help="remove the logs too")
    down.add_argument("--quiet", action="store_true")
    given = parser.parse_args(arguments)
    stack = Stack(say=_say)
    try:
        return _run(stack, given)
    except StackError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1


def _say(text: str) -> None:
    print(text, flush=True)


def _run(stack: Stack, given: argparse.Namespace) -> int:
    if given.command == "tools":
        find_or_make(_say)
        find_helm(_say)
        if given.karpenter:
            find_karpenter(_say)
        if given.kserve:
            find_kserve(_say)
    elif given.command == "up":
        stack.up(nodes=given.nodes, gpus_per_node=given.gpus_per_node)
        print(UP.format(kubeconfig=stack.kubeconfig, prometheus=stack.prometheus_url))
    elif given.command == "down":
        stack.down(purge=given.purge)
        if not given.quiet:
            print("the stack is down")
    elif given.json:
        print(stack.as_json())
    else:
        for part in stack.status():
            print(
                f"  {part.name:20} {'runs' if part.running else 'is down':8} pid {part.pid:<8} {part.log}"
            )
        if not stack.status():
            print("the stack is down: start it with `make stack`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
