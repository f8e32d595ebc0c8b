"""The parts of a tick that are about the fleet: what fails stops nothing else, and no memory of it holds for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler import codec
from autoscaler.core import border
from autoscaler.core.border import BRAKES, PACKING, POOLS, SCARCE, SLICES, Part
from autoscaler.core.reasons import Reason
from autoscaler.core.state import EngineState, FleetMove, FleetState
from autoscaler.core.types import Finding, TickInput
from tests.core.story import Story

SPOILT = FleetState(moves=(FleetMove(at_s=0.0, gpus=-1.0),))


def answers(state: EngineState) -> int:
    """Fails with what the fleet remembers, and says how many moves it knows otherwise."""
    if state.fleet == SPOILT:
        raise KeyError("gpus")
    return len(state.fleet.moves)


def ticks(
    count: int, state: EngineState, *, since_s: float = 0.0
) -> tuple[list[int | None], EngineState, tuple[Finding, ...]]:
    """So many, 10 s apart: the answers, and what is left and told in the end."""
    found: list[int | None] = []
    told: tuple[Finding, ...] = ()
    for number in range(count):
        passed = border.passed(BRAKES, answers, state, since_s + 10.0 * number)
        found.append(passed.answer)
        state, told = passed.state, passed.findings
    return found, state, told


def test_what_goes_well_leaves_no_trace() -> None:
    found, state, told = ticks(3, EngineState())
    assert (found, state, told) == ([0, 0, 0], EngineState(), ())


def test_after_six_failures_it_goes_on_with_an_empty_memory() -> None:
    before = EngineState(fleet=SPOILT, last_now_s=5.0)
    found, state, told = ticks(5, before)
    assert (found, state.fleet) == ([None] * 5, SPOILT)
    assert [finding.reason for finding in told] == [Reason.INTERNAL_ERROR]
    found, state, told = ticks(1, state, since_s=50.0)
    assert (found, state.fleet, state.last_now_s) == ([None], FleetState(), 5.0)
    assert [finding.reason for finding in told] == [Reason.INTERNAL_ERROR, Reason.MEMORY_SET_ASIDE]
    assert told[1].message.startswith("all held: 6 times in a row by KeyError: 'gpus'")
    found, state, told = ticks(2, state, since_s=60.0)
    assert (found, [finding.reason for finding in told]) == ([0, 0], [Reason.MEMORY_SET_ASIDE])
    saved = codec.decode(codec.encode(state), EngineState)
    assert [(item.part, item.failing, item.anew_s) for item in saved.parts] == [
        ("all held", None, 50.0)
    ]
    found, state, told = ticks(1, saved, since_s=86_450.0)
    assert (state.parts, told) == ((), ())


def test_a_memory_that_is_not_to_blame_stays() -> None:
    state = EngineState(fleet=SPOILT)

    def fails(_: EngineState) -> int:
        raise KeyError("x")

    for number in range(20):
        state = border.passed(BRAKES, fails, state, 10.0 * number).state
    assert state.fleet == SPOILT
    assert [(item.part, item.failing and item.failing.ticks) for item in state.parts] == [
        ("all held", 20)
    ]


@pytest.mark.parametrize("part", [SLICES, PACKING, SCARCE, BRAKES, POOLS])
def test_each_part_gives_up_its_own_memory_only(part: Part) -> None:
    state = EngineState(fleet=SPOILT, last_now_s=5.0)
    emptied = part.emptied(state)
    assert emptied.last_now_s == 5.0
    assert (emptied.fleet == SPOILT) == (part is not BRAKES)


def test_brakes_that_fail_hold_all_and_end_no_tick() -> None:
    story = Story(replicas=2)
    story.run(600, rate_rps=25)
    left = story.engine.snapshot()
    (state,) = left.workloads
    torn = replace(state.growth, minutes=((0.0, None, 0.0),) * 60)  # type: ignore[arg-type]
    story.engine.restore(replace(left, workloads=(replace(state, growth=torn),)))
    story._pass(10.0)
    story.rate_rps = 120.0
    result = story.engine.tick(TickInput(now_s=story.now_s, workloads=(story.given(),)))
    assert [decision.target for decision in result.decisions] == [2]
    assert result.plan.actions == ()
    assert [finding.reason for finding in result.fleet] == [Reason.INTERNAL_ERROR]
