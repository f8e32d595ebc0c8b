"""`make validate-gpu-tokens`: a real decoder on this machine's GPU, beside what forescale takes such an engine for.

A decoder of eight billion random weights makes tokens with continuous batching, as vLLM does it: the scheduler is the
project's own stand-in, its steps are the GPU's. Steps of many kinds are timed by themselves; then, for each mix of
requests, an engine that is full, and Poisson arrivals at 30, 60, 80 and 90 % of what it did. Each is compared with the
simulator under the same arrivals, prompts and answers, and with what forescale's collector and engine make of the
metrics meanwhile.

What was measured is kept in build/validate/gpu/tokens.jsonl; `--from FILE` judges a recording anew, without a GPU.
Exit code 2, and what is missing, where there is no GPU or no PyTorch.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from loadtests.validate.gpu.needs import look, missing
from loadtests.validate.gpu.tokens.judge import judge
from loadtests.validate.gpu.tokens.recording import SHAPES

RECORDING = Path("build/validate/gpu/tokens.jsonl")
MISSING = 2
LEVEL_S, SHORTEST_S = 60.0, 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, judges and writes the report; the exit code."""
    given = _parser().parse_args(arguments)
    path: Path = given.recording
    if given.judge is not None:
        return judge(given.judge)
    machine = look()
    lacks = missing(machine, given.device)
    if lacks:
        for line in lacks:
            print(f"validate-gpu-tokens: {line}", file=sys.stderr)
        return MISSING
    # Only here: it imports PyTorch.
    from loadtests.validate.gpu.tokens.record import record

    path.unlink(missing_ok=True)
    record(machine, given.device, path, level_s=given.level_s)
    return judge(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="validate-gpu-tokens",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", choices=sorted(SHAPES), default="cuda")
    parser.add_argument(
        "--level-s", type=_seconds, default=LEVEL_S, help="of each level (%(default)g)"
    )
    parser.add_argument("--recording", type=Path, default=RECORDING, help=f"default: {RECORDING}")
    parser.add_argument(
        "--from", type=Path, dest="judge", metavar="FILE", help="judge this recording"
    )
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not SHORTEST_S <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}, at least {SHORTEST_S:g}")
    return value


if __name__ == "__main__":
    sys.exit(main())
