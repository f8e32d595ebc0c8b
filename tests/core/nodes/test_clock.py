"""A pool's demand after a clock that was ahead."""

from __future__ import annotations

from autoscaler.core.nodes.demand import add_level
from autoscaler.core.nodes.state import ChoiceState

MONTH_S = 30 * 86400.0


def looked(state: ChoiceState, *, from_s: float, minutes: int) -> ChoiceState:
    """A tick each 10 s, with three units in use."""
    for tick in range(6 * minutes):
        state = add_level(state, 3.0, now_s=from_s + 10.0 * tick, lead_s=120.0)
    return state


def test_it_is_learned_again_once_the_clock_is_set_right() -> None:
    state = looked(ChoiceState(choice=("h100",)), from_s=60.0, minutes=60)
    assert state.growth.judged == 57
    state = looked(state, from_s=MONTH_S, minutes=10)
    ahead = state.growth.judged
    state = looked(state, from_s=3660.0, minutes=60)
    assert state.growth.judged >= ahead + 55
