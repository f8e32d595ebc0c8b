"""`forescale replay`: what the engine of today would have decided."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import forescale


def test_replay_of_the_same_engine_finds_nothing(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = forescale(capsys, "replay", str(journal))
    assert code == 0
    assert "60 ticks over 0.16 h, 60 decisions; 0 differ" in out


def test_replay_with_another_configuration_shows_both(
    journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.yaml").write_text("engine: {max_replicas: 2}\n")
    code, out, _ = forescale(
        capsys, "replay", str(journal), "--config", f"{tmp_path}/p.yaml", "--limit", "2"
    )
    assert code == 0
    assert "replica-hours of the targets" in out
    assert "TooManyReplicas" in out
    assert "2001-09-09T01:49:30Z" in out
    assert "more (--limit)" in out


def test_replay_that_differs_is_a_missed_threshold_and_a_broken_line_a_failure(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = journal.read_bytes()
    journal.write_bytes(whole.replace(b'"target":2', b'"target":7', 1))
    assert forescale(capsys, "replay", str(journal))[0] == 99
    lines = whole.splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:30], b"{}x\n", *lines[30:]]))
    code, out, err = forescale(capsys, "replay", str(journal))
    assert code == 1
    assert "29 ticks" in out
    assert "forescale.jsonl:31: " in err


def test_what_a_writer_left_without_an_end_is_left_out(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A running controller is in the middle of its last line; one that was killed left half of one, or of a header."""
    whole = journal.read_bytes()
    folder = journal.parent / "journal"
    folder.mkdir()
    (folder / "forescale-20260101T000000-000.jsonl").write_bytes(whole[:-30])
    (folder / "forescale-20260102T000000-000.jsonl").write_bytes(whole[:40])
    (folder / "forescale.jsonl").write_bytes(b"")
    code, out, err = forescale(capsys, "replay", str(folder))
    assert code == 0
    assert out.count(" ticks over ") == 1
    assert "59 ticks" in out
    told = [line for line in err.splitlines() if line.startswith("! left out: ")]
    assert ["000.jsonl:61: " in line for line in told].count(True) == 1
    assert sum("forescale.jsonl: is empty" in line for line in told) == 1
    assert len(told) == 3
    code, out, _ = forescale(capsys, "replay", str(folder), "--json")
    (only,) = json.loads(out)
    assert (code, only["ticks"], only["broken"]) == (0, 59, None)
    assert "the writer was stopped" in only["unfinished"]
    code, out, err = forescale(capsys, "replay", str(folder / "forescale.jsonl"))
    assert (code, out) == (1, "")
    assert "forescale.jsonl: is empty, must be a journal of forescale" in err


def test_replay_as_json(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = forescale(capsys, "replay", str(journal), "--json")
    assert code == 0
    assert json.loads(out)[0]["ticks"] == 60
