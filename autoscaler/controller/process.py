"""One controller process from its start to its end: sources, leadership, the loop, and a clean or a sudden stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from autoscaler.clock import Clock
from autoscaler.controller.archive import Archive
from autoscaler.controller.deadline import unless
from autoscaler.controller.leader import Leadership
from autoscaler.controller.loop import ControlLoop
from autoscaler.controller.notes import Announcer
from autoscaler.controller.ports import ClusterSource

log = logging.getLogger(__name__)

# How often a start looks whether everything is listed.
SYNC_POLL_S = 0.5
# Events of the last tick, when stopping.
DRAIN_S = 3.0
# After a background job has failed.
RESTART_S = 5.0
# A leader whose ticks have not moved for so many of their length is stuck and should be restarted.
STUCK_TICKS = 6.0

Job = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Everything that runs."""

    loop: ControlLoop
    leadership: Leadership
    archive: Archive
    announcer: Announcer
    cluster: ClusterSource
    jobs: Mapping[str, Job]
    """What sources do in the background for as long as the process lives, by name."""
    clock: Clock
    tick_s: float

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then finishes the tick, saves, and gives the lease back.

        Raises:
            LeadershipLost: nothing was written to the cluster after that; the process should end at once.
        """
        jobs = [
            asyncio.create_task(self._kept_up(name, job))
            for name, job in (*self.jobs.items(), ("events", self.announcer.run))
        ]
        lead = asyncio.create_task(self._lead(stop))
        try:
            await lead
        finally:
            await _end(lead, *jobs)

    def stuck(self) -> str | None:
        """Why the process should be restarted."""
        alive_at_s = self.loop.alive_at_s
        if alive_at_s is None or not self.leadership.is_leading():
            return None
        silent_s = self.clock.monotonic_s() - alive_at_s
        if silent_s <= STUCK_TICKS * self.tick_s:
            return None
        return (
            f"no tick has begun or ended for {silent_s:.0f} s, expected one every {self.tick_s:g} s"
        )

    def not_ready(self) -> str | None:
        """Why it can't work yet."""
        if self.cluster.synced:
            return None
        why = f": {self.cluster.error}" if self.cluster.error else ""
        return f"not everything is listed from Kubernetes yet{why}"

    async def _kept_up(self, name: str, job: Job) -> None:
        """A job that an error ends is begun again: what it delivers is missing meanwhile, and missing holds."""
        while True:
            try:
                await job()
                log.error("job ended", extra={"job": name})
            except Exception:
                log.exception("job failed", extra={"job": name})
            await self.clock.sleep(RESTART_S)

    async def _lead(self, stop: asyncio.Event) -> None:
        while not self.cluster.synced:
            if await unless(self.clock, SYNC_POLL_S, stop):
                return
        if await self._acquired(stop):
            await self._work(stop)

    async def _acquired(self, stop: asyncio.Event) -> bool:
        acquire = asyncio.ensure_future(self.leadership.acquire())
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({acquire, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(acquire, stopped)
        if stop.is_set():
            await self.leadership.release()
            return False
        acquire.result()  # raises what ended it
        return True

    async def _work(self, stop: asyncio.Event) -> None:
        hold = asyncio.ensure_future(self.leadership.hold())
        work = asyncio.create_task(self._begin_and_loop(stop))
        try:
            await asyncio.wait({hold, work}, return_when=asyncio.FIRST_COMPLETED)
            if hold.done():
                await _end(work)
                hold.result()  # raises LeadershipLost
            work.result()
            await self.archive.finish()
            await self.announcer.drain(DRAIN_S)
        except BaseException:
            await self.archive.close()
            raise
        finally:
            await _end(hold, work)
        await self.leadership.release()
        log.info("stopped")

    async def _begin_and_loop(self, stop: asyncio.Event) -> None:
        # Whoever holds the lease and hangs before its first tick is stuck as well.
        self.loop.alive_at_s = self.clock.monotonic_s()
        await self.archive.begin()
        await self.loop.run(stop)


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
