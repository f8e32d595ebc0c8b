"""The demand of one choice of pools over time: how its sum rises, and the highest that was expected of late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoscaler.core import demand
from autoscaler.core.nodes.claims import Candidate, held_by
from autoscaler.core.nodes.state import ChoiceState, Wanted

MINUTE_S = 60.0


def add_level(
    state: ChoiceState, level_units: float | None, *, now_s: float, lead_s: float
) -> ChoiceState:
    """Takes in one tick's sum; a minute of which no tick is known leaves a gap."""
    minute_s, filled_s = now_s - now_s % MINUTE_S, state.minute_s
    if filled_s is not None and minute_s != filled_s:
        if minute_s < filled_s:
            state = replace(state, growth=demand.set_back(state.growth, now_s))
        elif state.ticks:
            growth = demand.add_minute(
                state.growth,
                minute_s=filled_s,
                mean_rps=state.sum_units / state.ticks,
                highest_rps=state.highest_units,
                lead_s=lead_s,
            )
            state = replace(state, growth=growth)
        state = replace(state, ticks=0, sum_units=0.0, highest_units=0.0)
    state = replace(state, minute_s=minute_s)
    if level_units is None:
        return state
    return replace(
        state,
        ticks=state.ticks + 1,
        sum_units=state.sum_units + level_units,
        highest_units=max(state.highest_units, level_units),
    )


def with_resting(state: ChoiceState, members: Sequence[Candidate]) -> tuple[ChoiceState, int]:
    """With what is held by workloads whose group grows elsewhere, and the sum of it.

    It counts in what is expected and in what is held, so that one which begins to rest is not asked for anew. What
    such pods leave is not expected back.
    """
    held = {str(one.given.spec.id): held_by(one) for one in members if one.rests}
    left = sum(max(0, before - held[name]) for name, before in state.resting if name in held)
    wanted = tuple(replace(one, units=max(0, one.units - left)) for one in state.wanted)
    return replace(state, wanted=wanted, resting=tuple(sorted(held.items()))), sum(held.values())


def keep_highest(
    state: ChoiceState, units: int, *, now_s: float, patience_s: float
) -> tuple[ChoiceState, int]:
    """With this tick's expectation, and the highest of the last `patience_s`.

    Only what can still be the highest is kept: an older one that is no higher than a newer one never is again.
    """
    recent = [w for w in state.wanted if now_s - patience_s < w.at_s <= now_s and w.units > units]
    wanted = (*recent, Wanted(at_s=now_s, units=units))
    return replace(state, wanted=wanted), max(w.units for w in wanted)


def patience_s(given_s: float | None, lead_s: Sequence[float]) -> float:
    """As given, else one measured lead time between 300 s and 1800 s.

    A node that is let go and asked for again is paid for a lead time before it is of use. Kept for as long as that, it
    costs at most twice what the better of both does, whatever comes (ski rental: Karlin et al., Algorithmica 3, 1988).
    """
    if given_s is not None:
        return given_s
    return min(1800.0, max(300.0, max(lead_s, default=0.0)))


def beside(pool: str, choices: Sequence[ChoiceState]) -> tuple[str, ...]:
    """The other pools that workloads of this one may use."""
    others = {name for one in choices if pool in one.choice for name in one.choice}
    return tuple(sorted(others - {pool}))
