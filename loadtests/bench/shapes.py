"""`make bench-shapes`: forescale and a plain autoscaler under demand that nobody recorded, request by request.

The recorded series of `make bench-policies` are mostly traffic of people, by the day. What comes and goes by the
minute, by the clock, or all at once is here: for each shape the last of three days, with the two before it as the past,
all settings at their defaults. What is done already is not done again.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from autoscaler.simulation.peers.catalog import FORESCALE
from loadtests.bench.policies import cells, series
from loadtests.bench.policies.protocol import Cell
from loadtests.bench.policies.workers import compute
from loadtests.bench.report import FOLDER, Figure, report

STARTUPS_S = (60.0, 240.0)
PEER = "keda"
WORKERS = 2
SEED = 1


def main(argv: Sequence[str] | None = None) -> None:
    """Computes what is missing and reports."""
    parser = argparse.ArgumentParser(prog="bench-shapes", description=__doc__)
    known = [shape.name for shape in series.odd_series()]
    parser.add_argument("--shapes", default=",".join(known), help="by name, with commas")
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes (%(default)s)")
    given = parser.parse_args(argv)
    names = series.chosen(parser, "--shapes", given.shapes, series.odd_series())
    folder = FOLDER / "shapes"
    console = Console(stderr=True)
    phases = {
        "bounds": [_cell("bound", name) for name in names],
        "forecasts": [cells.record_cell(_cell("record", name)) for name in names],
        "runs": [
            _cell("run", name, startup_s=startup_s, policy=policy)
            for name in names
            for startup_s in STARTUPS_S
            for policy in (FORESCALE, PEER)
        ],
    }
    for text, planned in phases.items():
        compute(text, planned, folder / "cells", workers=given.workers, console=console)
    found = [
        _outcome(name, startup_s, folder / "cells") for startup_s in STARTUPS_S for name in names
    ]
    Console().print(_table(found))
    report("shapes", _figures(found))


def _cell(kind: str, name: str, **given: Any) -> Cell:
    return Cell(kind=kind, series=name, days=1.0, seed=SEED, **given)


def _outcome(name: str, startup_s: float, folder: Any) -> dict[str, Any]:
    """What both came to on one shape, in GPU-hours over the clairvoyant's where there is one."""
    bound = cells.read(_cell("bound", name), folder)["clairvoyant"]
    runs = {
        policy: cells.read(_cell("run", name, startup_s=startup_s, policy=policy), folder)
        for policy in (FORESCALE, PEER)
    }
    least = None if bound is None else bound["gpu_hours"]
    return {"shape": name, "startup_s": startup_s, "least": least, **runs}


def _table(found: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="GPU-hours over the clairvoyant's, requests in time, replica changes")
    for column in ("start-up", "shape", "forescale", "", "", PEER, "", ""):
        table.add_column(column, justify="left" if column == "shape" else "right")
    for one in found:
        told = []
        for policy in (FORESCALE, PEER):
            run = one[policy]
            over = "-" if one["least"] is None else f"{run['gpu_hours'] / one['least']:.2f}"
            told += [over, f"{run['attainment_ratio']:.2%}", str(run["changes"])]
        table.add_row(f"{one['startup_s']:g} s", one["shape"], *told)
    return table


def _figures(found: Sequence[dict[str, Any]]) -> list[Figure]:
    figures = []
    for startup_s in STARTUPS_S:
        ours = [one for one in found if one["startup_s"] == startup_s]
        over = [
            math.log(one[FORESCALE]["gpu_hours"] / one["least"]) for one in ours if one["least"]
        ]
        lowest = min(ours, key=lambda one: float(one[FORESCALE]["attainment_ratio"]))
        beaten = [one["shape"] for one in ours if _beaten(one)]
        at = f"start-up {startup_s:g} s"
        if over:
            figures.append(
                Figure(
                    name=f"forescale / clairvoyant, geometric mean, {at}",
                    value=math.exp(math.fsum(over) / len(over)),
                    unit="x",
                    note=f"{len(over)} shapes",
                )
            )
        figures += [
            Figure(
                name=f"shapes with 99% in time, {at}",
                value=sum(one[FORESCALE]["attainment_ratio"] >= 0.99 for one in ours),
                unit=f"of {len(ours)}",
                target=len(ours),
                better="higher",
                note=f"lowest {lowest[FORESCALE]['attainment_ratio']:.2%}, {lowest['shape']}",
            ),
            Figure(
                name=f"shapes on which {PEER} costs less with no fewer in time, or 99%, {at}",
                value=len(beaten),
                unit="shapes",
                target=0,
                note=", ".join(beaten),
            ),
        ]
    return figures


def _beaten(one: dict[str, Any]) -> bool:
    ours, peers = one[FORESCALE], one[PEER]
    # Of two that attain what is aimed at, the one with more in time has nothing on the other.
    enough = min(ours["attainment_ratio"], 0.99)
    return bool(peers["attainment_ratio"] >= enough and peers["gpu_hours"] < ours["gpu_hours"])


if __name__ == "__main__":
    main()
