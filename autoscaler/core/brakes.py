"""The fleet's brakes: however good each reason is, the fleet as a whole moves only so far in ten minutes.

Many workloads losing half their demand at once is far more often a broken ingress, exporter or relabelling than a
saving, so it is a hold. Moves up are braked far later than moves down.

Only what was made counts. A write that is refused is asked for again in each tick: 24 workloads that want two replicas
more, behind a webhook that hangs, would use up an allowance of 64 GPUs in two ticks, and no other workload could grow.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from autoscaler.core.reasons import Reason
from autoscaler.core.settings import FleetBrakes
from autoscaler.core.state import FleetGrant, FleetMove, FleetState
from autoscaler.core.types import (
    ActionResult,
    Decision,
    Finding,
    Mode,
    Outcome,
    WorkloadId,
    WorkloadSpec,
)

GROWTH_WINDOW_S = 3600.0
MADE = frozenset({Outcome.APPLIED, Outcome.UNCHANGED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A change that one workload's decision asks for."""

    workload: WorkloadId
    priority: int
    current: int
    target: int
    gpus_per_replica: float
    unproven_gpus: float = math.inf
    """What of its growth has not shown yet that it was needed: the replicas that start, while those that are ready have
    more to do than they carry. Infinite: nothing shows it."""

    @property
    def gpus(self) -> float:
        return (self.target - self.current) * self.gpus_per_replica


@dataclass(frozen=True, slots=True, kw_only=True)
class Braked:
    """Which wishes are cut, to which number and why; what the fleet remembers."""

    cuts: dict[WorkloadId, tuple[int, Reason, str]]
    state: FleetState
    findings: tuple[Finding, ...]


def wishes(specs: Mapping[WorkloadId, WorkloadSpec], decided: Sequence[Decision]) -> list[Wish]:
    """The changes that would be carried out."""
    return [
        Wish(
            workload=d.workload,
            priority=specs[d.workload].priority,
            current=d.current,
            target=d.target,
            gpus_per_replica=specs[d.workload].gpus_per_replica,
            unproven_gpus=_unproven_gpus(d, specs[d.workload].gpus_per_replica),
        )
        for d in decided
        if d.mode is Mode.AUTO and d.target != d.current
    ]


def _unproven_gpus(decided: Decision, gpus_per_replica: float) -> float:
    facts = decided.facts
    offered_rps, capacity_rps, ready = facts.offered_rps, facts.capacity_rps, facts.ready
    if offered_rps is None or capacity_rps is None or ready is None or facts.starting is None:
        return math.inf
    overloaded = offered_rps >= ready * capacity_rps
    return facts.starting * gpus_per_replica if overloaded else math.inf


def correlated_drop(changes: list[tuple[float, float]], settings: FleetBrakes) -> str | None:
    """A sentence if so many workloads dropped together that it can't be demand; `changes` holds (before, now) in rps.

    Workloads without traffic before can't drop and do not count.
    """
    judged = [(before, now) for before, now in changes if before > 0.0]
    if len(judged) < settings.correlated_workloads:
        return None
    dropped = sum(
        1 for before, now in judged if now <= (1.0 - settings.correlated_drop_ratio) * before
    )
    if dropped < settings.correlated_share_ratio * len(judged):
        return None
    return (
        f"{dropped} of {len(judged)} workloads lost {settings.correlated_drop_ratio:.0%} of their demand within "
        f"{settings.correlated_window_s:.0f} s: taken for a fault of the measurement, nothing is scaled down"
    )


def acknowledged(state: FleetState, results: Sequence[ActionResult]) -> FleetState:
    """What was made counts for good, what was not is taken back. Of what may have been made the next tick can tell."""
    outcomes = {result.action.workload: result.outcome for result in results}
    told = [grant for grant in state.unsure if grant.workload in outcomes]
    open_ = {grant for grant in told if outcomes[grant.workload] is Outcome.UNKNOWN}
    undone = [
        grant for grant in told if grant not in open_ and outcomes[grant.workload] not in MADE
    ]
    return replace(
        state,
        moves=_without(state.moves, undone),
        unsure=tuple(g for g in state.unsure if g.workload not in outcomes or g in open_),
    )


def settled(state: FleetState, replicas: Mapping[WorkloadId, int]) -> FleetState:
    """What is still as it was before has not been made; of anything else there is no telling, and it counts.

    What moved a workload that has left the fleet moves it no more: a namespace whose 50 workloads were given two GPUs
    each, and that is deleted, would leave all others without an allowance, and what they may let go would be raised.
    """
    undone = [g for g in state.unsure if replicas.get(g.workload) == g.before]
    moves = [
        move
        for move in _without(state.moves, undone)
        if move.workload is None or move.workload in replicas
    ]
    return replace(state, moves=tuple(moves), unsure=())


def apply(
    wished: list[Wish],
    state: FleetState,
    *,
    fleet_gpus: float,
    now_s: float,
    settings: FleetBrakes,
    drop: str | None,
) -> Braked:
    """Grants what is wished by priority, then by name, while the window's allowance lasts. `state` is settled."""
    remembered = tuple(m for m in state.moves if now_s - GROWTH_WINDOW_S < m.at_s <= now_s)
    moves = tuple(m for m in remembered if now_s - settings.window_s < m.at_s)
    longest_s = now_s + settings.correlated_window_s
    hold_until_s = longest_s if drop else state.hold_down_until_s
    if hold_until_s is not None:
        # One that would last longer is of a clock that was ahead.
        hold_until_s = min(hold_until_s, longest_s)
    held = hold_until_s is not None and now_s < hold_until_s
    left = _left_gpus(
        moves,
        fleet_gpus,
        settings,
        came=_came_gpus(moves, wished),
        came_lately=sum(m.gpus for m in remembered),
    )
    cuts: dict[WorkloadId, tuple[int, Reason, str]] = {}
    granted = {True: 0.0, False: 0.0}
    unsure: list[FleetGrant] = []
    for wish in sorted(wished, key=lambda w: (-w.priority, w.workload)):
        up = wish.target > wish.current
        if held and not up:
            message = drop or "demand of many workloads fell together a moment ago"
            cuts[wish.workload] = (wish.current, Reason.CORRELATED_DROP, message)
            continue
        given = _part(wish, left[up] - granted[up])
        gpus = given * wish.gpus_per_replica
        granted[up] += gpus
        if gpus:
            unsure.append(_grant(wish, gpus if up else -gpus, now_s))
        if given < abs(wish.target - wish.current):
            number = wish.current + (given if up else -given)
            cuts[wish.workload] = (number, Reason.FLEET_BRAKE, _words(up, settings))
    made = [FleetMove(at_s=now_s, gpus=grant.gpus, workload=grant.workload) for grant in unsure]
    return Braked(
        cuts=cuts,
        state=FleetState(
            moves=(*remembered, *made),
            unsure=tuple(unsure),
            hold_down_until_s=hold_until_s if held else None,
        ),
        findings=_findings(cuts, drop, settings),
    )


def _grant(wish: Wish, gpus: float, now_s: float) -> FleetGrant:
    return FleetGrant(workload=wish.workload, at_s=now_s, before=wish.current, gpus=gpus)


def _without(moves: tuple[FleetMove, ...], undone: Collection[FleetGrant]) -> tuple[FleetMove, ...]:
    back = {(grant.at_s, grant.workload) for grant in undone}
    return tuple([move for move in moves if (move.at_s, move.workload) not in back])


def _left_gpus(
    moves: tuple[FleetMove, ...],
    fleet_gpus: float,
    settings: FleetBrakes,
    *,
    came: float,
    came_lately: float,
) -> dict[bool, float]:
    """GPUs that may still move up (True) and down (False), as a share of the fleet at the window's start.

    `came`: what of the growth since then has not shown that it was needed. The rest is a part of the fleet.

    What came within the hour and has not gone again may go: of 7 GPUs that a spike made 34, 27 are no part of the base
    that the brake is there for.
    """
    went = -sum(m.gpus for m in moves if m.gpus < 0.0)
    down = max(
        settings.min_allowance_gpus,
        settings.max_down_ratio * (fleet_gpus + went),
        came_lately + went,
    )
    up = max(settings.min_up_allowance_gpus, settings.max_up_ratio * max(0.0, fleet_gpus - came))
    return {True: up - came, False: down - went}


def _came_gpus(moves: Collection[FleetMove], wished: Collection[Wish]) -> float:
    """What was added, as far as nothing shows yet that it was needed.

    Of a runaway - a forecast or a rate that is wrong - the new replicas idle. Those that are ready and have more to do
    than they carry are none: 40 replicas whose demand becomes fivefold would else be 120 for ten minutes, and miss all.
    """
    unproven = {wish.workload: wish.unproven_gpus for wish in wished}
    came: dict[WorkloadId | None, float] = {}
    for move in moves:
        if move.gpus > 0.0:
            came[move.workload] = came.get(move.workload, 0.0) + move.gpus
    return sum(
        [
            gpus if workload is None else min(gpus, unproven.get(workload, math.inf))
            for workload, gpus in came.items()
        ]
    )


def _findings(
    cuts: dict[WorkloadId, tuple[int, Reason, str]], drop: str | None, settings: FleetBrakes
) -> tuple[Finding, ...]:
    findings = [Finding(reason=Reason.CORRELATED_DROP, message=drop)] if drop else []
    braked = sum(1 for _, reason, _ in cuts.values() if reason is Reason.FLEET_BRAKE)
    if braked:
        minutes = settings.window_s / 60.0
        message = (
            f"{braked} workloads wait: what the fleet may move in {minutes:.0f} minutes is used up"
        )
        findings.append(Finding(reason=Reason.FLEET_BRAKE, message=message))
    return tuple(findings)


def _part(wish: Wish, left_gpus: float) -> int:
    """How many replicas of the wish the allowance covers."""
    size = abs(wish.target - wish.current)
    if wish.gpus_per_replica <= 0.0:
        return size
    return max(0, min(size, int(left_gpus / wish.gpus_per_replica + 1e-9)))


def _words(up: bool, settings: FleetBrakes) -> str:
    ratio, direction = (settings.max_up_ratio, "up") if up else (settings.max_down_ratio, "down")
    span = f"{ratio:.0%} of it in {settings.window_s / 60:.0f} minutes"
    return f"the fleet's brake for moves {direction} ({span}) is reached"
