"""SLO accounting of the running controller: every workload's account, kept over restarts in a store of its own.

Four weeks of steps change slowly and are larger than what the engine remembers, so they are saved less often: what a
crash loses is at most the last `SAVE_EVERY_S`, and shows as unknown time.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import zlib
from dataclasses import dataclass, replace

from autoscaler.clock import Clock
from autoscaler.codec import decode, encode
from autoscaler.controller.checkpoint import LAST_SAVE_TIMEOUT_S, SAVE_TIMEOUT_S, loaded
from autoscaler.controller.deadline import within
from autoscaler.controller.leader import Leadership
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.ports import CheckpointStore, Offload
from autoscaler.core.compliance import WorkloadCompliance, compliance_of
from autoscaler.core.ledger import Account, Span, Step, advance
from autoscaler.core.types import TickInput, WorkloadId
from autoscaler.errors import AutoscalerError, SourceInvalid

log = logging.getLogger(__name__)

VERSION = 1
SAVE_EVERY_S = 600.0
# A workload that is away for less, because of a mistake in an annotation or a redeployment, keeps its account.
ABSENT_KEPT_S = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountBook:
    """What is stored."""

    version: int = VERSION
    accounts: tuple[Account, ...] = ()


@dataclass(frozen=True, slots=True)
class _Form:
    version: int = 0


def pack(accounts: tuple[Account, ...]) -> bytes:
    """As it is stored: the accounts without the last scrapes."""
    book = AccountBook(accounts=tuple(_rounded(account.resting()) for account in accounts))
    return gzip.compress(encode(book), compresslevel=5, mtime=0)


def unpack(data: bytes) -> tuple[Account, ...]:
    """
    Raises:
        SourceInvalid: it is corrupt, or of another version.
    """
    try:
        text = gzip.decompress(data)
        version = decode(text, _Form).version
        if version != VERSION:
            raise SourceInvalid(f"SLO accounts: version {version}, this forescale reads {VERSION}")
        return decode(text, AccountBook).accounts
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise SourceInvalid(f"SLO accounts: can't be read ({error})") from error


class Accounts:
    """One account for each workload of the last tick."""

    def __init__(self, *, stale_after_s: float) -> None:
        self._stale_after_s = stale_after_s
        self._accounts: dict[WorkloadId, Account] = {}
        self._present: frozenset[WorkloadId] = frozenset()

    def take(self, given: TickInput) -> None:
        """After every tick. Whoever asks meanwhile is told of the tick before."""
        before = self._accounts
        fresh = {
            key: account
            for key, account in before.items()
            if given.now_s - account.at_s < ABSENT_KEPT_S
        }
        for item in given.workloads:
            key = item.spec.id
            fresh[key] = advance(
                before.get(key), item, given.now_s, stale_after_s=self._stale_after_s
            )
        self._accounts, self._present = fresh, frozenset(item.spec.id for item in given.workloads)

    def clear(self) -> None:
        """This process watches no more."""
        self._accounts, self._present = {}, frozenset()

    def snapshot(self) -> tuple[Account, ...]:
        """All of them, ordered by name."""
        return tuple(self._accounts[key] for key in sorted(self._accounts))

    def restore(self, accounts: tuple[Account, ...]) -> None:
        """Takes over what another process has left; shown from the next tick on."""
        self._accounts = {account.workload: account for account in accounts}

    def compliance(self) -> tuple[WorkloadCompliance, ...]:
        """What those of the last tick say now."""
        return tuple(compliance_of(account) for account in self.totals())

    def totals(self) -> tuple[Account, ...]:
        """The accounts of the last tick, for their counters."""
        accounts = self._accounts
        return tuple(accounts[key] for key in sorted(self._present) if key in accounts)


class AccountKeeper:
    """Loads the accounts when this process begins to lead, and saves them now and then."""

    def __init__(
        self,
        accounts: Accounts,
        store: CheckpointStore,
        *,
        leadership: Leadership,
        clock: Clock,
        metrics: Metrics,
        offload: Offload,
    ) -> None:
        self._accounts, self._store = accounts, store
        self._leadership, self._clock, self._offload = leadership, clock, offload
        self._metrics = metrics
        self._saved_at_s = float("-inf")
        self._saving: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """What can't be read is reported and left: accounting then begins anew."""
        self._saved_at_s = self._clock.monotonic_s()
        try:
            data = await loaded(self._store, self._clock)
            if data is not None:
                self._accounts.restore(await self._offload(lambda: unpack(data)))
        except (AutoscalerError, OSError, TimeoutError) as error:
            self._metrics.accounts_failures.inc()
            log.warning("SLO accounts not taken over", extra={"error": str(error)})

    async def keep(self, given: TickInput) -> None:
        """After every tick, beside the event loop; saving goes on in the background."""
        await self._offload(lambda: self._accounts.take(given))
        now_s = self._clock.monotonic_s()
        idle = self._saving is None or self._saving.done()
        if idle and now_s - self._saved_at_s >= SAVE_EVERY_S:
            self._saved_at_s = now_s
            self._saving = asyncio.create_task(self._save())

    async def finish(self) -> None:
        """On a clean end, while this process still leads."""
        self.stop()
        await self._save(LAST_SAVE_TIMEOUT_S)

    def stop(self) -> None:
        """Without a word to the store."""
        if self._saving is not None:
            self._saving.cancel()

    async def _save(self, limit_s: float = SAVE_TIMEOUT_S) -> None:
        accounts = self._accounts.snapshot()
        try:
            data = await self._offload(lambda: pack(accounts))
            self._leadership.check()
            await within(self._clock, limit_s, self._store.save(data))
        except (AutoscalerError, OSError, TimeoutError) as error:
            self._metrics.accounts_failures.inc()
            log.warning("SLO accounts not saved", extra={"error": str(error)})
            return
        self._metrics.accounts_bytes.set(len(data))
        self._metrics.accounts_saved.set(self._clock.now_s())


def _rounded(account: Account) -> Account:
    """Tenths of requests and seconds: a third of the size, and less than any bound that is shown."""
    return replace(
        account,
        ledgers=tuple(
            replace(
                ledger,
                hour=_rounded_span(ledger.hour),
                day=_rounded_span(ledger.day),
                window=_rounded_span(ledger.window),
            )
            for ledger in account.ledgers
        ),
    )


def _rounded_span(span: Span) -> Span:
    return replace(span, steps=tuple(_rounded_step(step) for step in span.steps))


def _rounded_step(step: Step) -> Step:
    return Step(
        start_s=step.start_s,
        requests=round(step.requests, 1),
        low=round(step.low, 1),
        bad=round(step.bad, 1),
        high=round(step.high, 1),
        known_s=round(step.known_s, 1),
        unknown_s=round(step.unknown_s, 1),
    )
