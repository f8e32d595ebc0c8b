"""A journal that commands read."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler.simulation.journal_file import JournalHeader, header_line, record_line
from tests.fakes.recorded import RecordedStory


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Ten minutes, calm, a burst, calm."""
    story = RecordedStory()
    header = JournalHeader(config=story.config, state=story.engine.snapshot())
    for rate in (10.0, 60.0, 10.0):
        story.run(200, rate_rps=rate)
    path = tmp_path / "forescale.jsonl"
    path.write_bytes(header_line(header) + b"".join(record_line(r) for r in story.records))
    return path
