"""Borders between the parts of a tick that are about the fleet as a whole: an error in one stops none of the others.

As with a workload's memory (`anew.py`), what a part remembers may be what makes it fail, and outlives every restart.
After `TICKS` in a row it is tried with an empty memory, and goes on with that if it works then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from autoscaler.core import fault
from autoscaler.core.anew import KEPT_S, TICKS, goes, one_more
from autoscaler.core.nodes.state import NodesState
from autoscaler.core.reasons import Reason
from autoscaler.core.slices.state import SlicesState
from autoscaler.core.state import EngineState, FleetState, PartState
from autoscaler.core.types import Finding

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the tick."""

    undone: str
    """What an error leaves undone, in words; names the part."""
    emptied: Callable[[EngineState], EngineState]
    """What is remembered, less what is of this part."""


SLICES = Part(undone="slices held", emptied=lambda state: replace(state, slices=SlicesState()))
PACKING = Part(
    undone="the packing is asked with this tick's demand",
    emptied=lambda state: replace(state, slices=replace(state.slices, demands=())),
)
SCARCE = Part(
    undone="scarce GPUs not divided",
    emptied=lambda state: replace(state, nodes=replace(state.nodes, stuck=())),
)
BRAKES = Part(undone="all held", emptied=lambda state: replace(state, fleet=FleetState()))
POOLS = Part(
    undone="node pools held",
    emptied=lambda state: replace(state, nodes=NodesState(stuck=state.nodes.stuck)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed(Generic[R]):
    """What came of a part."""

    answer: R | None
    """None: an error ended it."""
    state: EngineState
    findings: tuple[Finding, ...] = ()


def passed(
    part: Part, work: Callable[[EngineState], R], state: EngineState, now_s: float
) -> Passed[R]:
    """`work` answers with what is remembered, or raises whatever a defect raises."""
    others = [item for item in state.parts if item.part != part.undone]
    known = next((item for item in state.parts if item.part == part.undone), None)
    known = known or PartState(part=part.undone)
    answer, found = None, []
    try:
        answer = work(state)
    except Exception as error:  # noqa: BLE001 - this is the border
        known = replace(known, failing=one_more(known.failing, error, now_s))
        found.append(fault.finding(part.undone, error))
        state, known = _without_it(part, work, state, known, now_s)
    else:
        if known.failing is not None:
            known = replace(known, failing=None)
    if known.anew_s is not None and now_s - known.anew_s >= KEPT_S:
        known = replace(known, anew_s=None)
    if known.anew_s is not None:
        found.append(_told(known))
    parts = (*others, known) if known.failing or known.anew_s is not None else tuple(others)
    if parts != state.parts:
        state = replace(state, parts=parts)
    return Passed(answer=answer, state=state, findings=tuple(found))


def _without_it(
    part: Part, work: Callable[[EngineState], R], state: EngineState, known: PartState, now_s: float
) -> tuple[EngineState, PartState]:
    """What to go on with where the memory is to blame; as given where that can't be said."""
    if known.failing is None or known.failing.ticks % TICKS:
        return state, known
    emptied = part.emptied(state)
    if not goes(work, emptied):
        return state, known
    return emptied, replace(known, failing=None, anew_s=now_s, error=known.failing.error)


def _told(known: PartState) -> Finding:
    return Finding(
        reason=Reason.MEMORY_SET_ASIDE,
        message=(
            f"{known.part}: {TICKS} times in a row by {known.error}, and not without what was remembered: it began anew"
        ),
    )
