"""The journal: every file replays by itself, and a full disk costs records, never a tick."""

from __future__ import annotations

import gzip
import os
from dataclasses import replace
from pathlib import Path

import pytest

from autoscaler.config import JournalSettings
from autoscaler.controller.journal import Journal
from autoscaler.errors import ConfigError
from autoscaler.simulation.journal_file import JournalInvalid, files_in, open_journal
from autoscaler.simulation.replay import replay
from tests.fakes.recorded import RecordedStory


def journal_in(folder: Path, story: RecordedStory, **changes: object) -> Journal:
    settings = replace(JournalSettings(path=str(folder)), **changes)  # type: ignore[arg-type]
    return Journal(settings, config=story.config, identity="me")


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    story = RecordedStory()
    journal = journal_in(tmp_path, story)
    journal.open(story.engine.snapshot(), story.now_s)
    written = []
    for _ in range(6):
        (line,) = story.record(10, rate_rps=20)
        journal.append(line, story.engine.snapshot)
        written.append(line)
    journal.close()
    with open_journal(tmp_path) as file:
        assert file.header.identity == "me"
        assert file.header.config == story.config
        assert list(file.records()) == written


def test_every_rotated_file_replays_without_a_difference(tmp_path: Path) -> None:
    story = RecordedStory()
    journal = journal_in(tmp_path, story, max_file_mib=0.05)
    journal.open(story.engine.snapshot(), story.now_s)
    for rate in [10.0] * 30 + [60.0] * 30 + [5.0] * 60:
        for line in story.record(10, rate_rps=rate):
            journal.append(line, story.engine.snapshot)
    journal.close()
    journal.tidy()
    files = files_in(tmp_path)
    assert len(files) > 3
    assert [path.name.endswith(".zst") for path in files] == [True] * (len(files) - 1) + [False]
    reports = [replay(path) for path in files]
    assert sum(report.ticks for report in reports) == 120
    assert [report.differing for report in reports] == [0] * len(files)
    assert {report.broken for report in reports} == {None}


def test_the_next_leader_goes_on_in_the_folder_that_the_last_one_still_has_open(
    tmp_path: Path,
) -> None:
    """Both mount one volume. The last one ends its tick: its line stays in the file that was put away."""
    story = RecordedStory()
    last, following = journal_in(tmp_path, story), journal_in(tmp_path, story)
    last.open(story.engine.snapshot(), story.now_s)
    for line in story.record(30, rate_rps=20):
        last.append(line, story.engine.snapshot)
    (late,) = story.record(10, rate_rps=20)
    following.open(story.engine.snapshot(), story.now_s)
    last.append(late, story.engine.snapshot)
    last.close()
    for line in story.record(20, rate_rps=20):
        following.append(line, story.engine.snapshot)
    following.close()
    reports = [replay(path) for path in files_in(tmp_path)]
    assert [(report.ticks, report.differing, report.broken) for report in reports] == [
        (4, 0, None),
        (2, 0, None),
    ]


def test_only_so_many_files_are_kept(tmp_path: Path) -> None:
    story = RecordedStory()
    journal = journal_in(tmp_path, story, max_file_mib=0.001, keep=2)
    journal.open(story.engine.snapshot(), story.now_s)
    for line in story.record(100, rate_rps=20):
        journal.append(line, story.engine.snapshot)
        journal.tidy()
    journal.close()
    assert len(files_in(tmp_path)) == 3
    assert files_in(tmp_path)[-1].name == "forescale.jsonl"


def test_a_new_process_keeps_the_old_ones_file(tmp_path: Path) -> None:
    story = RecordedStory()
    for _ in range(2):
        journal = journal_in(tmp_path, story)
        journal.open(story.engine.snapshot(), story.now_s)
        for line in story.record(30, rate_rps=20):
            journal.append(line, story.engine.snapshot)
        journal.close()
    assert [replay(path).ticks for path in files_in(tmp_path)] == [3, 3]


def test_what_was_compressed_and_is_still_there_counts_once(tmp_path: Path) -> None:
    """A controller that is killed between the two."""
    story = RecordedStory()
    journal = journal_in(tmp_path, story, max_file_mib=0.001)
    journal.open(story.engine.snapshot(), story.now_s)
    for line in story.record(30, rate_rps=20):
        journal.append(line, story.engine.snapshot)
    journal.close()
    before = {path: path.read_bytes() for path in files_in(tmp_path)[:-1]}
    assert before
    journal.tidy()
    once = files_in(tmp_path)
    for path, content in before.items():
        path.write_bytes(content)
    assert files_in(tmp_path) == once
    following = journal_in(tmp_path, story)
    following.open(story.engine.snapshot(), story.now_s + 10.0)
    following.close()
    assert not [path for path in before if path.exists()]


def test_after_a_failed_write_a_new_file_begins(tmp_path: Path) -> None:
    story = RecordedStory()
    journal = journal_in(tmp_path, story)
    journal.open(story.engine.snapshot(), story.now_s)
    (first,) = story.record(10, rate_rps=20)
    journal.append(first, story.engine.snapshot)
    full = os.open("/dev/full", os.O_WRONLY)
    assert journal._file is not None
    os.dup2(full, journal._file.fileno())
    os.close(full)
    (lost,) = story.record(10)
    with pytest.raises(OSError, match="No space left"):
        journal.append(lost, story.engine.snapshot)
    (gap,) = story.record(10)
    journal.append(
        gap, story.engine.snapshot
    )  # the new file's header holds the state after this one
    (after,) = story.record(10)
    journal.append(after, story.engine.snapshot)
    journal.close()
    assert [replay(path).ticks for path in files_in(tmp_path)] == [1, 1]
    assert [replay(path).differing for path in files_in(tmp_path)] == [0, 0]


@pytest.mark.parametrize("removed", ["file", "folder"])
def test_a_file_that_is_removed_while_it_is_written_is_begun_anew(
    tmp_path: Path, removed: str
) -> None:
    """Somebody makes room: the system took what followed, and gave it to nobody."""
    story = RecordedStory()
    journal = journal_in(tmp_path / "j", story)
    journal.open(story.engine.snapshot(), story.now_s)
    for line in story.record(20, rate_rps=20):
        journal.append(line, story.engine.snapshot)
    (tmp_path / "j" / "forescale.jsonl").unlink()
    if removed == "folder":
        (tmp_path / "j").rmdir()
    for line in story.record(30, rate_rps=20):
        journal.append(line, story.engine.snapshot)
    journal.close()
    # The first of the three is in the state with which the file begins.
    assert [replay(path).ticks for path in files_in(tmp_path / "j")] == [2]


def test_what_goes_goes_before_room_is_needed_to_compress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full of journals: where nothing could be compressed nothing was deleted either."""
    story = RecordedStory()
    journal = journal_in(tmp_path, story, max_file_mib=0.001, keep=2)
    journal.open(story.engine.snapshot(), story.now_s)
    for line in story.record(50, rate_rps=20):
        journal.append(line, story.engine.snapshot)
    journal.close()
    assert len(files_in(tmp_path)) > 3

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        journal.tidy()
    assert len(files_in(tmp_path)) == 3
    assert list(tmp_path.glob("*.tmp")) == []


def test_a_disk_that_stays_full_leaves_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = RecordedStory()
    journal = journal_in(tmp_path, story)

    def full(line: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal, "_write", full)
    for line in story.record(50, rate_rps=20):
        with pytest.raises(OSError, match="No space left"):
            journal.append(line, story.engine.snapshot)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("")
    story = RecordedStory()
    with pytest.raises(OSError, match="exists|Not a directory"):
        journal_in(tmp_path / "j", story).open(story.engine.snapshot(), story.now_s)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "j.jsonl: is empty, must be a journal of forescale"),
        (b"hello\n", "j.jsonl:1: JSON is malformed: invalid character (byte 0), must be one record"),
        (b'{"a": 1}\n', "j.jsonl:1: has no header, must begin with a line of format"),
        (
            b'{"format": "forescale-journal", "version": 9}\n',
            "j.jsonl:1: version 9, this forescale reads version 1",
        ),
    ],
)  # fmt: skip
def test_what_is_no_journal_is_said(tmp_path: Path, text: bytes, expected: str) -> None:
    (tmp_path / "j.jsonl").write_bytes(text)
    with pytest.raises(JournalInvalid) as caught:
        replay(tmp_path / "j.jsonl")
    assert expected in str(caught.value)


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no journal"):
        replay(tmp_path)


def test_gzip_is_read_too_and_a_truncated_file_ends_the_report(tmp_path: Path) -> None:
    story = RecordedStory()
    journal = journal_in(tmp_path, story)
    journal.open(story.engine.snapshot(), story.now_s)
    for line in story.record(2000, rate_rps=20):
        journal.append(line, story.engine.snapshot)
    journal.close()
    plain = (tmp_path / "forescale.jsonl").read_bytes()
    packed = tmp_path / "copy.jsonl.gz"
    packed.write_bytes(gzip.compress(plain))
    assert replay(packed).ticks == 200
    packed.write_bytes(gzip.compress(plain)[:-100])
    report = replay(packed)
    assert 0 < report.ticks < 200
    assert report.broken is not None
    assert "can't be read" in report.broken
