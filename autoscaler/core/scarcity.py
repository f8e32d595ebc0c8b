"""Step 6: when less is to be had than asked for, who gets it - and what is not worth asking for.

    what can't be scheduled -> what the pools have -> allocate -> cuts, each with who was served instead

Nothing is cut where the supply is not known. A workload that may run elsewhere too, in a pool that nobody named, is
not cut either. What is cut below what runs goes to whoever `allocate` puts first, and no lower than min-replicas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autoscaler.core.allocate import Claim, Gate, Stuck, allocate, ceiling
from autoscaler.core.counterfactual import one_fewer
from autoscaler.core.need import Need, objective_of
from autoscaler.core.nodes import backend, lead, supply
from autoscaler.core.nodes.choice import choice_of
from autoscaler.core.nodes.observed import PoolInput
from autoscaler.core.nodes.settings import NodeSettings, PoolSettings
from autoscaler.core.nodes.state import NodesState, PoolState, StuckSince
from autoscaler.core.reasons import Reason
from autoscaler.core.types import (
    Decision,
    Mode,
    Pause,
    PodStatus,
    WorkloadId,
    WorkloadInput,
)

STAGE = "allocate"
SHORTEST_PATIENCE_S = 300.0
PATIENCE_LEADS = 2.0
# Of one workload: beyond, every replica is worth what the last one is.
MOST_WORTHS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The decisions after the division, and since when which workloads are stuck."""

    decisions: tuple[Decision, ...]
    stuck: tuple[StuckSince, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seat:
    """One workload and where it may run."""

    given: WorkloadInput
    decision: Decision
    need: Need | None
    pools: tuple[str, ...]

    @property
    def count(self) -> int:
        """Units that one replica holds."""
        needs = self.given.spec.node_needs
        return needs.count if needs is not None else 0

    @property
    def moves(self) -> bool:
        """Whether its number is forescale's to change."""
        return (
            self.decision.mode is Mode.AUTO
            and self.given.replicas.held_by is None
            and (self.given.replicas.desired > 0 or self.decision.target > 0)
        )

    @property
    def placed(self) -> int:
        """Pods that are on a node."""
        return sum(1 for pod in _alive(self.given) if not pod.unschedulable and not pod.gated)

    @property
    def lowest(self) -> int:
        """No cut goes below this: what a person asks for, and what may not be lowered now."""
        spec, current = self.given.spec, self.decision.current
        frozen = spec.pause in (Pause.DOWN, Pause.ALL) or self.given.replicas.rollout
        least = min(spec.min_replicas, self.decision.target)
        return max(least, current if frozen or not self.given.pods_known else 0)


def share(
    inputs: Sequence[WorkloadInput],
    decisions: Sequence[Decision],
    needs: Mapping[WorkloadId, Need],
    pools: Sequence[PoolInput],
    state: NodesState,
    *,
    settings: NodeSettings,
    now_s: float,
) -> Shared:
    """Every decision, lowered where what it asks for can't be had."""
    seats = [
        _Seat(
            given=given,
            decision=decision,
            need=needs.get(given.spec.id),
            pools=choice_of(given.spec.node_needs, settings.pools, pools),
        )
        for given, decision in zip(inputs, decisions, strict=True)
    ]
    seen = {item.pool: item for item in pools}
    known = {item.pool: item for item in state.pools}
    seats, stuck = _not_chased(seats, seen, known, state.stuck, settings=settings, now_s=now_s)
    seats = _divided(seats, seen, known, settings.pools)
    return Shared(decisions=tuple(seat.decision for seat in seats), stuck=stuck)


# ---------------------------------------------------------------- what can't be scheduled


def _not_chased(
    seats: list[_Seat],
    seen: Mapping[str, PoolInput],
    known: Mapping[str, PoolState],
    before: Sequence[StuckSince],
    *,
    settings: NodeSettings,
    now_s: float,
) -> tuple[list[_Seat], tuple[StuckSince, ...]]:
    """Wishes held at one beyond what is scheduled, for workloads whose replicas have been stuck for long enough."""
    since = {item.workload: item.since_s for item in before}
    after, kept = [], []
    for seat in seats:
        found = _stuck(seat, seen)
        if found is None or not seat.moves:
            after.append(seat)
            continue
        gate, count = found
        since_s = min(now_s, since.get(seat.given.spec.id, now_s))
        kept.append(StuckSince(workload=seat.given.spec.id, since_s=since_s))
        limit = ceiling(
            scheduled=seat.placed,
            stuck=Stuck(gate=gate, count=count, since_s=since_s),
            now_s=now_s,
            patience_s=_patience_s(seat, known, settings),
        )
        after.append(
            seat if limit is None else _lowered(seat, limit[0], Reason.SCHEDULING_CEILING, limit[1])
        )
    return after, tuple(kept)


def _stuck(seat: _Seat, seen: Mapping[str, PoolInput]) -> tuple[Gate, int] | None:
    """What keeps its replicas from running, and how many; None: nothing, or nodes for them are on their way."""
    given = seat.given
    if not given.pods_known or given.spec.node_needs is None:
        return None
    alive = _alive(given)
    if given.replicas.blocked is not None and len(alive) < given.replicas.desired:
        return Gate.FAILED_CREATE, given.replicas.desired - len(alive)
    gated = sum(1 for pod in alive if pod.gated)
    if gated:
        return Gate.QUOTA, gated
    pending = sum(1 for pod in alive if pod.unschedulable)
    inputs = [seen[name] for name in seat.pools if name in seen]
    coming = any(backend.coming(item.nodes) for item in inputs)
    blind = any(item.stale is not None for item in inputs)
    if not pending or not inputs or coming or blind:
        return None
    return Gate.PENDING, pending


def _patience_s(seat: _Seat, known: Mapping[str, PoolState], settings: NodeSettings) -> float:
    if settings.stuck_patience_s is not None:
        return settings.stuck_patience_s
    leads_s = [
        lead.lead_time_s(
            known.get(name) or PoolState(pool=name),
            (),
            seed_s=settings.pools[name].lead_time_s,
            now_s=0.0,
        )
        for name in seat.pools
    ]
    return max([SHORTEST_PATIENCE_S, *(PATIENCE_LEADS * lead_s for lead_s in leads_s)])


# ---------------------------------------------------------------- what there is


def _divided(
    seats: list[_Seat],
    seen: Mapping[str, PoolInput],
    known: Mapping[str, PoolState],
    pools: Mapping[str, PoolSettings],
) -> list[_Seat]:
    """Pools that a workload may choose between are one supply: what the sum of them can't hold is cut."""
    names = _joined(seats)
    left: dict[str, int | None] = {}
    for name, pool in pools.items():
        state = known.get(name) or PoolState(pool=name)
        given = seen.get(name)
        there = supply.units(pool, given, state.stock) if given is not None else None
        key = names.get(name, name)
        before = left.get(key, 0)
        left[key] = None if there is None or before is None else before + there
    claims = []
    for seat in seats:
        if not seat.pools:
            continue
        key, there = names[seat.pools[0]], left[names[seat.pools[0]]]
        if there is None or not seat.given.pods_known:
            left[key] = None
        elif _bound_here(seat, seen, pools):
            if seat.moves:
                claims.append(_claim(seat, key, pools[seat.pools[0]].resource))
            else:
                left[key] = max(0, there - seat.placed * seat.count)
    answer = allocate(claims, {k: None if v is None else v * 1000 for k, v in left.items()})
    cuts = {cut.workload: cut for cut in answer.cuts}
    return [
        seat
        if (cut := cuts.get(seat.given.spec.id)) is None
        else _lowered(seat, cut.given, Reason.SCARCE_GPUS, cut.message)
        for seat in seats
    ]


def _joined(seats: Sequence[_Seat]) -> dict[str, str]:
    """By pool, the name of all pools that are linked by workloads which may choose, such as `a100 or h100`."""
    groups: list[set[str]] = []
    for seat in seats:
        linked = set(seat.pools)
        apart = [group for group in groups if not group & linked]
        together = linked.union(*(group for group in groups if group & linked))
        groups = [*apart, together] if together else apart
    return {name: " or ".join(sorted(group)) for group in groups for name in group}


def _bound_here(
    seat: _Seat, seen: Mapping[str, PoolInput], pools: Mapping[str, PoolSettings]
) -> bool:
    """Whether it can run on the configured pools alone."""
    needs = seat.given.spec.node_needs
    selector = dict(needs.selector) if needs is not None else {}
    named = all(
        any(selector.get(key) == value for key, value in pools[name].labels.items())
        for name in seat.pools
    )
    return named or all(seen[name].other_units == 0 for name in seat.pools if name in seen)


def _claim(seat: _Seat, key: str, resource: str) -> Claim:
    decision, spec = seat.decision, seat.given.spec
    floor = min(decision.target, spec.min_replicas)
    return Claim(
        workload=spec.id,
        pool=key,
        priority=spec.priority,
        floor=floor,
        held=seat.placed,
        wanted=decision.target,
        milligpus=seat.count * 1000,
        unit="GPUs" if resource == "nvidia.com/gpu" else resource,
        worth=_worth(seat.need, floor, decision.target),
    )


def _worth(need: Need | None, floor: int, wanted: int) -> tuple[float, ...] | None:
    """Violations a second that each replica beyond the floor avoids: what it carries, times the chance of its use.

    The (k + 1)th of replicas that carry C each serves demand between kC and (k + 1)C; the chance is taken in between.
    """
    if need is None or need.outlook is None or not need.replica_rps:
        return None
    rps, most = need.replica_rps, min(wanted, floor + MOST_WORTHS)
    # Sick ones carry nothing, but are among those that run.
    carrying = (max(0, k - need.sick) for k in range(floor, most))
    return tuple(rps * need.outlook.exceeded_ratio((k + 0.5) * rps) for k in carrying)


def _alive(given: WorkloadInput) -> list[PodStatus]:
    return [pod for pod in given.pods if pod.deleted_s is None]


def _lowered(seat: _Seat, most: int, reason: Reason, message: str) -> _Seat:
    """With its target at `most`, or as near as it may go; the last step is why."""
    decision = seat.decision
    target = min(decision.target, max(most, seat.lowest))
    if target == decision.target:
        return seat
    counterfactual = (
        one_fewer(target, seat.need, objective_of(seat.given)) if seat.need is not None else ""
    )
    cut = replace(
        decision.then(STAGE, target, reason, message),
        counterfactual=counterfactual,
    )
    return replace(seat, decision=cut)
