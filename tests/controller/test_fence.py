"""What every write passes: by whom, until when, and what is known of one that did not succeed."""

from __future__ import annotations

import asyncio

import pytest

from autoscaler.controller.fence import Fence
from autoscaler.core.types import Outcome
from autoscaler.errors import (
    ActuationConflict,
    ActuationRejected,
    ActuationUnknown,
    LeadershipLost,
    SourceDenied,
    SourceMissing,
    SourceUnavailable,
)
from tests.fakes.clock import FakeClock, SteppedClock
from tests.fakes.controller import FakeLeadership

Answer = tuple[Outcome, str]


def unsent(outcome: Outcome, message: str) -> Answer:
    return outcome, message


@pytest.mark.parametrize(
    ("error", "outcome", "said"),
    [
        (ActuationConflict("7 now"), Outcome.CONFLICT, "7 now"),
        (ActuationRejected("422"), Outcome.REJECTED, "422"),
        (SourceDenied("403"), Outcome.REJECTED, "403"),
        (SourceMissing("404"), Outcome.CONFLICT, "404"),
        (LeadershipLost("gone"), Outcome.REJECTED, "not sent: leadership was lost"),
        (ActuationUnknown("504"), Outcome.UNKNOWN, "504"),
        (SourceUnavailable("503"), Outcome.UNKNOWN, "503"),
        (KeyError("resourceVersion"), Outcome.UNKNOWN, "KeyError: 'resourceVersion'"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_an_error_says_what_is_known_of_the_write(
    error: Exception, outcome: Outcome, said: str
) -> None:
    async def write() -> Answer:
        raise error

    fence = Fence(leadership=leading(), clock=FakeClock(), call_s=4.0)
    assert await fence.send(write, unsent, until_s=9.0) == (outcome, said)


def leading() -> FakeLeadership:
    leadership = FakeLeadership()
    leadership.leading = True
    return leadership


@pytest.mark.parametrize(
    ("calls", "until_s", "waited_s"), [(1, 9.0, 4.0), (2, 9.0, 8.0), (3, 9.0, 9.0), (1, 2.5, 2.5)]
)
async def test_a_write_has_the_time_of_its_calls_and_no_more_than_the_tick(
    calls: int, until_s: float, waited_s: float
) -> None:
    clock = SteppedClock()

    async def write() -> Answer:
        await asyncio.Event().wait()
        return Outcome.APPLIED, ""

    fence = Fence(leadership=leading(), clock=clock, call_s=4.0)
    until_s += clock.monotonic_s()
    sent = asyncio.ensure_future(fence.send(write, unsent, until_s=until_s, calls=calls))
    await clock.advance(waited_s - 0.1)
    assert not sent.done()
    await clock.advance(0.1)
    said = f"the API server did not answer within {waited_s:g} s"
    assert await sent == (Outcome.UNKNOWN, said)
