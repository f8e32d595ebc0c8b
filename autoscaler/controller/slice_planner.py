"""The packing beside the loop: once a minute a worker process solves what the last tick asked, a later tick takes it.

A packing that fails says why; the plan from before holds until it is too old, and then no node is touched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from autoscaler.clock import Clock
from autoscaler.controller.deadline import within
from autoscaler.controller.forecast_worker import WorkerLost
from autoscaler.controller.forecasting import Worker
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.attempts import questions
from autoscaler.core.slices.observed import SlicePlan
from autoscaler.core.types import TickRecord
from autoscaler.solver.slices import solve

log = logging.getLogger(__name__)

PERIOD_S = 60.0
SOLVED_WITHIN_S = 180.0
"""Of one question, which takes seconds. The worker is ended then, and begun anew with the next."""
FIRST_S = 15.0
"""Until the first question: a tick or two have been by then."""


class SlicePlanner:
    """Runs for as long as the process lives."""

    def __init__(
        self,
        worker: Worker,
        last: Callable[[], TickRecord | None],
        clock: Clock,
        config: EngineConfig,
    ) -> None:
        """`last` gives the newest tick."""
        self._worker, self._last = worker, last
        self._clock, self._config = clock, config
        self._ready: SlicePlan | None = None

    def take(self) -> SlicePlan | None:
        """The plan that is new since the last call. No I/O, no waiting."""
        ready, self._ready = self._ready, None
        return ready

    async def run(self) -> None:
        """Minute after minute; ends when it is cancelled, and the worker with it."""
        try:
            await self._clock.sleep(FIRST_S)
            while True:
                await self.minute()
                await self._clock.sleep(PERIOD_S)
        finally:
            self._worker.close()

    async def minute(self) -> None:
        """One question, where the last tick poses one."""
        record = self._last()
        if record is None:
            return
        for attempt, asked in questions(record, self._config):
            work = self._worker.call(solve, asked, self._clock.now_s())
            try:
                self._ready = await within(self._clock, SOLVED_WITHIN_S, work)
            except WorkerLost as error:
                log.warning("packing failed", extra={"error": str(error)})
                return
            except TimeoutError:
                # The solver is bounded by nodes and gap; what is stuck nevertheless would be waited for for ever.
                log.warning("packing failed: no answer", extra={"after_s": SOLVED_WITHIN_S})
                self._worker.close()
                return
            if self._ready.infeasible is None:
                return
            told = {
                "spread": attempt.honour.spread,
                "surviving_ratio": attempt.honour.surviving_ratio,
                "keeps": attempt.keeps,
                "growth_ratio": attempt.growth_ratio,
                "error": self._ready.infeasible,
            }
            # That there is no room to keep is no trouble yet.
            log.log(logging.INFO if attempt.keeps else logging.WARNING, "no packing", extra=told)
