"""Which of several controllers may act: one holder of a Lease.

Decides by this process's monotonic clock alone. A leader counts its time from before it sends a renewal, and stops by
itself `duration_s - renew_deadline_s` before anybody else may take over; a follower waits until the lease has not
changed for `duration_s` while it looked. Wall clocks, which may differ between machines, are written for people and
read by nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from autoscaler.clock import Clock
from autoscaler.config import LeaderSettings
from autoscaler.controller.deadline import within
from autoscaler.errors import ActuationConflict, AutoscalerError, LeadershipLost
from autoscaler.lasting import Lasting

log = logging.getLogger(__name__)

NEVER = float("-inf")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """A Lease as the API server keeps it. Times are wall times of whoever wrote them."""

    holder: str
    """Empty: released."""
    duration_s: float
    acquired_at_s: float
    renewed_at_s: float
    transitions: int = 0
    version: str = ""
    """resourceVersion: a write of an older one is refused."""


class LeaseApi(Protocol):
    """Access to one Lease. Every method may raise SourceError or ActuationError."""

    async def read(self) -> LeaseRecord | None:
        """None: there is none yet."""
        ...

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        """ActuationConflict: somebody was faster."""
        ...

    async def replace(self, record: LeaseRecord) -> LeaseRecord:
        """ActuationConflict: it is not at `record.version` any more."""
        ...


class Leadership(Protocol):
    """What the rest of the controller knows of leader election."""

    @property
    def identity(self) -> str:
        """Unique to this process."""
        ...

    @property
    def holder(self) -> str | None:
        """Who leads, as far as is known."""
        ...

    def is_leading(self) -> bool:
        """Ask right before every write."""
        ...

    def check(self) -> None:
        """Raises LeadershipLost unless this process may write now."""
        ...

    async def acquire(self) -> None:
        """Returns once this process leads, however long that takes."""
        ...

    async def hold(self) -> None:
        """Keeps the lead for ever; raises LeadershipLost when it can't."""
        ...

    async def release(self) -> None:
        """Gives the lead up, so that another one need not wait. A failure is no harm."""
        ...


class LeaderElector:
    """Takes the lease, keeps it, gives it back."""

    def __init__(
        self,
        *,
        api: LeaseApi,
        clock: Clock,
        identity: str,
        settings: LeaderSettings,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._api, self._clock, self._identity, self._settings = api, clock, identity, settings
        self._on_failure = on_failure
        self._unreached = Lasting(log, clock, over="lease is reached again")
        # Two calls and the waits before them fit into a renew deadline: one that hangs does not cost the lease.
        self._call_timeout_s = settings.renew_deadline_s / 3.0
        self._leading_until_s = NEVER
        self._mine: LeaseRecord | None = None
        self._taking: asyncio.Task[None] | None = None
        """A write that takes the lease; it goes on when who waits for it is stopped."""
        self._seen: LeaseRecord | None = None
        self._seen_since_s = NEVER

    @property
    def identity(self) -> str:
        """Unique to this process."""
        return self._identity

    @property
    def holder(self) -> str | None:
        """Who leads, as far as is known."""
        record = self._mine or self._seen
        return record.holder or None if record else None

    def is_leading(self) -> bool:
        """Ask right before every write."""
        return self._clock.monotonic_s() < self._leading_until_s

    def check(self) -> None:
        """Raises LeadershipLost unless this process may write now."""
        if not self.is_leading():
            raise LeadershipLost(f"{self._identity} does not hold the lease any more")

    async def acquire(self) -> None:
        """Returns once this process leads, however long that takes."""
        while not await self._attempt():
            await self._clock.sleep(self._settings.retry_s)
        log.info("leading", extra={"identity": self._identity})

    async def hold(self) -> None:
        """Renews for ever.

        Raises:
            LeadershipLost: another one holds the lease, or it could not be renewed in time.
        """
        while True:
            left_s = self._leading_until_s - self._clock.monotonic_s()
            await self._clock.sleep(min(self._settings.retry_s, max(0.0, left_s)))
            self.check()
            await self._renew()

    async def release(self) -> None:
        """Gives the lease back, so that another one need not wait for it to run out. A failure is no harm."""
        if self._taking is not None:
            # Stopped while it was taking the lease: whether it has it is known by the answer alone.
            await asyncio.gather(self._taking, return_exceptions=True)
        mine, leading = self._mine, self.is_leading()
        self._leading_until_s, self._mine = NEVER, None
        if mine is None or not leading:
            return
        try:
            await self._call(self._api.replace(replace(self._stamped(mine), holder="")))
        except (AutoscalerError, TimeoutError) as error:
            log.warning("lease not released", extra={"error": _said(error)})

    async def _attempt(self) -> bool:
        try:
            record = await self._call(self._api.read())
            if record is not None and not self._may_take(record):
                self._unreached.end()
                return False
            self._taking = asyncio.create_task(self._take(record))
            await asyncio.shield(self._taking)
        except (AutoscalerError, TimeoutError) as error:
            self._failed("lease not acquired", error)
            return False
        return self.is_leading()

    def _may_take(self, record: LeaseRecord) -> bool:
        now_s = self._clock.monotonic_s()
        if record != self._seen:
            self._seen, self._seen_since_s = record, now_s
        if record.holder in ("", self._identity):
            return True
        # The holder counts on the duration that it wrote, which an upgrade may have changed.
        return now_s - self._seen_since_s >= max(record.duration_s, self._settings.duration_s)

    async def _take(self, record: LeaseRecord | None) -> None:
        started_s = self._clock.monotonic_s()
        self._lead(await self._call(self._written(record)), started_s)

    async def _written(self, record: LeaseRecord | None) -> LeaseRecord:
        now_s = self._clock.now_s()
        if record is None:
            fresh = LeaseRecord(
                holder=self._identity,
                duration_s=self._settings.duration_s,
                acquired_at_s=now_s,
                renewed_at_s=now_s,
            )
            return await self._api.create(fresh)
        return await self._api.replace(
            replace(
                self._stamped(record),
                holder=self._identity,
                acquired_at_s=now_s,
                transitions=record.transitions + (record.holder != self._identity),
            )
        )

    async def _renew(self) -> None:
        try:
            try:
                await self._extend()
            except ActuationConflict:
                await self._look_again()
                await self._extend()
        except (AutoscalerError, TimeoutError) as error:
            if isinstance(error, LeadershipLost):
                raise
            self._failed("lease not renewed", error)

    async def _extend(self) -> None:
        assert self._mine is not None
        started_s = self._clock.monotonic_s()
        renewed = await self._call(self._api.replace(self._stamped(self._mine)))
        self._lead(renewed, started_s)

    async def _look_again(self) -> None:
        """After a conflict: an own write that was thought lost, a person's edit, or another leader."""
        record = await self._call(self._api.read())
        if record is None or record.holder != self._identity:
            self._leading_until_s = NEVER
            holder = "nobody" if record is None else record.holder or "nobody"
            raise LeadershipLost(f"the lease is held by {holder}, not by {self._identity}")
        self._mine = record

    async def _call(self, call: Awaitable[T]) -> T:
        """Within the time that a call may take; for a leader never beyond its leadership."""
        limit_s = self._call_timeout_s
        if self.is_leading():
            limit_s = min(limit_s, self._leading_until_s - self._clock.monotonic_s())
        return await within(self._clock, limit_s, call)

    def _stamped(self, record: LeaseRecord) -> LeaseRecord:
        return replace(
            record, renewed_at_s=self._clock.now_s(), duration_s=self._settings.duration_s
        )

    def _lead(self, record: LeaseRecord, started_s: float) -> None:
        self._mine = record
        self._unreached.end()
        # From before the call: others may have seen the renewal as early as that.
        self._leading_until_s = started_s + self._settings.renew_deadline_s

    def _failed(self, event: str, error: Exception) -> None:
        self._on_failure()
        self._unreached.tell(event, error=_said(error))


class SoleLeader:
    """For a controller that runs alone: leads until it gives up."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._leading = False

    @property
    def identity(self) -> str:
        """As given."""
        return self._identity

    @property
    def holder(self) -> str | None:
        """Itself, while it leads."""
        return self._identity if self._leading else None

    def is_leading(self) -> bool:
        """Whether it has begun and not given up."""
        return self._leading

    def check(self) -> None:
        """Raises LeadershipLost after it has given up."""
        if not self._leading:
            raise LeadershipLost(f"{self._identity} has given up")

    async def acquire(self) -> None:
        """Leads at once."""
        self._leading = True

    async def hold(self) -> None:
        """Nothing is to be renewed."""
        await asyncio.Event().wait()

    async def release(self) -> None:
        """Gives up."""
        self._leading = False


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
