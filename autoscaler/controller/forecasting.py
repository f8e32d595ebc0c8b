"""Forecasts beside the loop: a worker process learns and forecasts, a tick takes what is there and waits for nothing.

Every minute the worker is told the minutes that are new and answers with forecasts; between minutes it fits one model
at a time, and speaks again as soon as it has fitted what was due. A fit that outlasts its minute makes that minute's
forecasts late, a worker that dies is started anew and told everything again: meanwhile the forecasts from before hold
until they expire, and then the engine's own rule does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

from autoscaler.clock import Clock
from autoscaler.controller.deadline import within
from autoscaler.controller.forecast_worker import WorkerLost, advance, fit_next
from autoscaler.controller.metrics import Metrics
from autoscaler.core.types import DemandForecast
from autoscaler.forecasts import AFTER_MINUTE_S, MINUTE_S, HistorySource, Told

log = logging.getLogger(__name__)

T = TypeVar("T")

ANSWERED_WITHIN_S = 900.0
"""The longest fits take minutes. What has not answered by then never will; the worker is ended, and begun anew."""


class Worker(Protocol):
    """Does one thing at a time, elsewhere."""

    async def call(self, work: Callable[..., T], *given: object) -> T:
        """What `work` returns. Raises WorkerLost; the next call then begins with a new worker."""
        ...

    def close(self) -> None:
        """Ends it at once, whatever it does."""
        ...


class ForecastService:
    """Runs for as long as the process lives."""

    def __init__(
        self, worker: Worker, engine: HistorySource, clock: Clock, metrics: Metrics
    ) -> None:
        self._worker, self._engine = worker, engine
        self._clock, self._metrics = clock, metrics
        self._told = Told()
        self._ready: tuple[DemandForecast, ...] = ()
        self._begun_s = float("-inf")
        """When the last minute was begun, by the wall clock."""

    def take(self) -> tuple[DemandForecast, ...]:
        """Forecasts that are new since the last call. No I/O, no waiting."""
        ready, self._ready = self._ready, ()
        return ready

    async def run(self) -> None:
        """Minute after minute; ends when it is cancelled, and the worker with it."""
        # What an error has ended is run again, with a new worker, which knows nothing of the past.
        self._told.forget()
        try:
            while True:
                now_s = self._clock.now_s()
                due_s = (now_s // MINUTE_S + 1.0) * MINUTE_S + AFTER_MINUTE_S
                await self._clock.sleep(due_s - now_s)
                await self.minute()
        finally:
            self._worker.close()

    async def minute(self) -> None:
        """Tells the worker what is new, takes its forecasts, and lets it fit until the next minute."""
        if not self._engine.workloads:
            return
        begun_s = self._clock.now_s()
        if begun_s < self._begun_s:
            # A clock that was ahead: the worker knows minutes that have not come.
            self._worker.close()
            self._told.forget()
        self._begun_s = begun_s
        try:
            await self._advance(begun_s)
            if await self._fit(begun_s):
                # A model that was learned just now need not wait for the next minute.
                await self._advance(self._clock.now_s())
        except WorkerLost as error:
            # A new one knows nothing of the past.
            self._told.forget()
            self._count([str(error)])
        late = int(self._clock.now_s() // MINUTE_S - begun_s // MINUTE_S) - 1
        if late > 0:
            self._metrics.forecast_late.inc(late)
            log.warning("forecasts late", extra={"minutes": late})

    async def _advance(self, now_s: float) -> None:
        news = self._told.news(self._engine, now_s)
        present = frozenset(self._engine.workloads)
        self._ready, failures = await self._call(advance, news, present, now_s)
        self._told.take(news, present)
        self._count(failures)
        for model in ("own", "fleet"):
            count = sum(item.model == model for item in self._ready)
            self._metrics.forecast_workloads.labels(model).set(count)

    async def _fit(self, begun_s: float) -> bool:
        """Whether anything was fitted."""
        any_fitted = False
        while self._clock.now_s() // MINUTE_S == begun_s // MINUTE_S:
            fitted, failures = await self._call(fit_next, self._clock.now_s())
            self._count(failures)
            if not fitted:
                break
            any_fitted = True
        return any_fitted

    async def _call(self, work: Callable[..., T], *given: object) -> T:
        """What `work` returns. Raises WorkerLost."""
        try:
            call = self._worker.call(work, *given)
            return await within(self._clock, ANSWERED_WITHIN_S, call)
        except TimeoutError:
            self._worker.close()
            raise WorkerLost(
                f"the worker process did not answer for {ANSWERED_WITHIN_S:.0f} s; it is started anew"
            ) from None

    def _count(self, failures: list[str]) -> None:
        for failure in failures:
            self._metrics.forecast_failures.inc()
            log.warning("forecast failed", extra={"error": failure})
