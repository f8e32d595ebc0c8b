"""What becomes of a memory with which a workload's decision fails.

An error ends one decision: the workload is held. Where the next ones end so too, it may be the memory that does it,
and that outlives every restart. After `TICKS` in a row the decision is tried with an empty memory. If it goes with
that, the memory is set aside - kept for a day, and told of - and learning begins anew. If it does not, the memory is
not to blame and stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from autoscaler.core import fault
from autoscaler.core.demand import Growth
from autoscaler.core.reasons import Reason
from autoscaler.core.state import Failing, SetAside, WorkloadState
from autoscaler.core.types import Finding, WorkloadId

M = TypeVar("M")

TICKS = 6
"""A minute. What ends sooner, as the input of a moment does, costs nothing that was learned."""
KEPT_S = 86400.0
# Each is as large as a workload's part of the checkpoint.
MOST_KEPT = 10


def counted(state: WorkloadState, error: Exception, now_s: float) -> WorkloadState:
    """The memory after one more tick that ended in an error."""
    return replace(state, failing=one_more(state.failing, error, now_s))


def one_more(failing: Failing | None, error: Exception, now_s: float) -> Failing:
    """After a tick that ended in an error."""
    before = failing or Failing(since_s=now_s)
    return replace(before, ticks=before.ticks + 1, error=fault.told(error))


def recovered(state: WorkloadState) -> WorkloadState:
    """The memory after a tick that did not."""
    return state if state.failing is None else replace(state, failing=None)


def without_it(
    state: WorkloadState,
    attempt: Callable[[WorkloadState], object],
    past: Callable[[], Growth],
    *,
    now_s: float,
) -> WorkloadState | None:
    """A memory to go on with in place of one that fails; None: it is too soon to say, or no memory is of any help.

    `attempt` decides with a memory, or raises; `past` is what the history teaches anew.
    """
    if state.failing is None or state.failing.ticks % TICKS:
        return None
    empty = WorkloadState(id=state.id, first_seen_s=now_s)
    # What a person asked for and what was written were not learned, and stay unless it is they that fail.
    own = replace(empty, floor=state.floor, written=state.written)
    found = next((memory for memory in (own, empty) if goes(attempt, memory)), None)
    if found is None:
        return None
    # What the history teaches may be what fails.
    if not goes(lambda memory: attempt(replace(memory, growth=past())), found):
        return found
    return replace(found, growth=past())


def goes(attempt: Callable[[M], object], memory: M) -> bool:
    """Whether it does not raise."""
    try:
        attempt(memory)
    except Exception:  # noqa: BLE001 - whether it raises is what is asked
        return False
    return True


def set_aside(
    known: Iterable[SetAside], state: WorkloadState, now_s: float
) -> tuple[SetAside, ...]:
    """With one more; of a workload that it happened to before, the first, which had learned for longest, is kept."""
    assert state.failing is not None
    others = [item for item in known if item.learned.id != state.id]
    before = next((item for item in known if item.learned.id == state.id), None)
    first = before or SetAside(learned=state, at_s=now_s, error=state.failing.error, times=0)
    return (*others, replace(first, at_s=now_s, times=first.times + 1))[-MOST_KEPT:]


def still_kept(known: Iterable[SetAside], now_s: float) -> tuple[SetAside, ...]:
    """Those of the last day."""
    return tuple(item for item in known if now_s - item.at_s < KEPT_S)


def finding(known: Iterable[SetAside], workload: WorkloadId) -> Finding | None:
    """What is told of a workload whose memory was set aside."""
    item = next((item for item in known if item.learned.id == workload), None)
    if item is None:
        return None
    often = "" if item.times == 1 else f", {item.times} times by now"
    return Finding(
        reason=Reason.MEMORY_SET_ASIDE,
        message=(
            f"{TICKS} decisions in a row ended in {item.error}, and one without what was learned did not: it was set "
            f"aside and learning began anew{often}"
        ),
    )
