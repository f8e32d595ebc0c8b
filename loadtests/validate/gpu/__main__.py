"""`make validate-gpu`: a real network on this machine's GPU behind real Triton, beside what forescale takes it for.

A transformer encoder of BERT-large's size with random weights is served by a tritonserver of the nvidia-pytriton wheel.
For each setting its batches are timed on an idle server, its capacity is measured, and Poisson arrivals at 30, 60, 80
and 90 % of it are sent. Of each level it is told how far the simulator is off under the same arrivals, what capacity
forescale's own learning makes of the metrics that Triton showed meanwhile, and how busy the GPU called itself.

What was measured is kept in build/validate/gpu/recording.jsonl; `--from FILE` judges a recording anew, without a GPU.
Exit code 2, and what is missing, where there is no GPU or no PyTorch.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from autoscaler.errors import AutoscalerError
from loadtests.stack.errors import StackError, ToolMissing
from loadtests.stack.toolbox import find_triton
from loadtests.validate.gpu.needs import look, missing
from loadtests.validate.gpu.record import SETTINGS, Extent, record
from loadtests.validate.gpu.repository import NETWORKS

RECORDING = Path("build/validate/gpu/recording.jsonl")
OK, FAILED, MISSING = 0, 1, 2
QUICK_REQUESTS = 2_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, judges and writes the report; the exit code."""
    given = _parser().parse_args(arguments)
    path: Path = given.recording
    if given.judge is None:
        machine = look()
        lacks = missing(machine, given.device)
        if lacks:
            for line in lacks:
                print(f"validate-gpu: {line}", file=sys.stderr)
            return MISSING
        extent = Extent(
            settings=[s for s in SETTINGS if given.setting in (None, s.name)],
            requests=QUICK_REQUESTS if given.quick else given.requests,
            most_s=given.most_s,
            clients=given.clients,
        )
        network = NETWORKS[given.device]
        if given.tokens is not None:
            network = replace(network, tokens=given.tokens)
        path.unlink(missing_ok=True)
        try:
            triton = find_triton(print)
            asyncio.run(record(triton, machine, network, extent, path))
        except ToolMissing as error:
            print(f"validate-gpu: {error}", file=sys.stderr)
            return MISSING
        except (StackError, AutoscalerError) as error:
            print(f"validate-gpu: {error}", file=sys.stderr)
            return FAILED
        if given.only_record:
            return OK
    # The simulator's compiler is not wanted where only the GPU is.
    from loadtests.validate.gpu.judge import judge

    return judge(given.judge or path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.validate.gpu", description=__doc__)
    parser.add_argument("--device", choices=sorted(NETWORKS), default="cuda")
    parser.add_argument("--setting", choices=[s.name for s in SETTINGS], help="default: all")
    parser.add_argument(
        "--tokens", type=int, help="of a text; shorter ones leave more of the GPU to larger batches"
    )
    parser.add_argument("--requests", type=int, default=20_000, help="a level")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_REQUESTS:,} requests a level")
    parser.add_argument("--most-s", type=float, default=float("inf"), help="seconds of a level")
    parser.add_argument(
        "--clients",
        type=int,
        default=max(1, min(8, (os.cpu_count() or 1) // 2)),
        help="processes that send (default: half of the processors, at most 8)",
    )
    parser.add_argument("--recording", type=Path, default=RECORDING, help=f"default: {RECORDING}")
    parser.add_argument("--only-record", action="store_true", help="measure, and judge elsewhere")
    parser.add_argument(
        "--from", type=Path, dest="judge", metavar="FILE", help="judge this recording"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
