"""The workloads' days side by side, a process for each core, with one line of progress for each."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from multiprocessing.sharedctypes import SynchronizedArray
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from autoscaler.simulation.demo.runs import Day, run_day
from autoscaler.simulation.demo.workloads import Workload

REFRESH_S = 0.2
_shares: SynchronizedArray[Any] | None = None


def run_days(
    workloads: Sequence[Workload], *, seed: int, jobs: int, console: Console
) -> tuple[Day, ...]:
    """In the order of `workloads`. With one job everything runs in this process."""
    columns = (TextColumn("{task.description:40}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = [progress.add_task(item.name, total=1.0) for item in workloads]
        if jobs == 1:
            return tuple(
                run_day(
                    item,
                    seed,
                    lambda what, share, task=task, name=item.name: progress.update(  # type: ignore[misc]
                        task, description=f"{name}: {what}", completed=share
                    ),
                )
                for item, task in zip(workloads, tasks, strict=True)
            )
        return _in_processes(workloads, seed, jobs, progress, tasks)


def _in_processes(
    workloads: Sequence[Workload], seed: int, jobs: int, progress: Progress, tasks: list[TaskID]
) -> tuple[Day, ...]:
    # Not forked: compiled code and its threads do not outlive a fork.
    context = multiprocessing.get_context("spawn")
    shares: SynchronizedArray[Any] = context.Array("d", len(workloads))
    with ProcessPoolExecutor(
        max_workers=min(jobs, len(workloads)),
        mp_context=context,
        initializer=_begin,
        initargs=(shares,),
    ) as pool:
        futures = [pool.submit(_one, item, seed, place) for place, item in enumerate(workloads)]
        waiting: set[Future[Day]] = set(futures)
        while waiting:
            _, waiting = wait(waiting, timeout=REFRESH_S)
            for task, share in zip(tasks, shares[:], strict=True):
                progress.update(task, completed=share)
        return tuple(future.result() for future in futures)


def _begin(shares: SynchronizedArray[Any]) -> None:
    global _shares
    _shares = shares


def _one(workload: Workload, seed: int, place: int) -> Day:
    def told(_what: str, share: float) -> None:
        if _shares is not None:
            _shares[place] = share

    return run_day(workload, seed, told)
