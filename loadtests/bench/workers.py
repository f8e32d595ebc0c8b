"""The processes that benchmarks compute in."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from autoscaler.parent import end_with

Work = TypeVar("Work")
Found = TypeVar("Found")


def computed(
    works: Sequence[Work],
    compute: Callable[[Work], Found],
    name: Callable[[Work], str],
    *,
    workers: int,
    width: int,
) -> dict[Work, Found]:
    """What `compute` makes of each, with a bar that tells the `name` of the last one in so many columns."""
    found: dict[Work, Found] = {}
    columns = (
        TextColumn(f"{{task.description:{width}}}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as progress, worker_pool(workers) as pool:
        task = progress.add_task("", total=len(works))
        running = {pool.submit(compute, work): work for work in works}
        for future in as_completed(running):
            work = running[future]
            found[work] = future.result()
            progress.update(task, advance=1, description=name(work))
    return found


def worker_pool(workers: int, begin: Callable[[], None] | None = None) -> ProcessPoolExecutor:
    """Spawned, not forked: numba's threads and a fork do not go together. Each runs `begin` first, ends with this
    process, and must be able to import it."""
    return ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_begin, initargs=(os.getpid(), begin)
    )


def _begin(parent: int, begin: Callable[[], None] | None) -> None:
    end_with(parent)
    if begin is not None:
        begin()
