"""What a journal tells of a workload's replicas: each change once, with its reason or who made it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from autoscaler.core.reasons import Reason
from autoscaler.core.types import TickRecord
from autoscaler.simulation.changes import Change, changes_of
from autoscaler.simulation.journal_file import files_since
from tests.fakes.recorded import RecordedStory


def test_files_that_ended_before_are_not_read(tmp_path: Path) -> None:
    """Named by when they ended."""
    names = [
        "forescale-20260131T010000-000.jsonl.zst",
        "forescale-20260131T030000-000.jsonl.zst",
        "forescale.jsonl",
    ]
    for name in names:
        (tmp_path / name).touch()

    def since(text: str) -> list[str]:
        at_s = datetime.fromisoformat(text).timestamp()
        return [path.name for path in files_since(tmp_path, at_s)]

    assert since("2026-01-31T01:00:00Z") == names
    assert since("2026-01-31T02:13:00Z") == names[1:]
    assert since("2026-01-31T09:00:00Z") == names[2:]


def told(records: list[TickRecord]) -> list[tuple[int, int, Reason | None]]:
    return [(one.before, one.after, one.reason) for one in changes_of(records, "team/bert")]


def test_a_rise_and_a_persons_edit() -> None:
    story = RecordedStory(replicas=2)
    story.run(120, rate_rps=10.0)
    story.run(60, rate_rps=60.0)
    risen = story.replicas
    story.scale(9)
    story.run(30)
    last = [
        replace(
            record,
            input=replace(
                record.input,
                workloads=tuple(
                    replace(w, replicas=replace(w.replicas, set_by="kubectl"))
                    for w in record.input.workloads
                ),
            ),
        )
        for record in story.records
    ]
    changes = list(changes_of(last, "team/bert"))
    by_itself, by_hand = changes[:-1], changes[-1]
    assert by_itself
    assert all(one.reason is not None for one in by_itself)
    assert (by_itself[0].before, by_itself[-1].after) == (2, risen)
    assert by_hand == Change(
        at_s=by_hand.at_s, before=risen, after=9, reason=None, message="by kubectl"
    )


def test_what_the_watch_shows_late_is_no_change() -> None:
    story = RecordedStory(replicas=2)
    story.run(120, rate_rps=25.0)
    story.run(10, rate_rps=125.0)
    raised = story.replicas
    assert raised > 2
    story._pass(10.0)
    given = story.given()
    late = replace(given, replicas=replace(given.replicas, desired=2))
    asked = replace(story.records[-1].input, now_s=story.now_s, workloads=(late,))
    result = story.engine.tick(asked)
    records = [*story.records, TickRecord(input=asked, result=result)]
    assert told(records)[-1][:2] == (2, raised)


def test_another_workload_is_left_out() -> None:
    story = RecordedStory(replicas=2)
    story.run(120, rate_rps=60.0)
    assert list(changes_of(story.records, "team/other")) == []
