"""Keeps what a tick leaves behind: the SLO accounts and the journal's line at once, a checkpoint every minute.

None of them may stop control.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from autoscaler.clock import Clock
from autoscaler.controller.accounts import AccountKeeper
from autoscaler.controller.checkpoint import (
    LAST_SAVE_TIMEOUT_S,
    SAVE_TIMEOUT_S,
    loaded,
    pack,
    unpack,
)
from autoscaler.controller.deadline import within
from autoscaler.controller.journal import Journal
from autoscaler.controller.leader import Leadership
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.ports import CheckpointStore, Engine, Offload
from autoscaler.core.state import EngineState
from autoscaler.core.types import TickRecord
from autoscaler.errors import AutoscalerError
from autoscaler.lasting import Lasting

log = logging.getLogger(__name__)

# A volume over the network whose server has gone hangs and gives no error.
JOURNAL_TIMEOUT_S = 5.0


class Archive:
    """Journal and checkpoints of one engine."""

    def __init__(
        self,
        *,
        engine: Engine,
        journal: Journal | None,
        store: CheckpointStore,
        interval_s: float,
        leadership: Leadership,
        clock: Clock,
        metrics: Metrics,
        offload: Offload,
        accounts: AccountKeeper | None = None,
    ) -> None:
        self._engine, self._journal, self._store = engine, journal, store
        self._accounts = accounts
        self._interval_s = interval_s
        self._leadership, self._clock, self._metrics = leadership, clock, metrics
        self._offload = offload
        self._saving: asyncio.Task[None] | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._writing: asyncio.Future[None] | None = None
        self._begins_anew = False
        """Records are missing from the journal's file: it can't go on."""
        self._learned = False
        """A tick was kept: before, there is nothing that was not stored already, or could not be read."""
        self._saved_at_s = float("-inf")
        self._unsaved = Lasting(log, clock, over="checkpoint is saved again")
        self._unwritten = Lasting(log, clock, over="journal is written again")

    async def begin(self) -> None:
        """Takes over what the leader before has left, and opens the journal."""
        await self._restore()
        if self._accounts is not None:
            await self._accounts.begin()
        self._saved_at_s = self._clock.monotonic_s()
        journal, now_s = self._journal, self._clock.now_s()
        if journal is None:
            return
        state = self._engine.snapshot()
        await self._written(lambda: journal.open(state, now_s))
        self._tidy()

    async def keep(self, record: TickRecord) -> None:
        """After every tick."""
        self._learned = True
        if self._accounts is not None:
            await self._accounts.keep(record.input)
        journal = self._journal
        if journal is not None:
            if self._begins_anew:
                state = self._engine.snapshot()
                await self._written(lambda: journal.open(state, record.input.now_s))
            else:
                await self._written(lambda: journal.append(record, self._engine.snapshot))
            self._metrics.journal_bytes.set(journal.written_bytes)
            self._tidy()
        now_s = self._clock.monotonic_s()
        idle = self._saving is None or self._saving.done()
        if idle and now_s - self._saved_at_s >= self._interval_s:
            self._saved_at_s = now_s
            # The snapshot is taken now, between two ticks; packing and sending it takes its time.
            self._saving = asyncio.create_task(self._save(self._engine.snapshot()))

    async def finish(self) -> None:
        """On a clean end: a last checkpoint while this process still leads, and the journal on the disk."""
        self._stop_tasks()
        if self._learned and self._leadership.is_leading():
            await self._save(self._engine.snapshot(), final=True)
            if self._accounts is not None:
                await self._accounts.finish()
        await self.close()

    async def close(self) -> None:
        """Without a word to the cluster."""
        self._stop_tasks()
        if self._journal is not None:
            await self._written(self._journal.close)

    def _stop_tasks(self) -> None:
        for task in (self._saving, self._tidying):
            if task is not None:
                task.cancel()
        if self._accounts is not None:
            self._accounts.stop()

    async def _restore(self) -> None:
        try:
            data = await loaded(self._store, self._clock)
            if data is None:
                log.info("no checkpoint: starting cold")
                return
            found = await self._offload(lambda: unpack(data))
        except (AutoscalerError, OSError, TimeoutError) as error:
            self._metrics.checkpoint_failures.inc()
            log.warning("checkpoint ignored", extra={"error": str(error)})
            return
        self._engine.restore(found.left())
        log.info(
            "checkpoint taken over",
            extra={"workloads": len(found.state.workloads), "saved_at_s": found.saved_at_s},
        )

    async def _save(self, state: EngineState, *, final: bool = False) -> None:
        now_s = self._clock.now_s()
        try:
            data = await self._offload(lambda: pack(state, now_s, final=final))
            self._leadership.check()
            limit_s = LAST_SAVE_TIMEOUT_S if final else SAVE_TIMEOUT_S
            await within(self._clock, limit_s, self._store.save(data))
        except (AutoscalerError, OSError, TimeoutError) as error:
            self._metrics.checkpoint_failures.inc()
            self._unsaved.tell("checkpoint not saved", error=str(error) or type(error).__name__)
            return
        self._unsaved.end()
        self._metrics.checkpoint_bytes.set(len(data))
        self._metrics.checkpoint_saved.set(now_s)

    async def _written(self, work: Callable[[], None]) -> None:
        """One write at a time. One that hangs is waited for once; until it ends nothing is written beside it."""
        if self._writing is None or self._writing.done():
            self._writing = asyncio.ensure_future(self._journaled(work))
            self._begins_anew = False
            try:
                await within(self._clock, JOURNAL_TIMEOUT_S, asyncio.shield(self._writing))
            except TimeoutError:
                self._not_journaled(f"the disk did not answer within {JOURNAL_TIMEOUT_S:g} s")
        else:
            self._begins_anew = True
            self._not_journaled("the disk does not answer")

    async def _journaled(self, work: Callable[[], None]) -> None:
        try:
            await self._offload(work)
        except OSError as error:
            self._not_journaled(str(error))
        else:
            self._metrics.journal_ok.set(1)
            self._unwritten.end()

    def _not_journaled(self, why: str) -> None:
        self._metrics.journal_failures.inc()
        self._metrics.journal_ok.set(0)
        self._unwritten.tell("journal not written", error=why)

    def _tidy(self) -> None:
        journal = self._journal
        if journal is None or not journal.untidy:
            return
        if self._tidying is None or self._tidying.done():
            self._tidying = asyncio.create_task(self._journaled(journal.tidy))
