"""The process that learns and forecasts: started clean, polite to its neighbours, and gone when its parent is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from autoscaler.config.settings import ForecastSettings
from autoscaler.core.types import DemandForecast, WorkloadId
from autoscaler.errors import AutoscalerError
from autoscaler.forecasts import FleetForecaster, Minutes
from autoscaler.parent import end_with

T = TypeVar("T")
NICE = 10


class WorkerLost(AutoscalerError):
    """The worker process ended in the middle of its work."""


class ProcessWorker:
    """One process, begun when it is first needed."""

    def __init__(self, begin: Callable[..., None], *given: object) -> None:
        """`begin` runs once in it, with `given` and the pid of its parent."""
        self._begin, self._given = begin, given
        self._pool: ProcessPoolExecutor | None = None
        self._pid: int | None = None

    async def call(self, work: Callable[..., T], *given: object) -> T:
        """What `work` returns. Raises WorkerLost."""
        loop = asyncio.get_running_loop()
        try:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    max_workers=1,
                    mp_context=get_context("spawn"),
                    initializer=self._begin,
                    initargs=(*self._given, os.getpid()),
                )
                self._pid = await loop.run_in_executor(self._pool, os.getpid)
            return await loop.run_in_executor(self._pool, work, *given)
        except BrokenProcessPool:
            self._pool = self._pid = None
            raise WorkerLost("the worker process ended; it is started anew") from None

    def close(self) -> None:
        """Does not wait for a fit."""
        pool, pid = self._pool, self._pid
        self._pool = self._pid = None
        if pid is not None:
            # At a prompt the signal that ends the controller ends its worker too.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


# ------------------------------------------------------------ in the worker process

_fleet: FleetForecaster | None = None


def prepare(settings: ForecastSettings, parent: int | None = None) -> None:
    """Once in each worker. `parent` None: the caller's own process."""
    global _fleet
    if parent is not None:
        follow(parent)
    _fleet = FleetForecaster(settings)


def follow(parent: int) -> None:
    """Polite to its neighbours, and gone when its parent is."""
    os.nice(NICE)
    end_with(parent)


def advance(
    news: dict[WorkloadId, Minutes], present: frozenset[WorkloadId], now_s: float
) -> tuple[tuple[DemandForecast, ...], list[str]]:
    """Forecasts, and what failed."""
    fleet = _prepared()
    return fleet.advance(news, present, now_s), _failures(fleet)


def fit_next(now_s: float) -> tuple[bool, list[str]]:
    """Whether a fit was due, and what failed."""
    fleet = _prepared()
    return fleet.fit_next(now_s), _failures(fleet)


def _failures(fleet: FleetForecaster) -> list[str]:
    failures, fleet.failures = fleet.failures, []
    return failures


def _prepared() -> FleetForecaster:
    if _fleet is None:
        raise RuntimeError("forecast worker: prepare() was not called")
    return _fleet
