"""Variant groups: Deployments that serve one model on different shapes share its demand by price.

    what all of them need -> the cheapest mix that carries it -> new pods first -> old ones once the new are ready

The need is the sum of what sizing found for each, kept at its highest for the time that scaling down waits. A mix is
begun for a tenth less cost and kept to while it is no dearer, so that noise moves nothing. Nothing is lowered on a
capacity that was not measured, during a rollout, or while a member is not known.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from autoscaler.core.behavior import down_window_s
from autoscaler.core.mig.choice import Option, cheapest_mix, part_of
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.fronts import on_shared, unequal_shares
from autoscaler.core.slices.members import Member, formed, members_of
from autoscaler.core.slices.moves import targets_of
from autoscaler.core.slices.observed import GroupDecision, GroupMember, SlicePlan
from autoscaler.core.slices.outlast import Standing, outlasting
from autoscaler.core.slices.prices import shape_of
from autoscaler.core.slices.settings import SlicesMode
from autoscaler.core.slices.state import GroupState, Needed
from autoscaler.core.slices.tick import SlicesTick
from autoscaler.core.survival import Loss, unread
from autoscaler.core.types import (
    Decision,
    Finding,
    WorkloadId,
    WorkloadInput,
)

STAGE = "group"
WORTH_RATIO = 0.9
"""A mix is begun where it costs at most this share of the members' own numbers, or where these are too few."""


@dataclass(slots=True)
class Joined:
    """What became of all groups."""

    decisions: dict[WorkloadId, Decision] = field(default_factory=dict)
    """Those that changed."""
    groups: list[GroupDecision] = field(default_factory=list)
    states: list[GroupState] = field(default_factory=list)


def join(
    tick: SlicesTick,
    states: Sequence[GroupState],
    *,
    apart: Collection[WorkloadId] = (),
) -> Joined:
    """Every group of two and more Deployments that forescale may scale; those that are `apart` are no part of one."""
    losses = tick.losses
    inputs = [given for given in tick.tick_input.workloads if given.spec.id not in apart]
    decided = {decision.workload: decision for decision in tick.decisions}
    known = {state.group: state for state in states}
    joined = Joined()
    for group, members in sorted(formed(inputs).items()):
        pairs = [(given, decided[given.spec.id]) for given in members]
        state = known.get(group) or GroupState(group=group)
        refused = on_shared(group, pairs) or unequal_shares(group, pairs, tick.needs, tick.fronts)
        if refused is not None and tick.fronts is None and state.needed:
            # They could be read before: nothing speaks for it that one has come to stand before all of them.
            _hold(joined, group, pairs, state, losses)
            _tell(joined, pairs, refused)
            continue
        if refused is not None:
            if any(isinstance(losses.get(given.spec.id), Loss) for given in members):
                refused += "; until then nothing is added for a loss"
            _say(joined, group, pairs, refused)
            continue
        if any(unread(losses.get(given.spec.id)) is not None for given in members):
            _hold(joined, group, pairs, state, losses)
            continue
        _share(joined, group, pairs, state, tick)
    return joined


def _say(
    joined: Joined, group: str, pairs: Sequence[tuple[WorkloadInput, Decision]], message: str
) -> None:
    _tell(joined, pairs, message)
    joined.groups.append(GroupDecision(group=group, needed_mrps=None, members=(), message=message))


def _tell(joined: Joined, pairs: Sequence[tuple[WorkloadInput, Decision]], message: str) -> None:
    finding = Finding(reason=Reason.UNSUPPORTED, message=message)
    for given, decision in pairs:
        known = joined.decisions.get(given.spec.id, decision)
        joined.decisions[given.spec.id] = replace(known, findings=(*known.findings, finding))


def _share(
    joined: Joined,
    group: str,
    pairs: Sequence[tuple[WorkloadInput, Decision]],
    state: GroupState,
    tick: SlicesTick,
) -> None:
    plan, config, losses = tick.plan, tick.config, tick.losses
    last = state.needed[-1].parts if state.needed else ()
    waking = {name for name, parts in last if not parts}
    members = members_of(pairs, tick.needs, tick.floors, config, waking=waking)
    if members is None:
        _hold(joined, group, pairs, state, losses)
        return
    state, needed, now = _needed(state, members, config, tick.now_s)
    planned = _planned(members, plan)
    spare = dict(plan.spare) if plan is not None and planned else {}
    counts = _with_enough(members, _mix(members, needed, planned, spare), needed)
    # Both of what is needed now: each one's own number falls at once, the group's is kept for a while.
    cost = _cost(members, _mix(members, now, planned if now == needed else {}))
    alone = {m.name: min(m.limit, max(m.given.spec.min_replicas, m.wanted)) for m in members}
    own, enough = _cost(members, alone), sum(m.mrps * alone[m.name] for m in members) >= now
    worth = not enough or cost <= own * (1.0 if state.moving else WORTH_RATIO)
    auto = config.slices.mode is SlicesMode.AUTO
    message = _words(members, counts, needed, cost, own, worth=worth, auto=auto)
    standing, mixed = _standing(members, losses), sum(counts.values())
    counts = outlasting(standing, counts, needed)
    if sum(counts.values()) > mixed:
        message += f", and by {sum(counts.values()) - mixed} more when a {standing[0].loss.survive.value} is lost"
    shares = tuple(_share_of(member, counts[member.name]) for member in members)
    targets = targets_of(members, counts, needed, plan)
    if worth and auto:
        message += _later(members, counts, targets)
    joined.groups.append(
        GroupDecision(group=group, needed_mrps=needed, members=shares, message=message)
    )
    if worth and auto:
        for member in members:
            after = _moved(member.decision, targets[member.name], f"group {group}: {message}")
            joined.decisions[member.given.spec.id] = _with_waiting(member, after, counts, targets)
    elif standing:
        _raise(joined, group, members, standing, needed)
    joined.states.append(replace(state, moving=worth and auto))


def _share_of(member: Member, replicas: int) -> GroupMember:
    return GroupMember(
        workload=member.name,
        shape=_shape(member),
        replica_mrps=member.mrps,
        price=member.price,
        replicas=replicas,
    )


def _hold(
    joined: Joined,
    group: str,
    pairs: Sequence[tuple[WorkloadInput, Decision]],
    state: GroupState,
    losses: Mapping[WorkloadId, Loss | Finding],
) -> None:
    """Missing is not zero: what is on its way or there for a loss stays, and nothing is moved."""
    # What was never known as a group has nothing that is there for a loss.
    told = [losses.get(given.spec.id) for given, _ in pairs]
    surviving = state.needed and any(
        isinstance(one, Loss) or unread(one) is not None for one in told
    )
    for given, decision in pairs:
        if (state.moving or surviving) and decision.target < decision.current:
            held = _moved(decision, decision.current, f"group {group}: a member is not known")
            joined.decisions[given.spec.id] = held
    message = (
        "held: demand or capacity of a member is not known, what a loss takes of it, or what Services "
        "stand before it"
    )
    joined.groups.append(GroupDecision(group=group, needed_mrps=None, members=(), message=message))
    joined.states.append(state)


def _raise(
    joined: Joined,
    group: str,
    members: Sequence[Member],
    standing: Sequence[Standing],
    needed_mrps: int,
) -> None:
    """The members' own numbers, so that a loss leaves what is needed of all together."""
    own = {member.name: member.decision.target for member in members}
    targets, survive = outlasting(standing, own, needed_mrps), standing[0].loss.survive.value
    text = f"group {group}: the loss of a {survive} is to leave {needed_mrps / 1000:.3g}/s"
    for member in members:
        after = _moved(member.decision, targets[member.name], text, Reason.SURVIVES_LOSS)
        joined.decisions[member.given.spec.id] = after


def _standing(
    members: Sequence[Member], losses: Mapping[WorkloadId, Loss | Finding]
) -> list[Standing]:
    """All of them, where it is known of each what a loss takes; else none."""
    found = [
        Standing(name=m.name, mrps=m.mrps, price=m.price, limit=m.limit, loss=loss)
        for m in members
        if isinstance(loss := losses.get(m.given.spec.id), Loss)
    ]
    return found if len(found) == len(members) else []


def _needed(
    state: GroupState, members: Sequence[Member], config: EngineConfig, now_s: float
) -> tuple[GroupState, int, int]:
    """The memory, what is needed at the highest of the down-window, and what is needed now."""
    leads_s = [member.decision.facts.lead_time_s or config.startup_time_s for member in members]
    window_s = down_window_s(config.behavior.scale_down, lead_s=max(leads_s))
    now = sum(member.needed_mrps for member in members)
    parts = tuple((member.name, member.parts) for member in members)
    recent = tuple(item for item in state.needed if now_s - window_s <= item.at_s < now_s)
    recent = (*recent, Needed(at_s=now_s, mrps=now, parts=parts))
    highest = max(_today(item, members) for item in recent)
    running = sum(member.mrps * member.decision.current for member in members)
    kept = sum(member.kept_mrps for member in members)
    return replace(state, needed=recent), max(highest, min(running, kept)), now


def _today(needed: Needed, members: Sequence[Member]) -> int:
    """With what a replica of each carries as of now."""
    parts = dict(needed.parts)
    if parts.keys() != {member.name for member in members}:
        return needed.mrps
    return sum(math.ceil(parts[member.name] * member.sized_mrps) for member in members)


def _cost(members: Sequence[Member], counts: Mapping[str, int]) -> int:
    return sum(member.price * counts[member.name] for member in members)


def _planned(members: Sequence[Member], plan: SlicePlan | None) -> Mapping[str, int]:
    """The packing's counts, if it names every member."""
    counts = dict(plan.replicas) if plan is not None and plan.infeasible is None else {}
    return counts if all(member.name in counts for member in members) else {}


def _mix(
    members: Sequence[Member],
    needed_mrps: int,
    planned: Mapping[str, int],
    spare: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, int]:
    """Replicas of each: its floor, what is needed of the packing's, and for what these do not carry those that find a
    spare slice, then the cheapest.

    What would go beyond a member's own limit goes to the others. Without a packing's it rests on what runs, unless a
    tenth is saved by the cheapest of all.
    """
    if planned:
        return _filled(members, needed_mrps, planned, spare)
    running = {m.name: m.decision.current for m in members}
    rest = _filled(members, needed_mrps, running, {})
    best = _filled(members, needed_mrps, {}, {})
    return best if _cost(members, best) <= WORTH_RATIO * _cost(members, rest) else rest


def _with_enough(
    members: Sequence[Member], counts: Mapping[str, int], needed_mrps: int
) -> dict[str, int]:
    """None given up whose like would then not carry what is needed.

    Of two sevenths behind one balancer each carries 4.1 a second, and the one that is left 2.8: it would be two again a
    tick later.
    """
    fewer = sum(m.mrps_of(counts[m.name]) * counts[m.name] for m in members)
    same = sum(m.mrps * counts[m.name] for m in members)
    if fewer >= min(same, needed_mrps):
        return dict(counts)
    running = {m.name: min(m.decision.current, m.limit) for m in members if m.mrps}
    return {name: max(count, running.get(name, 0)) for name, count in counts.items()}


def _filled(
    members: Sequence[Member],
    needed_mrps: int,
    planned: Mapping[str, int],
    spare: Mapping[str, int],
) -> dict[str, int]:
    options = [Option(shape=m.name, capacity_mrps=m.mrps, price=m.price) for m in members]
    limits = {m.name: m.limit for m in members}
    least = {m.name: min(m.limit, m.floor) for m in members}
    room = {m.name: min(m.limit, max(m.floor, planned.get(m.name, 0))) for m in members}
    counts = part_of(options, room, needed_mrps, least=least)
    for member in sorted((m for m in members if m.mrps), key=lambda m: (m.cost, m.name)):
        left = max(0, needed_mrps - sum(m.mrps * counts[m.name] for m in members))
        free = min(spare.get(member.name, 0), limits[member.name] - counts[member.name])
        counts[member.name] += max(0, min(free, math.ceil(left / member.mrps)))
    for _ in members:
        left = needed_mrps - sum(m.mrps * counts[m.name] for m in members)
        open_ = [
            one for one in options if one.capacity_mrps and counts[one.shape] < limits[one.shape]
        ]
        if left <= 0 or not open_:
            break
        for name, count in cheapest_mix(open_, left).replicas:
            counts[name] = min(limits[name], counts[name] + count)
    if not any(counts.values()):
        # Somebody has to show when requests come again.
        watch = min(members, key=lambda m: (not m.mrps, m.decision.current == 0, m.price, m.name))
        counts[watch.name] = 1
    return counts


def _moved(
    decision: Decision, target: int, message: str, reason: Reason = Reason.VARIANT_MIX
) -> Decision:
    if target == decision.target:
        return decision
    return decision.then(STAGE, target, reason, message)


def _with_waiting(
    member: Member, decision: Decision, counts: Mapping[str, int], targets: Mapping[str, int]
) -> Decision:
    """Says so where replicas of it find no slice while others are kept for them."""
    waiting = sum(1 for pod in member.given.pods if pod.unschedulable and pod.deleted_s is None)
    kept = [name for name, target in targets.items() if target > counts[name]]
    if not waiting or not kept:
        return decision
    finding = Finding(
        reason=Reason.NO_FREE_SLICE,
        message=(
            f"{waiting} replicas find no free {_shape(member)}; {', '.join(sorted(kept))} stays until they run"
        ),
    )
    return replace(decision, findings=(*decision.findings, finding))


def _later(members: Sequence[Member], counts: Mapping[str, int], targets: Mapping[str, int]) -> str:
    """Says what the mix has and is not begun yet."""
    waiting = [
        f"{counts[m.name] - targets[m.name]} x {_shape(m)}"
        for m in members
        if counts[m.name] > targets[m.name]
    ]
    return f"; {' and '.join(waiting)} once slices are free" if waiting else ""


def _shape(member: Member) -> str:
    needs = member.given.spec.node_needs
    return shape_of(needs) if needs is not None else ""


def _words(
    members: Sequence[Member],
    counts: Mapping[str, int],
    needed_mrps: int,
    cost: int,
    own: int,
    *,
    worth: bool,
    auto: bool,
) -> str:
    mix = " and ".join(
        f"{counts[m.name]} x {_shape(m)} ({m.mrps / 1000:.3g}/s each)" for m in members
    )
    text = (
        f"{needed_mrps / 1000:.3g}/s are carried by {mix} at {cost / max(1, own):.0%} of the cost"
    )
    if not worth:
        return f"{text}: not worth a move"
    return text if auto else f"{text}; engine.slices.mode is recommend, so nothing is moved"
