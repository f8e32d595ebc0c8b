"""The control loop: observe, decide, write, record - every `tick_s`, on a grid, one tick at a time.

It decides nothing itself. A tick that takes too long costs the next one its turn, never a queue of ticks.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from autoscaler.clock import Clock
from autoscaler.controller.actuate import Dispatcher
from autoscaler.controller.archive import Archive
from autoscaler.controller.deadline import unless
from autoscaler.controller.faults import FaultLog
from autoscaler.controller.gather import Gatherer
from autoscaler.controller.leader import Leadership
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.notes import Announcer, Notebook
from autoscaler.controller.ports import Engine, Offload
from autoscaler.core.nodes.observed import SetHeadroom
from autoscaler.core.slices.observed import MigAction
from autoscaler.core.slices.template import SetShape
from autoscaler.core.types import HeadroomResult, MigResult, Outcome, ShapeResult, TickRecord
from autoscaler.errors import LeadershipLost

log = logging.getLogger(__name__)

# Of a tick; what is left is for writing down what was done.
ACTING_SHARE = 0.9

A = TypeVar("A")
R = TypeVar("R")
A_contra = TypeVar("A_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class Writer(Protocol[A_contra, R_co]):
    """Carries out one kind of a plan's writes."""

    async def carry_out(self, actions: tuple[A_contra, ...], *, until_s: float) -> tuple[R_co, ...]:
        """Nothing is sent after `until_s` of the monotonic clock."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the loop drives."""

    engine: Engine
    gatherer: Gatherer
    dispatcher: Dispatcher
    archive: Archive
    announcer: Announcer
    leadership: Leadership
    metrics: Metrics
    clock: Clock
    offload: Offload
    headroom: Writer[SetHeadroom, HeadroomResult] | None = None
    """None: no node pool is configured."""
    headroom_namespace: str = ""
    mig: Writer[MigAction, MigResult] | None = None
    """None: `engine.slices.mode` is off."""
    templates: Writer[SetShape, ShapeResult] | None = None
    """None: `engine.slices.templates` is not auto."""


class ControlLoop:
    """Runs ticks until it is told to stop or may not lead any more."""

    def __init__(self, parts: Parts, *, tick_s: float) -> None:
        self._parts = parts
        self._tick_s = tick_s
        parts.metrics.tick_interval.set(tick_s)
        self._notebook = Notebook(parts.headroom_namespace)
        self._faults = FaultLog()
        self.last: TickRecord | None = None
        """The last tick that was completed."""
        self.alive_at_s: float | None = None
        """When this process began to lead, or a tick last began or ended, by the monotonic clock; None: not yet."""

    async def run(self, stop: asyncio.Event) -> None:
        """
        Raises:
            LeadershipLost: nothing was written after that.
        """
        clock, metrics = self._parts.clock, self._parts.metrics
        origin_s, turn = clock.monotonic_s(), 0
        while not stop.is_set():
            await self._turn()
            passed = (clock.monotonic_s() - origin_s) / self._tick_s
            due = max(turn + 1, math.ceil(passed - 1e-9))
            if due > turn + 1:
                metrics.tick_overruns.inc(due - turn - 1)
                log.warning("tick took too long", extra={"left_out": due - turn - 1})
            turn = due
            await unless(clock, origin_s + turn * self._tick_s - clock.monotonic_s(), stop)

    async def tick(self) -> TickRecord:
        """One tick, from looking to writing down."""
        parts = self._parts
        started_s = parts.clock.monotonic_s()
        with self._stage("observe"):
            given = await parts.gatherer.gather()
        with self._stage("decide"):
            result = await parts.offload(lambda: parts.engine.tick(given))
        with self._stage("actuate"):
            until_s = started_s + ACTING_SHARE * self._tick_s
            actions = await parts.dispatcher.carry_out(result.plan.actions, until_s=until_s)
            headroom = await _carried_out(parts.headroom, result.plan.headroom, until_s)
            mig = await _carried_out(parts.mig, result.slices.actions, until_s)
            shapes = await _carried_out(parts.templates, result.slices.shape_actions, until_s)
        parts.leadership.check()
        parts.engine.acknowledge(actions)
        record = TickRecord(
            input=given,
            result=result,
            actions=actions,
            headroom=headroom,
            mig=mig,
            shapes=shapes,
        )
        self.last = record
        self._faults.take(record)
        with self._stage("record"):
            await parts.archive.keep(record)
        parts.announcer.tell(self._notebook.notes(record, parts.gatherer.refused))
        parts.metrics.ticked(record, parts.clock.monotonic_s() - started_s)
        _say(record)
        return record

    async def _turn(self) -> None:
        metrics, clock = self._parts.metrics, self._parts.clock
        self._parts.leadership.check()
        metrics.ticks.inc()
        self.alive_at_s = clock.monotonic_s()
        try:
            await self.tick()
        except LeadershipLost:
            raise
        except Exception:
            # The border of the tick: the next one starts from a fresh look at the world.
            metrics.tick_failures.inc()
            log.exception("tick failed")
        self.alive_at_s = clock.monotonic_s()

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started_s = self._parts.clock.monotonic_s()
        yield
        taken_s = self._parts.clock.monotonic_s() - started_s
        self._parts.metrics.stage_seconds.labels(name).observe(taken_s)


async def _carried_out(
    writer: Writer[A, R] | None, actions: tuple[A, ...], until_s: float
) -> tuple[R, ...]:
    return () if writer is None else await writer.carry_out(actions, until_s=until_s)


def _say(record: TickRecord) -> None:
    for result in record.actions:
        if result.outcome is Outcome.APPLIED:
            action = result.action
            log.info(
                "scaled",
                extra={
                    "about": str(action.workload),
                    "from": action.observed,
                    "to": action.replicas,
                    "reason": action.reason.value,
                    "why": action.message,
                },
            )
    for decision in record.result.decisions:
        log.debug(
            "decided",
            extra={
                "about": str(decision.workload),
                "now": decision.current,
                "target": decision.target,
                "reason": decision.reason.value,
                "why": decision.message,
            },
        )
