"""Replay: the same engine answers the same; another configuration, and every broken line, is named."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import TickRecord
from autoscaler.simulation.journal_file import (
    JournalHeader,
    JournalInvalid,
    JournalTorn,
    header_line,
    record_line,
    records_of,
)
from autoscaler.simulation.replay import replay
from tests.fakes.recorded import RecordedStory


def write(path: Path) -> list[TickRecord]:
    """A journal of ten minutes: calm, a burst, calm."""
    story = RecordedStory()
    header = JournalHeader(config=story.config, state=story.engine.snapshot())
    for rate in (10.0, 60.0, 10.0):
        story.run(200, rate_rps=rate)
    path.write_bytes(header_line(header) + b"".join(record_line(r) for r in story.records))
    return story.records


def test_the_same_engine_decides_the_same(tmp_path: Path) -> None:
    records = write(tmp_path / "j.jsonl")
    report = replay(tmp_path / "j.jsonl")
    assert (report.ticks, report.decisions, report.differing) == (60, 60, 0)
    assert report.from_s == records[0].input.now_s
    assert report.recorded_replica_hours == report.replayed_replica_hours > 0.3
    assert report.broken is None


def test_another_configuration_shows_what_it_would_have_decided(tmp_path: Path) -> None:
    records = write(tmp_path / "j.jsonl")
    assert max(record.result.decisions[0].target for record in records) > 2
    report = replay(tmp_path / "j.jsonl", config=EngineConfig(max_replicas=2))
    assert report.differing_targets > 0
    changed = [d for d in report.differences if d.in_target]
    assert changed[0].line > 21  # a header and twenty calm ticks
    assert changed[0].replayed is not None
    assert changed[0].replayed.target == 2
    assert report.replayed_replica_hours < report.recorded_replica_hours


def test_a_changed_record_is_found_with_its_line(tmp_path: Path) -> None:
    records = write(tmp_path / "j.jsonl")
    lines = (tmp_path / "j.jsonl").read_bytes().splitlines(keepends=True)
    decision = replace(records[3].result.decisions[0], target=9)
    forged = replace(records[3], result=replace(records[3].result, decisions=(decision,)))
    lines[4] = record_line(forged)
    (tmp_path / "j.jsonl").write_bytes(b"".join(lines))
    report = replay(tmp_path / "j.jsonl")
    assert [(d.line, d.in_target) for d in report.differences] == [(5, True)]


def test_a_broken_line_is_named_and_the_rest_counted(tmp_path: Path) -> None:
    write(tmp_path / "j.jsonl")
    lines = (tmp_path / "j.jsonl").read_bytes().splitlines(keepends=True)
    lines[7] = lines[7].replace(b'"now_s":', b'"now_s":"x', 1)
    (tmp_path / "j.jsonl").write_bytes(b"".join(lines))
    report = replay(tmp_path / "j.jsonl")
    assert report.ticks == 6
    assert report.broken is not None
    assert "j.jsonl:8:" in report.broken


def test_a_torn_last_line_is_recognised(tmp_path: Path) -> None:
    write(tmp_path / "j.jsonl")
    whole = (tmp_path / "j.jsonl").read_bytes()
    (tmp_path / "j.jsonl").write_bytes(whole[:-40])
    report = replay(tmp_path / "j.jsonl")
    assert report.ticks == 59
    assert report.broken is None
    assert report.unfinished is not None
    assert "j.jsonl:61:" in report.unfinished
    assert "the writer was stopped" in report.unfinished


@pytest.mark.parametrize(
    ("packed", "told"),
    [
        pytest.param(
            lambda whole: zstd(whole)[:-20],
            ":[56][0-9]: can.t be read: it is cut short",
            id="zstd, in the last block",
        ),
        pytest.param(lambda whole: zstd(whole)[:200], ":1: can't be read", id="zstd, in the first"),
        pytest.param(lambda whole: gzip.compress(whole)[:-20], ":[0-9]+: can.t be read", id="gzip"),
        # A flipped bit may come out as another letter, which is no record, before its checksum is reached.
        pytest.param(
            lambda whole: damaged(gzip.compress(whole)),
            ":[0-9]+: .*(can.t be read|must be one record)",
            id="damaged",
        ),
        pytest.param(
            lambda whole: damaged(zstd(whole)),
            ":[0-9]+: .*(can.t be read|must be one record)",
            id="damaged zstd",
        ),
    ],
)
def test_a_compressed_file_that_is_cut_short_or_damaged_is_never_taken_for_whole(
    tmp_path: Path, packed: Callable[[bytes], bytes], told: str
) -> None:
    write(tmp_path / "j.jsonl")
    path = tmp_path / "packed"
    path.write_bytes(packed((tmp_path / "j.jsonl").read_bytes()))
    with pytest.raises(JournalInvalid, match=told) as raised:
        for _ in records_of([path]):
            pass
    assert not isinstance(raised.value, JournalTorn)


def test_frames_of_zstd_one_after_the_other_are_one_journal(tmp_path: Path) -> None:
    write(tmp_path / "j.jsonl")
    whole = (tmp_path / "j.jsonl").read_bytes()
    (tmp_path / "j.zst").write_bytes(zstd(whole[:9000]) + zstd(whole[9000:]))
    assert replay(tmp_path / "j.zst").ticks == 60


def zstd(whole: bytes) -> bytes:
    """In blocks of some kilobytes, as of a journal of days."""
    packer = zstandard.ZstdCompressor().compressobj()
    parts = [whole[at : at + 40_000] for at in range(0, len(whole), 40_000)]
    told = [packer.compress(p) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for p in parts]
    return b"".join(told) + packer.flush()


def damaged(packed: bytes) -> bytes:
    """In its middle."""
    half = len(packed) // 2
    return packed[:half] + bytes(200) + packed[half + 200 :]


def test_not_more_differences_are_kept_than_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "j.jsonl")
    report = replay(tmp_path / "j.jsonl", config=EngineConfig(max_replicas=2), max_differences=3)
    assert len(report.differences) == 3
    assert report.differing > 3
