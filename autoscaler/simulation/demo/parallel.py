"""The workloads' days side by side, a process for each core, with one line of progress for each.

forescale's run takes as long as those of all the peers together, so each is a piece of work of its own; they begin
first, that no core is left with one at the end.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from multiprocessing.sharedctypes import SynchronizedArray
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from autoscaler.parent import end_with
from autoscaler.simulation.demo.runs import Day, Others, day_of, run_others, run_ours
from autoscaler.simulation.demo.workloads import Workload
from autoscaler.simulation.recorded import Run

REFRESH_S = 0.2
_shares: SynchronizedArray[Any] | None = None


def run_days(
    workloads: Sequence[Workload], *, seed: int, jobs: int, console: Console
) -> tuple[Day, ...]:
    """In the order of `workloads`. With one job everything runs in this process."""
    columns = (TextColumn("{task.description:40}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = [progress.add_task(item.name, total=1.0) for item in workloads]

        def told(place: int, ours: float, others: float, doing: str = "") -> None:
            progress.update(
                tasks[place],
                description=f"{workloads[place].name}{doing}",
                completed=0.5 * (ours + others),
            )

        if jobs == 1:
            return tuple(_in_turn(item, seed, place, told) for place, item in enumerate(workloads))
        return _in_processes(workloads, seed, jobs, told)


def _in_turn(
    workload: Workload, seed: int, place: int, told: Callable[[int, float, float, str], None]
) -> Day:
    ours = run_ours(workload, seed, lambda what, share: told(place, share, 0.0, f": {what}"))
    others = run_others(workload, seed, lambda what, share: told(place, 1.0, share, f": {what}"))
    return day_of(workload, seed, ours, others)


def _in_processes(
    workloads: Sequence[Workload],
    seed: int,
    jobs: int,
    told: Callable[[int, float, float], None],
) -> tuple[Day, ...]:
    # Not forked: compiled code and its threads do not outlive a fork.
    context = multiprocessing.get_context("spawn")
    count = len(workloads)
    shares: SynchronizedArray[Any] = context.Array("d", 2 * count)
    with ProcessPoolExecutor(
        max_workers=min(jobs, 2 * count),
        mp_context=context,
        initializer=_begin,
        initargs=(shares, os.getpid()),
    ) as pool:
        ours = [pool.submit(_ours, item, seed, place) for place, item in enumerate(workloads)]
        others = [
            pool.submit(_others, item, seed, count + place) for place, item in enumerate(workloads)
        ]
        waiting: set[Future[Any]] = {*ours, *others}
        while waiting:
            _, waiting = wait(waiting, timeout=REFRESH_S)
            for place in range(count):
                told(place, shares[place], shares[count + place])
        return tuple(
            day_of(item, seed, mine.result(), theirs.result())
            for item, mine, theirs in zip(workloads, ours, others, strict=True)
        )


def _begin(shares: SynchronizedArray[Any], parent: int) -> None:
    global _shares
    _shares = shares
    end_with(parent)


def _ours(workload: Workload, seed: int, place: int) -> Run:
    return run_ours(workload, seed, lambda _what, share: _tell(place, share))


def _others(workload: Workload, seed: int, place: int) -> Others:
    return run_others(workload, seed, lambda _what, share: _tell(place, share))


def _tell(place: int, share: float) -> None:
    if _shares is not None:
        _shares[place] = share
