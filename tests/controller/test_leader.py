"""Leader election as stories on a clock that the test moves: never two who may write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from autoscaler.config import LeaderSettings
from autoscaler.controller.leader import LeaderElector, LeaseRecord, SoleLeader
from autoscaler.errors import ActuationConflict, LeadershipLost, SourceUnavailable
from tests.fakes.clock import SteppedClock

SETTINGS = LeaderSettings()  # 15 s, 10 s, 2 s


class FakeLeases:
    """One Lease with optimistic locking, as the API server has it."""

    def __init__(self) -> None:
        self.record: LeaseRecord | None = None
        self.writes = 0

    def put(self, record: LeaseRecord) -> LeaseRecord:
        self.writes += 1
        self.record = replace(record, version=str(self.writes))
        return self.record


class Access:
    """One candidate's way to it, which the test can slow down or cut."""

    def __init__(self, leases: FakeLeases, clock: SteppedClock) -> None:
        self.leases, self.clock = leases, clock
        self.delay_s = 0.0
        self.broken = False
        self.answer_s = 0.0
        """How long an answer takes to a write that has happened."""
        self.answers_lost = False
        """Writes happen, but nobody hears of it."""

    async def _reach(self) -> None:
        if self.delay_s:
            await self.clock.sleep(self.delay_s)
        if self.broken:
            raise SourceUnavailable("connection refused")

    async def _answer(self) -> None:
        if self.answer_s:
            await self.clock.sleep(self.answer_s)
        if self.answers_lost:
            await asyncio.Event().wait()

    async def read(self) -> LeaseRecord | None:
        await self._reach()
        return self.leases.record

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        await self._reach()
        if self.leases.record is not None:
            raise ActuationConflict("already exists")
        stored = self.leases.put(record)
        await self._answer()
        return stored

    async def replace(self, record: LeaseRecord) -> LeaseRecord:
        await self._reach()
        if self.leases.record is None or self.leases.record.version != record.version:
            raise ActuationConflict("the object has been modified")
        stored = self.leases.put(record)
        await self._answer()
        return stored


class Candidate:
    """A controller that runs for the lease and notes when it leads."""

    def __init__(self, name: str, leases: FakeLeases, clock: SteppedClock) -> None:
        self.access = Access(leases, clock)
        self.elector = LeaderElector(api=self.access, clock=clock, identity=name, settings=SETTINGS)
        self.lost: LeadershipLost | None = None
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        await self.elector.acquire()
        try:
            await self.elector.hold()
        except LeadershipLost as lost:
            self.lost = lost

    @property
    def leads(self) -> bool:
        return self.elector.is_leading()


class World:
    """A clock, a lease, candidates."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.leases = FakeLeases()
        self.candidates: list[Candidate] = []

    def candidate(self, name: str) -> Candidate:
        self.candidates.append(Candidate(name, self.leases, self.clock))
        return self.candidates[-1]

    async def run(self, seconds: float) -> None:
        """Second by second; never may two lead at once."""
        for _ in range(round(seconds * 2)):
            await self.clock.advance(0.5)
            assert sum(candidate.leads for candidate in self.candidates) <= 1


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    for candidate in made.candidates:
        candidate.task.cancel()
    await asyncio.gather(*(c.task for c in made.candidates), return_exceptions=True)


async def test_the_first_leads_and_goes_on_leading() -> None:
    async with world() as w:
        a, b = w.candidate("a"), w.candidate("b")
        await w.run(120)
        assert (a.leads, b.leads) == (True, False)
        assert b.elector.holder == "a"
        assert w.leases.record is not None
        assert w.leases.record.transitions == 0


async def test_a_leader_that_is_cut_off_stops_before_another_starts() -> None:
    async with world() as w:
        a, b = w.candidate("a"), w.candidate("b")
        await w.run(10)
        a.access.broken = True
        await w.run(8)  # renewed at 10 at the latest: it may still write
        assert a.leads
        await w.run(2.5)
        assert (a.leads, b.leads) == (False, False)
        assert a.lost is not None
        await w.run(8)
        assert b.leads
        assert w.leases.record is not None
        assert w.leases.record.transitions == 1


async def test_a_lost_leader_never_leads_again() -> None:
    async with world() as w:
        a = w.candidate("a")
        await w.run(4)
        a.access.broken = True
        await w.run(20)
        a.access.broken = False
        await w.run(60)
        assert not a.leads
        with pytest.raises(LeadershipLost):
            a.elector.check()


async def test_one_call_that_hangs_does_not_cost_the_lease() -> None:
    async with world() as w:
        a = w.candidate("a")
        await w.run(10)
        a.access.delay_s = 1000.0
        await w.run(4)
        a.access.delay_s = 0.0
        await w.run(30)
        assert a.leads


async def test_slow_calls_count_from_when_they_were_sent() -> None:
    async with world() as w:
        a = w.candidate("a")
        await w.run(3)
        a.access.delay_s = 3.0
        await w.run(60)
        assert a.leads  # 2 s between calls and 3 s for each stays below 10 s
        a.access.delay_s = 4.0  # more than a call may take
        await w.run(12)
        assert not a.leads
        assert a.lost is not None


async def test_a_leader_never_waits_for_an_answer_longer_than_it_leads() -> None:
    async with world() as w:
        a = w.candidate("a")
        await w.run(10)
        a.access.delay_s = 1000.0
        await w.run(10.5)
        assert a.lost is not None  # it has raised, it does not hang


async def test_renewals_whose_answers_are_lost_are_recognised_as_own() -> None:
    async with world() as w:
        a = w.candidate("a")
        await w.run(4)
        a.access.answers_lost = True
        await w.run(5.5)
        a.access.answers_lost = False
        await w.run(30)
        assert a.leads
        assert a.lost is None


async def test_a_leader_that_finds_another_holder_stops_at_once() -> None:
    async with world() as w:
        a = w.candidate("a")
        await w.run(4)
        assert w.leases.record is not None
        w.leases.put(replace(w.leases.record, holder="intruder"))
        await w.run(2.5)
        assert a.lost is not None
        assert "held by intruder, not by a" in str(a.lost)


async def test_a_person_who_labels_the_lease_does_no_harm() -> None:
    async with world() as w:
        a = w.candidate("a")
        await w.run(4)
        assert w.leases.record is not None
        w.leases.put(w.leases.record)  # a new version, the same holder
        await w.run(30)
        assert a.leads


@pytest.mark.parametrize("skew_s", [-86400.0, 86400.0])
async def test_remote_wall_clocks_are_not_believed(skew_s: float) -> None:
    """A lease from a machine whose clock is a day off is neither expired nor eternal."""
    async with world() as w:
        wall_s = w.clock.now_s() + skew_s
        w.leases.put(
            LeaseRecord(holder="z", duration_s=15.0, acquired_at_s=wall_s, renewed_at_s=wall_s)
        )
        a = w.candidate("a")
        await w.run(14)
        assert not a.leads
        await w.run(4)
        assert a.leads


async def test_a_lease_that_promises_longer_is_waited_for() -> None:
    async with world() as w:
        w.leases.put(LeaseRecord(holder="z", duration_s=60.0, acquired_at_s=0.0, renewed_at_s=0.0))
        a = w.candidate("a")
        await w.run(58)
        assert not a.leads
        await w.run(6)
        assert a.leads


async def test_of_two_candidates_for_a_dead_leaders_lease_one_wins() -> None:
    async with world() as w:
        w.leases.put(LeaseRecord(holder="dead", duration_s=15.0, acquired_at_s=0.0, renewed_at_s=0))
        a, b = w.candidate("a"), w.candidate("b")
        await w.run(20)
        assert a.leads != b.leads


async def test_a_released_lease_is_taken_without_waiting() -> None:
    async with world() as w:
        a, b = w.candidate("a"), w.candidate("b")
        await w.run(10)
        a.task.cancel()
        await a.elector.release()
        assert not a.leads
        await w.run(2.5)
        assert b.leads


async def test_a_follower_that_is_stopped_while_it_takes_the_lease_gives_it_back() -> None:
    async with world() as w:
        a = w.candidate("a")
        a.access.answer_s = 2.0
        await w.run(1)
        assert w.leases.record is not None
        assert w.leases.record.holder == "a"  # and it does not know yet
        a.task.cancel()
        release = asyncio.create_task(a.elector.release())
        await w.run(4)
        assert release.done()
        assert w.leases.record.holder == ""
        b = w.candidate("b")
        await w.run(1)
        assert b.leads


async def test_one_that_is_stopped_and_gets_no_answer_waits_no_longer_than_a_call_may_take() -> (
    None
):
    async with world() as w:
        a = w.candidate("a")
        a.access.answer_s = 1000.0
        await w.run(1)
        a.task.cancel()
        release = asyncio.create_task(a.elector.release())
        await w.run(2)
        assert not release.done()
        await w.run(1)
        assert release.done()
        assert not a.leads


async def test_releasing_without_a_connection_raises_nothing() -> None:
    async with world() as w:
        a = w.candidate("a")
        await w.run(4)
        a.task.cancel()
        a.access.broken = True
        await a.elector.release()
        assert not a.leads


async def test_an_unreachable_api_server_at_start_is_tried_again() -> None:
    async with world() as w:
        a = w.candidate("a")
        a.access.broken = True
        await w.run(60)
        assert not a.leads
        a.access.broken = False
        await w.run(4)
        assert a.leads


async def test_a_sole_leader_leads_until_it_gives_up() -> None:
    sole = SoleLeader("me")
    assert not sole.is_leading()
    await sole.acquire()
    assert (sole.is_leading(), sole.holder) == (True, "me")
    await sole.release()
    with pytest.raises(LeadershipLost):
        sole.check()
