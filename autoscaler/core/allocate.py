"""Who gets the GPUs when fewer are to be had than asked for.

In this order, for each pool by itself:

1. Floors: every workload's least replicas, before anybody's next one; by priority where even these do not fit.
2. A tenth of what is left goes by worth alone. With the floors it keeps a low priority from starving, and needs no
   memory.
3. The rest goes by priority, and within one by worth: the violations that the next replica avoids for each GPU.

A replica that runs is worth a little more than one that does not, so that noise moves nothing. An unknown worth
lowers nothing: replicas that run go before those whose worth is known, further ones after. Every cut names who was
served instead.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from autoscaler.core.types import WorkloadId

OPEN_RATIO = Fraction(1, 10)
"""Of what is left after the floors; goes by worth alone."""
HELD_BONUS = Fraction(6, 5)
"""On the worth of a replica that runs already."""
NAMED = 3
"""How many of those that were served instead a cut names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one workload asks of a pool."""

    workload: WorkloadId
    pool: str
    priority: int
    floor: int
    held: int
    """Replicas that run or start now."""
    wanted: int
    milligpus: int
    """Of one replica, in thousandths of `unit`."""
    unit: str = "GPUs"
    """What the pool's supply counts, as people read it."""
    worth: tuple[float, ...] | None = None
    """Violations a second that each replica beyond the floor avoids, the first one first; None: not known.

    Replicas beyond its end are worth what the last one is.
    """


class Rule(StrEnum):
    """By which rule a replica was served."""

    FLOOR = "floor"
    OPEN = "open share"
    PRIORITY = "priority"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A workload that gets fewer replicas than it asked for."""

    workload: WorkloadId
    wanted: int
    given: int
    instead: tuple[WorkloadId, ...]
    """Who was served with what it lacks, the last one served first."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Replicas for each workload, and every cut."""

    given: dict[WorkloadId, int]
    cuts: tuple[Cut, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """One replica that was given, and what spoke for it."""

    claim: Claim
    rule: Rule
    worth: Fraction | None


def allocate(claims: Sequence[Claim], supply_milligpus: Mapping[str, int | None]) -> Allocation:
    """Divides what each pool has. Where a pool's supply is None or not named, nothing is known to be scarce nor cut.

    Supply counts what the claims hold now as well as what is free.
    """
    given: dict[WorkloadId, int] = {}
    cuts: list[Cut] = []
    for pool in sorted({claim.pool for claim in claims}):
        mine = sorted(
            (claim for claim in claims if claim.pool == pool), key=lambda claim: claim.workload
        )
        supply = supply_milligpus.get(pool)
        if supply is None:
            given |= {claim.workload: claim.wanted for claim in mine}
            continue
        served = _serve(mine, supply)
        for claim in mine:
            given[claim.workload] = sum(1 for one in served if one.claim is claim)
        cuts += [
            _cut(claim, given[claim.workload], served, supply)
            for claim in mine
            if given[claim.workload] < claim.wanted
        ]
    return Allocation(given=given, cuts=tuple(cuts))


def _serve(claims: Sequence[Claim], supply: int) -> list[_Served]:
    """Every replica that is given, in the order in which it was."""
    served: list[_Served] = []
    given: dict[WorkloadId, int] = {claim.workload: 0 for claim in claims}
    left = supply
    for claim in sorted(claims, key=lambda claim: (-claim.priority, claim.workload)):
        for _ in range(min(claim.floor, claim.wanted)):
            if claim.milligpus > left:
                break
            left -= claim.milligpus
            given[claim.workload] += 1
            served.append(_Served(claim=claim, rule=Rule.FLOOR, worth=None))
    reserve = left - int(left * OPEN_RATIO)
    left = reserve + _by_rank(claims, given, served, left - reserve, Rule.OPEN)
    _by_rank(claims, given, served, left, Rule.PRIORITY)
    return served


def _by_rank(
    claims: Sequence[Claim],
    given: dict[WorkloadId, int],
    served: list[_Served],
    left: int,
    rule: Rule,
) -> int:
    """Gives one replica at a time to whoever ranks first, past those that do not fit; what is left then."""
    queue = [
        (_rank(claim, given[claim.workload], rule), claim.workload, index)
        for index, claim in enumerate(claims)
        if given[claim.workload] < claim.wanted
    ]
    heapq.heapify(queue)
    while queue:
        _, _, index = heapq.heappop(queue)
        claim = claims[index]
        if claim.milligpus > left:
            continue
        count = given[claim.workload]
        left -= claim.milligpus
        given[claim.workload] = count + 1
        served.append(_Served(claim=claim, rule=rule, worth=_worth(claim, count)))
        if count + 1 < claim.wanted:
            heapq.heappush(queue, (_rank(claim, count + 1, rule), claim.workload, index))
    return left


def _rank(claim: Claim, count: int, rule: Rule) -> tuple[int, int, Fraction, Fraction]:
    """Least first: priority, what runs with a worth unknown, worth for each GPU, then who has least of its wish."""
    worth, runs = _worth(claim, count), count < claim.held
    known = 1 if worth is not None else (0 if runs else 2)
    bonus = HELD_BONUS if runs else Fraction(1)
    per_gpu = (worth or Fraction(0)) * bonus / max(1, claim.milligpus)
    priority = -claim.priority if rule is Rule.PRIORITY else 0
    return priority, known, -per_gpu, Fraction(count, max(1, claim.wanted))


def _worth(claim: Claim, count: int) -> Fraction | None:
    """Of the next replica when it has `count`."""
    if not claim.worth:
        return None
    beyond = max(0, count - claim.floor)
    return Fraction(max(0.0, claim.worth[min(beyond, len(claim.worth) - 1)]))


def _cut(claim: Claim, count: int, served: Sequence[_Served], supply: int) -> Cut:
    """Who got what it lacks: those that were served by the rule that passed it over, the last ones first."""
    others: dict[WorkloadId, _Served] = {}
    for one in reversed(served):
        if one.claim is not claim and (count < claim.floor or one.rule is not Rule.FLOOR):
            others.setdefault(one.claim.workload, one)
    first = list(others.values())[:NAMED]
    lacking = claim.wanted - count
    words = "; ".join(_why(one, claim, count) for one in first) or "nobody else was served"
    return Cut(
        workload=claim.workload,
        wanted=claim.wanted,
        given=count,
        instead=tuple(one.claim.workload for one in first),
        message=(
            f"{lacking} of {claim.wanted} replicas wait: {claim.pool} has {supply / 1000:g} {claim.unit}, "
            f"{lacking * claim.milligpus / 1000:g} more are asked for; {words}"
        ),
    )


def _why(one: _Served, claim: Claim, count: int) -> str:
    other = one.claim
    if one.rule is Rule.FLOOR:
        return f"{other.workload} was served its floor of {other.floor}"
    if one.rule is Rule.PRIORITY and other.priority > claim.priority:
        return (
            f"{other.workload} goes first with priority {other.priority} against {claim.priority}"
        )
    theirs, mine = one.worth, _worth(claim, count)
    if theirs is None or mine is None:
        return f"{other.workload} goes first: how many violations a replica avoids is not known of both"
    return (
        f"{other.workload} goes first: each of the {claim.unit} there avoids {_per_gpu(theirs, other):.3g} violations "
        f"a second, {_per_gpu(mine, claim):.3g} here"
    )


def _per_gpu(worth: Fraction, claim: Claim) -> float:
    return float(worth * 1000 / max(1, claim.milligpus))


# ---------------------------------------------------------------- what can't be scheduled


class Gate(StrEnum):
    """Why further replicas do not come to be."""

    PENDING = "no node has room"
    QUOTA = "a quota or Kueue holds them back"
    FAILED_CREATE = "the ReplicaSet can't create pods"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """Replicas that were asked for and do not come."""

    gate: Gate
    count: int
    since_s: float


def ceiling(
    *, scheduled: int, stuck: Stuck | None, now_s: float, patience_s: float
) -> tuple[int, str] | None:
    """The most that is worth asking for while replicas are stuck, and why; None: there is no such limit.

    One more than what is scheduled stays asked for: it is what a node autoscaler reacts to, and what shows when there
    is room again. A ceiling lowers wishes, never what runs, and leaves every way down open.
    """
    if stuck is None or stuck.count <= 0 or now_s - stuck.since_s < patience_s:
        return None
    minutes = (now_s - stuck.since_s) / 60.0
    return scheduled + 1, (
        f"{stuck.count} replicas have been stuck for {minutes:.0f} minutes ({stuck.gate}): no more than one is asked "
        f"for beyond the {scheduled} that are scheduled"
    )
