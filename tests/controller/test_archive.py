"""What is kept of ticks as stories: a store or a disk that fails or hangs costs what it keeps and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler.config import JournalSettings
from autoscaler.controller.checkpoint import pack, unpack
from autoscaler.controller.journal import Journal
from autoscaler.core.settings import EngineConfig
from autoscaler.core.state import EngineState
from autoscaler.errors import SourceUnavailable
from autoscaler.simulation.journal_file import files_in, open_journal
from tests.controller.running import running, ticks
from tests.fakes.controller import Disk, FakeController


async def test_what_a_leader_learned_is_taken_over() -> None:
    c = FakeController()
    c.store.data = pack(EngineState(last_now_s=123.0), 130.0)
    async with running(c):
        assert c.engine.restored == EngineState(last_now_s=123.0)


async def test_what_was_learned_is_asked_for_again_where_there_is_no_answer() -> None:
    """A minute later a cold start would have written over it."""
    c = FakeController()
    c.store.data, c.store.silent_loads = pack(EngineState(last_now_s=123.0), 130.0), 2
    async with running(c):
        await c.clock.advance(5)
        assert c.engine.restored == EngineState(last_now_s=123.0)
        assert ticks(c) == [4]


async def test_a_slow_store_costs_nothing_that_was_learned() -> None:
    """An API server that takes 3 s, and a checkpoint of four parts: it was given up, and written over."""
    c = FakeController()
    c.store.data, c.store.clock, c.store.slow_s = (
        pack(EngineState(last_now_s=123.0), 1.0),
        c.clock,
        12,
    )
    async with running(c):
        await c.clock.advance(12)
        assert c.engine.restored == EngineState(last_now_s=123.0)
        await c.clock.advance(80)
        assert (c.store.saves, c.metric("forescale_checkpoint_failures_total")) == (1, 0.0)


@pytest.mark.parametrize("data", [b"rubbish", pack(EngineState(version=99), 1.0), b""])
async def test_a_checkpoint_that_cannot_be_read_is_counted_and_ignored(data: bytes) -> None:
    c = FakeController()
    c.store.data = data
    async with running(c):
        assert c.engine.restored is None
        assert c.metric("forescale_checkpoint_failures_total") == 1.0
        assert len(ticks(c)) == 1


async def test_a_checkpoint_a_minute_and_failures_are_no_harm() -> None:
    async with running(FakeController()) as c:
        await c.clock.advance(125)
        assert c.store.saves == 2
        assert c.store.data is not None
        assert not unpack(c.store.data).final
        c.store.error = SourceUnavailable("503")
        await c.clock.advance(60)
        assert c.metric("forescale_checkpoint_failures_total") == 1.0
        assert len(ticks(c)) == 19


async def test_a_store_that_refuses_for_half_an_hour_is_a_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    c = FakeController()
    with caplog.at_level("INFO", logger="autoscaler.controller.archive"):
        async with running(c):
            c.store.error = SourceUnavailable("503")
            await c.clock.advance(1800)
            c.store.error = None
            await c.clock.advance(60)
    told = [line.msg for line in caplog.records]
    assert told[-2:] == ["checkpoint not saved", "checkpoint is saved again"]
    assert told.count("checkpoint not saved") == 1


async def test_a_full_disk_costs_the_journal_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("a file where the folder should be")
    journal = Journal(
        JournalSettings(path=str(tmp_path / "j")), config=EngineConfig(), identity="me"
    )
    async with running(FakeController(journal=journal)) as c:
        c.engine.targets = {"bert": 3}
        await c.clock.advance(20)
        assert c.cluster.replicas == {"bert": 3}
        assert c.metric("forescale_journal_writable") == 0.0
        assert (c.metric("forescale_journal_failures_total") or 0.0) >= 3.0
        (tmp_path / "j").unlink()
        await c.clock.advance(20)
        assert c.metric("forescale_journal_writable") == 1.0
        assert len(files_in(tmp_path / "j")) == 1


async def test_a_disk_that_hangs_costs_the_journal_and_nothing_else(tmp_path: Path) -> None:
    """A volume over the network whose server has gone: no error, no answer."""
    disk = Disk()
    journal = Journal(JournalSettings(path=str(tmp_path)), config=EngineConfig(), identity="me")
    async with running(FakeController(journal=journal, disk=disk)) as c:
        await c.clock.advance(10)
        disk.answers.clear()
        begun = disk.begun
        c.engine.targets = {"bert": 3}
        await c.clock.advance(40)
        assert ticks(c) == [0, 10, 20, 30, 40, 50]
        assert c.cluster.replicas == {"bert": 3}
        assert disk.begun == begun + 1  # nothing piles up behind it
        assert c.metric("forescale_journal_writable") == 0.0
        assert c.metric("forescale_journal_failures_total") == 4.0
        disk.answers.set()
        await c.clock.advance(20)
        assert c.metric("forescale_journal_writable") == 1.0
    # With a gap, neither replays as one file.
    lengths = []
    for path in files_in(tmp_path):
        with open_journal(path) as file:
            lengths.append(len(list(file.records())))
    assert lengths == [3, 1]


async def test_a_disk_that_hangs_from_the_start_does_not_keep_the_lead_without_a_tick(
    tmp_path: Path,
) -> None:
    disk = Disk()
    disk.answers.clear()
    journal = Journal(JournalSettings(path=str(tmp_path)), config=EngineConfig(), identity="me")
    async with running(FakeController(journal=journal, disk=disk)) as c:
        await c.clock.advance(30)
        assert ticks(c) == [5, 15, 25]
