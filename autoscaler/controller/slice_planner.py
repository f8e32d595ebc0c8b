"""The packing beside the loop: once a minute a worker process solves what the last tick asked, a later tick takes it.

A packing that fails says why; the plan from before holds until it is too old, and then no node is touched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from autoscaler.clock import Clock
from autoscaler.controller.forecast_worker import WorkerLost
from autoscaler.controller.forecasting import Worker
from autoscaler.core.packing.pack import MOVE_PRICE, pack
from autoscaler.core.packing.plan import PackingPlan
from autoscaler.core.packing.problem import PackingProblem
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.cells import crowding
from autoscaler.core.slices.observed import SlicePlan
from autoscaler.core.slices.question import Question, answer, question
from autoscaler.core.slices.spread import EVERYTHING, Honour
from autoscaler.core.types import TickRecord
from autoscaler.errors import PackingError
from autoscaler.solver.highs import HighsSolver

log = logging.getLogger(__name__)

PERIOD_S = 60.0
GROWTH_RATIOS = (1.0, 0.5, 0.25, 0.0)
"""Of what is asked for beyond what runs."""
ONE_HALF, ONE_QUARTER = Honour(surviving_ratio=0.5), Honour(surviving_ratio=0.25)
SPREAD, NOTHING = Honour(surviving_ratio=0.0), Honour(spread=False)
ATTEMPTS = (
    (EVERYTHING, True, 1.0),
    (EVERYTHING, False, 1.0),
    (ONE_HALF, False, 1.0),
    (ONE_QUARTER, False, 1.0),
    (SPREAD, True, 1.0),
    *((SPREAD, False, ratio) for ratio in GROWTH_RATIOS),
    (NOTHING, True, 1.0),
    *((NOTHING, False, ratio) for ratio in GROWTH_RATIOS),
)
"""How much of spread and survival is honoured, whether room is kept for what was wanted a short while ago, and how much
growth is to find some: tried in this order until it fits. What is wanted now goes before what was."""
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
        tried: list[PackingProblem] = []
        for honour, keeps, growth_ratio in ATTEMPTS:
            if keeps and not record.result.slices.kept:
                continue
            asked = question(
                record, self._config, keeps=keeps, growth_ratio=growth_ratio, honour=honour
            )
            if asked is None:
                return
            if asked.problem in tried:
                continue
            tried.append(asked.problem)
            try:
                self._ready = await self._worker.call(solve, asked, self._clock.now_s())
            except WorkerLost as error:
                log.warning("packing failed", extra={"error": str(error)})
                return
            if self._ready.infeasible is None:
                return
            told = {
                "spread": honour.spread,
                "surviving_ratio": honour.surviving_ratio,
                "keeps": keeps,
                "growth_ratio": growth_ratio,
                "error": self._ready.infeasible,
            }
            # That there is no room to keep is no trouble yet.
            log.log(logging.INFO if keeps else logging.WARNING, "no packing", extra=told)


def solve(asked: Question, now_s: float) -> SlicePlan:
    """In the worker. What can't be packed is a plan that says so."""
    try:
        found: PackingPlan = pack(
            asked.problem, HighsSolver(), move_price=MOVE_PRICE * asked.gpu_price
        )
    except PackingError as error:
        hint = crowding(asked.problem)
        told = str(error) if hint is None else f"{error}; {hint}"
        return SlicePlan(made_at_s=now_s, infeasible=told)
    return answer(asked, found, now_s=now_s)
