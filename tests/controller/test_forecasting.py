"""Forecasts beside the loop: what the worker is told, what a tick gets, and what becomes of trouble."""

from __future__ import annotations

import asyncio
import os
from array import array
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import numpy as np
import pytest

from autoscaler.config.settings import ForecastSettings
from autoscaler.controller.forecast_worker import ProcessWorker, WorkerLost, advance, prepare
from autoscaler.controller.forecasting import ForecastService
from autoscaler.controller.metrics import Metrics
from autoscaler.core.types import DemandForecast, WorkloadId
from autoscaler.forecasts import Minutes
from tests.fakes.clock import FakeClock, SteppedClock

T = TypeVar("T")
START_S = 1_700_000_000.0 - 1_700_000_000.0 % 60.0
BERT = WorkloadId(namespace="team", name="bert")
NAN = float("nan")


class FakeEngine:
    def __init__(self, values: list[float]) -> None:
        self.values = values
        self.first_s = START_S
        self.workloads: tuple[WorkloadId, ...] = (BERT,)

    def history(self, workload: WorkloadId) -> tuple[float, array[float]]:
        return self.first_s, array("f", self.values)


class FakeWorker:
    """Answers with a forecast for each advance; fits take `fit_s` of the clock's time."""

    def __init__(self, clock: FakeClock, fit_s: float = 0.0, fits: int = 0) -> None:
        self.clock, self.fit_s, self.fits = clock, fit_s, fits
        self.told: list[dict[WorkloadId, Minutes]] = []
        self.lost = False
        self.hangs = False
        self.closed = False
        self.errors: list[BaseException | None] = []
        """What becomes of the next calls for forecasts."""

    async def call(self, work: Callable[..., T], *given: object) -> T:
        if self.lost:
            self.lost = False
            raise WorkerLost("the forecast worker ended; it is started anew")
        if self.hangs:
            await asyncio.Event().wait()
        if work is advance:
            self.told.append(given[0])  # type: ignore[arg-type]
            error = self.errors.pop(0) if self.errors else None
            if error is not None:
                raise error
            return ((forecast(),), [])  # type: ignore[return-value]
        self.fits -= 1
        self.clock.wall_s += self.fit_s
        return (self.fits >= 0, ["team/bert: ValueError: no rows"] if self.fits == 0 else [])  # type: ignore[return-value]

    def close(self) -> None:
        self.closed = True


def forecast() -> DemandForecast:
    return DemandForecast(
        workload=BERT,
        cutoff_s=START_S,
        expires_s=START_S + 300.0,
        horizons_s=(60.0,),
        quantiles=(0.5,),
        values_rps=((5.0,),),
        model="own",
    )


def service(
    values: list[float], clock: FakeClock | None = None
) -> tuple[ForecastService, FakeEngine, FakeWorker, Metrics]:
    clock = clock or SteppedClock(START_S + 180.0)
    engine, worker, metrics = FakeEngine(values), FakeWorker(clock), Metrics()
    return ForecastService(worker, engine, clock, metrics), engine, worker, metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


async def test_a_tick_gets_each_forecast_once() -> None:
    forecasts, _, _, metrics = service([1.0, 2.0, 3.0])
    assert forecasts.take() == ()
    await forecasts.minute()
    assert [item.workload for item in forecasts.take()] == [BERT]
    assert forecasts.take() == ()
    assert value(metrics, "forescale_forecast_workloads", model="own") == 1.0


async def test_the_worker_is_told_each_complete_minute_once() -> None:
    forecasts, engine, worker, _ = service([NAN, 2.0, 3.0, 4.0])
    await forecasts.minute()  # at minute 3: the fourth is not complete
    worker.clock.wall_s += 60.0
    engine.values.append(5.0)
    await forecasts.minute()
    told = [worker.told[i][BERT] for i in range(2)]
    assert [(t.first_s - START_S, t.values.tolist()) for t in told] == [
        (60.0, [2.0, 3.0]),
        (180.0, [4.0]),
    ]
    await forecasts.minute()
    assert worker.told[2] == {}


async def test_what_a_backfill_brings_to_light_is_told_from_the_start() -> None:
    forecasts, engine, worker, _ = service([NAN, NAN, 3.0])
    await forecasts.minute()
    engine.values = [1.0, 2.0, 3.0]
    await forecasts.minute()
    assert worker.told[1][BERT].values.tolist() == [1.0, 2.0, 3.0]


async def test_a_worker_that_ended_is_told_everything_again() -> None:
    forecasts, _, worker, metrics = service([1.0, 2.0, 3.0])
    await forecasts.minute()
    worker.lost = True
    await forecasts.minute()
    assert value(metrics, "forescale_forecast_failures_total") == 1.0
    await forecasts.minute()
    assert worker.told[-1][BERT].values.tolist() == [1.0, 2.0, 3.0]


async def test_a_worker_that_an_error_has_ended_is_told_everything_again() -> None:
    """The process runs each job that failed again."""
    forecasts, _, worker, _ = service([1.0, 2.0, 3.0], FakeClock(START_S + 180.0))
    for error in (MemoryError("in the worker"), asyncio.CancelledError()):
        worker.told, worker.errors = [], [None, error]
        with pytest.raises(type(error)):
            await forecasts.run()
        assert worker.told[0][BERT].values.tolist() == [1.0, 2.0, 3.0]


async def test_a_worker_that_hangs_is_ended_and_a_new_one_told_everything() -> None:
    clock = SteppedClock(START_S + 180.0)
    forecasts, _, worker, metrics = service([1.0, 2.0, 3.0], clock)
    await forecasts.minute()
    worker.hangs = True
    minute = asyncio.create_task(forecasts.minute())
    await clock.advance(899.0)
    assert (minute.done(), worker.closed) == (False, False)
    await clock.advance(1.0)
    assert (minute.done(), worker.closed) == (True, True)
    assert value(metrics, "forescale_forecast_failures_total") == 1.0
    worker.hangs = False
    await forecasts.minute()
    assert worker.told[-1][BERT].values.tolist() == [1.0, 2.0, 3.0]


async def test_after_a_clock_that_was_ahead_a_new_worker_is_told_everything() -> None:
    forecasts, engine, worker, _ = service([1.0, 2.0, 3.0])
    worker.clock.wall_s += 86400.0
    engine.first_s += 86400.0
    await forecasts.minute()
    worker.clock.wall_s -= 86400.0
    engine.first_s -= 86400.0
    await forecasts.minute()
    assert worker.closed
    told = worker.told[-1][BERT]
    assert (told.first_s, told.values.tolist()) == (START_S, [1.0, 2.0, 3.0])


async def test_fits_go_on_until_none_is_due_and_failures_are_counted() -> None:
    forecasts, _, worker, metrics = service([1.0])
    worker.fits = 3
    await forecasts.minute()
    assert worker.fits == -1
    assert value(metrics, "forescale_forecast_failures_total") == 1.0
    assert value(metrics, "forescale_forecast_late_total") == 0.0


async def test_a_fit_that_outlasts_its_minute_makes_the_next_forecasts_late() -> None:
    forecasts, _, worker, metrics = service([1.0])
    worker.fits, worker.fit_s = 9, 130.0
    await forecasts.minute()
    assert worker.fits == 8  # the next minute's forecasts come before the next fit
    assert value(metrics, "forescale_forecast_late_total") == 1.0


async def test_nothing_is_asked_while_there_is_no_workload() -> None:
    forecasts, engine, worker, _ = service([1.0])
    engine.workloads = ()
    await forecasts.minute()
    assert worker.told == []


async def test_a_model_that_was_just_learned_speaks_at_once() -> None:
    forecasts, _, worker, _ = service([1.0, 2.0, 3.0])
    worker.fits = 2
    await forecasts.minute()
    # Once before the fits, once after them; then there is nothing to fit.
    assert len(worker.told) == 2
    await forecasts.minute()
    assert len(worker.told) == 3


async def test_the_real_process_forecasts_and_is_gone_when_closed() -> None:
    worker = ProcessWorker(prepare, ForecastSettings(own_models=0))
    pid = await worker.call(os.getpid)
    assert pid != os.getpid()
    news = {BERT: Minutes(first_s=START_S, values=np.full(10, 5.0, dtype=np.float32))}
    told, failures = await worker.call(advance, news, frozenset({BERT}), START_S + 600.0)
    assert (told, failures) == ((), [])  # ten minutes are too few
    worker.close()
    with suppress(ChildProcessError):  # somebody else may have seen it off already
        await asyncio.to_thread(os.waitpid, pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_worker_that_dies_is_reported_and_replaced() -> None:
    worker = ProcessWorker(prepare, ForecastSettings())
    with pytest.raises(WorkerLost, match="started anew"):
        await worker.call(os._exit, 3)
    assert await worker.call(os.getpid) != os.getpid()
    worker.close()


def test_work_before_prepare_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoscaler.controller.forecast_worker._fleet", None)
    with pytest.raises(RuntimeError, match="prepare"):
        advance({}, frozenset(), 0.0)
    prepare(ForecastSettings())
    assert advance({}, frozenset(), 0.0) == ((), [])
