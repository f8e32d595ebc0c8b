"""Computes cells in worker processes, with a progress bar.

Apart from `__main__`, because a spawned process must be able to import what it is handed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import as_completed
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from loadtests.bench.policies import cells
from loadtests.bench.policies.protocol import Cell
from loadtests.bench.workers import worker_pool


def compute(
    text: str, planned: Iterable[Cell], folder: Path, *, workers: int, console: Console
) -> None:
    """Computes those that are not kept yet, in order, so that neighbours share their arrivals."""
    everything = list(dict.fromkeys(planned))
    missing = [cell for cell in everything if not cell.path(folder).exists()]
    columns = (
        TextColumn("{task.description:30}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        done = len(everything) - len(missing)
        task = progress.add_task(text, total=len(everything), completed=done)
        if not missing:
            return
        pool = worker_pool(workers, _begin)
        with pool:
            waiting = [pool.submit(_compute, group, folder) for group in _grouped(missing)]
            try:
                for future in as_completed(waiting):
                    progress.advance(task, future.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _grouped(missing: Sequence[Cell]) -> list[list[Cell]]:
    """Fluid cells of one series, part, seed and start-up take seconds and share most of it; the others stand alone."""
    groups: dict[tuple[object, ...], list[Cell]] = {}
    for cell in missing:
        fluid = cell.kind in ("curve", "point")
        shared = (cell.kind, cell.series, cell.part, cell.seed, cell.startup_s)
        groups.setdefault(shared if fluid else (cell,), []).append(cell)
    return list(groups.values())


def _begin() -> None:
    os.nice(10)
    cells.warm_up()


def _compute(group: Sequence[Cell], folder: Path) -> int:
    for cell in group:
        cells.compute(cell, folder)
    return len(group)
