"""Leads every method through every series, in two worker processes, and keeps what they answered."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import as_completed

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from loadtests.bench.forecast import cache, subject
from loadtests.bench.forecast.peers import PEERS, Peer
from loadtests.bench.forecast.protocol import Issued, issue
from loadtests.bench.forecast.series import Series
from loadtests.bench.workers import worker_pool

WORKERS = 2

Issues = dict[tuple[str, str], Issued]
"""By method and name of the series."""


def issue_all(series: Sequence[Series], methods: Sequence[str], *, fresh: bool) -> Issues:
    """What is cached is read, unless `fresh`; the rest is computed. Peers answer the judged series only."""
    wanted = [
        (method, one)
        for method in _longest_first(methods)
        for one in sorted(series, key=lambda one: -one.values.size)
        if one.judged or method == subject.NAME
    ]
    issues: Issues = {}
    missing = []
    for method, one in wanted:
        found = None if fresh else cache.read(cache.path_of(one, method))
        if found is None:
            missing.append((method, one))
        else:
            issues[method, one.name] = found
    return issues | _compute(missing) if missing else issues


def _longest_first(methods: Sequence[str]) -> list[str]:
    order = [*PEERS, subject.NAME]
    return sorted(methods, key=order.index)


def _compute(missing: Sequence[tuple[str, Series]]) -> Issues:
    # Libraries that start threads of their own would make two workers contend for the two cores.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"
    issues: Issues = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with (
        Progress(*columns) as progress,
        worker_pool(WORKERS) as pool,
    ):
        task = progress.add_task("forecasting", total=len(missing))
        running = {pool.submit(_answers, one, method): (method, one) for method, one in missing}
        for future in as_completed(running):
            method, one = running[future]
            issues[method, one.name] = future.result()
            progress.update(task, advance=1, description=f"{method}, {one.name}")
    return issues


def _answers(series: Series, method: str) -> Issued:
    """In a worker, which also keeps them: a run that is broken off goes on where it was."""
    make = subject.subject if method == subject.NAME else lambda: Peer(method)
    issued = issue(make, series.values)
    cache.write(cache.path_of(series, method), issued)
    return issued
