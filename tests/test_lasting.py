"""What is wrong for hours is a line of the log now and then, and what changes is one at once."""

from __future__ import annotations

import logging

import pytest

from autoscaler.lasting import Lasting, LastingOfEach
from tests.fakes.clock import FakeClock

log = logging.getLogger("autoscaler.test")


async def test_it_is_told_when_it_begins_when_it_changes_each_hour_and_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    trouble = Lasting(log, clock, over="metrics are whole again")
    lines = []
    with caplog.at_level("INFO", logger="autoscaler.test"):
        for error in (None, *["no answer within 4.98 s", "no answer within 5 s"] * 300, "refused"):
            trouble.end() if error is None else trouble.tell("no metrics", error=error)
            await clock.sleep(10.0)
        trouble.end()
        trouble.end()
        trouble.tell("no metrics", error="refused")
    lines = [(line.levelname, line.msg, vars(line).get("error")) for line in caplog.records]
    assert lines == [
        ("WARNING", "no metrics", "no answer within 4.98 s"),
        ("WARNING", "no metrics", "no answer within 4.98 s"),  # an hour later
        ("WARNING", "no metrics", "refused"),
        ("INFO", "metrics are whole again", None),
        ("WARNING", "no metrics", "refused"),
    ]


async def test_several_are_told_each_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    """Headroom of two pools that is refused in each tick was twelve lines a minute."""
    trouble = LastingOfEach(log, FakeClock(), over="headroom is set again")
    with caplog.at_level("INFO", logger="autoscaler.test"):
        for _ in range(60):
            for pool in ("a100", "h100"):
                trouble.tell(pool, "headroom not set", error="quota exceeded")
        trouble.end("a100")
        trouble.end("a100")
        trouble.tell("h100", "headroom not set", error="quota exceeded")
    lines = [(line.levelname, line.msg, vars(line).get("about")) for line in caplog.records]
    assert lines == [
        ("WARNING", "headroom not set", "a100"),
        ("WARNING", "headroom not set", "h100"),
        ("INFO", "a100: headroom is set again", None),
    ]
