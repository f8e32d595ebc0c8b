"""The processes that benchmarks compute in."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from autoscaler.parent import end_with


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
