"""A story that keeps the record of every tick, as a journal would."""

from __future__ import annotations

from pathlib import Path

from autoscaler.core.types import ActionResult, Outcome, TickRecord, TickResult
from autoscaler.simulation.journal_file import JournalHeader, header_line, record_line
from tests.core.story import Story


class RecordedStory(Story):
    """See Story."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.records: list[TickRecord] = []

    def tick(self) -> TickResult:
        result = super().tick()
        assert self.last is not None
        actions = tuple(
            ActionResult(action=a, outcome=Outcome.APPLIED) for a in result.plan.actions
        )
        self.records.append(TickRecord(input=self.last, result=result, actions=actions))
        return result

    def record(self, seconds: float, *, rate_rps: float | None = None) -> list[TickRecord]:
        """Runs on and returns the records of that time."""
        before = len(self.records)
        self.run(seconds, rate_rps=rate_rps)
        return self.records[before:]


def surge_journal(folder: Path) -> Path:
    """Ten minutes in a file: calm, a surge, calm, 200 s each."""
    story = RecordedStory()
    header = JournalHeader(config=story.config, state=story.engine.snapshot())
    for rate_rps in (10.0, 60.0, 10.0):
        story.run(200, rate_rps=rate_rps)
    path = folder / "forescale.jsonl"
    path.write_bytes(header_line(header) + b"".join(record_line(r) for r in story.records))
    return path
