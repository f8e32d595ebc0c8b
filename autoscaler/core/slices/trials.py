"""A member of a variant group that never ran is tried once, to learn what a replica of it carries.

Asleep it shows nothing, so the mix can't give it anything, however cheap it would be. So one replica of it is woken
where a slice lies free and what the group runs costs far more than that replica. Until its capacity is measured it
counts for nothing: the mix is made of the others, and none of them is lowered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoscaler.core.backoff import doubled_s
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices import room
from autoscaler.core.slices.fronts import unequal_shares
from autoscaler.core.slices.members import formed
from autoscaler.core.slices.prices import prices, shape_of
from autoscaler.core.slices.settings import SlicesMode
from autoscaler.core.slices.state import Trial
from autoscaler.core.slices.tick import SlicesTick
from autoscaler.core.types import (
    Decision,
    Finding,
    Pause,
    Severity,
    WorkloadId,
    WorkloadInput,
)

STAGE = "trial"
WORTH_TIMES = 2
"""What the group runs costs at least so many times a replica of the shape that is tried."""
START_TIMES, SHORTEST_START_S = 3.0, 600.0
"""A replica has so many lead times to become ready, and no less than that."""
MEASURED_S = 900.0
"""For so long it may be ready and not measured."""
SETTLE_S = 120.0
"""After one that failed the others get their load back: for so long none of them is lowered."""
RETRY_S, LONGEST_RETRY_S = 3600.0, 86400.0
Pair = tuple[WorkloadInput, Decision]


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What became of the trials that were begun."""

    states: tuple[Trial, ...] = ()
    apart: frozenset[WorkloadId] = frozenset()
    """Workloads that the mix is made without in this tick."""


@dataclass(slots=True)
class Tried:
    """The decisions with all trials in them, and the memory."""

    decisions: dict[WorkloadId, Decision] = field(default_factory=dict)
    """Those that changed."""
    states: list[Trial] = field(default_factory=list)


def follow(tick: SlicesTick, states: Sequence[Trial]) -> Followed:
    """Ends what is over: measured, or failed for a reason that is remembered. Forgets who is gone."""
    decided = {one.workload: one for one in tick.decisions}
    groups = {
        str(given.spec.id): [(one, decided[one.spec.id]) for one in members]
        for members in formed(tick.tick_input.workloads).values()
        for given in members
    }
    after, apart = [], set()
    for state in states:
        pairs = groups.get(state.workload, [])
        own = next((pair for pair in pairs if str(pair[0].spec.id) == state.workload), None)
        if own is None:
            # Gone, another's to scale, or no group any more: then nobody is held for it either.
            continue
        judged = state if state.ended_s is not None else _judged(state, own, pairs, tick)
        if judged is None:
            continue
        after.append(judged)
        if judged.ended_s is None or tick.now_s - judged.ended_s < SETTLE_S:
            apart.add(own[0].spec.id)
    return Followed(states=tuple(after), apart=frozenset(apart))


def apply(tick: SlicesTick, followed: Followed) -> Tried:
    """Holds the groups in which one is under way, and begins one more where that may be."""
    config = tick.config
    decided = {one.workload: one for one in tick.decisions}
    known = {one.workload: one for one in followed.states}
    tried = Tried(states=list(followed.states))
    begun = tick.hold is not None or config.slices.mode is not SlicesMode.AUTO
    for group, members in sorted(formed(tick.tick_input.workloads).items()):
        pairs = [(given, decided[given.spec.id]) for given in members]
        apart = [pair for pair in pairs if pair[0].spec.id in followed.apart]
        if apart:
            _keep(tried, pairs, apart, known, tick)
            continue
        tried.decisions |= _told(pairs, known, tick.now_s)
        candidate = None if begun else next(_candidates(group, pairs, known, tick), None)
        if candidate is None:
            continue
        (given, decision), message = candidate
        node_needs = given.spec.node_needs
        assert node_needs is not None
        if not room.staying(
            node_needs, given.spec.id, tick.tick_input, tick.decisions, tick.plan, config=config
        ):
            continue
        begun, name = True, str(given.spec.id)
        tried.decisions[given.spec.id] = _moved(decision, 1, message)
        before = known.get(name)
        tried.states = [one for one in tried.states if one.workload != name]
        tried.states.append(
            Trial(
                workload=name,
                began_s=tick.now_s,
                failures=before.failures if before is not None else 0,
            )
        )
    return tried


# ---------------------------------------------------------------- one that is under way


def _judged(state: Trial, own: Pair, pairs: Sequence[Pair], tick: SlicesTick) -> Trial | None:
    """As it was, or ended; None: it is measured, and a member like the others."""
    given, need = own[0], tick.needs.get(own[0].spec.id)
    lasts_s = tick.now_s - state.began_s
    if not given.pods_known or given.samples_error is not None:
        return state
    if given.replicas.desired > 1:
        # A person's, who wants it to run.
        return None
    carried = need.carried if need is not None else None
    why = _ended(state, own, pairs, tick)
    if why is None and carried is not None and carried.unproven is None and _ready(given):
        if carried.attainable:
            return None
        why = f"a request alone takes {carried.service_s:.3g} s there, and that is too late"
    if why is None and lasts_s > _patience_s(own, pairs, tick.config) + MEASURED_S:
        why = f"too few requests came in {MEASURED_S / 60:.0f} min to measure it"
    if why is None:
        return state
    return replace(state, ended_s=tick.now_s, failures=state.failures + 1, why=why)


def _ended(state: Trial, own: Pair, pairs: Sequence[Pair], tick: SlicesTick) -> str | None:
    """Why it is of no use to wait for longer, whatever was measured."""
    given, lasts_s = own[0], tick.now_s - state.began_s
    mode, patience_s = tick.config.slices.mode, _patience_s(own, pairs, tick.config)
    live = [pod for pod in given.pods if pod.deleted_s is None]
    if mode is not SlicesMode.AUTO:
        return f"engine.slices.mode is {mode.value}"
    if unequal_shares("", pairs, tick.needs, tick.fronts) is not None:
        return "the group may not share its demand any more"
    if any(pod.unschedulable for pod in live):
        return "the slice that was free is taken"
    if given.replicas.desired == 0 and lasts_s > SETTLE_S:
        return "somebody lowered it"
    if not _ready(given) and lasts_s > patience_s:
        return f"it was not ready within {patience_s / 60:.0f} min"
    return None


def _ready(given: WorkloadInput) -> bool:
    return any(pod.ready_s is not None and pod.deleted_s is None for pod in given.pods)


def _patience_s(own: Pair, pairs: Sequence[Pair], config: EngineConfig) -> float:
    """What the others take to start, with something to spare: of this one it is known that it has taken so long."""
    others = [decision for given, decision in pairs if given is not own[0]]
    leads_s = [decision.facts.lead_time_s or config.startup_time_s for decision in others]
    return max(SHORTEST_START_S, START_TIMES * max(leads_s, default=config.startup_time_s))


def _keep(
    tried: Tried,
    pairs: Sequence[Pair],
    apart: Sequence[Pair],
    known: Mapping[str, Trial],
    tick: SlicesTick,
) -> None:
    """What carries the demand stays while one is tried, and until its load is back after one that failed."""
    for given, decision in apart:
        state = known[str(given.spec.id)]
        if state.ended_s is None:
            text = f"it never ran: for {tick.now_s - state.began_s:.0f} s it is tried, and counts for nothing"
            # Its write may not be seen yet. A schedule's or a person's floor is above it.
            tried.decisions[given.spec.id] = _moved(decision, max(1, decision.target), text)
        else:
            floor = tick.floors.get(given.spec.id, 0)
            tried.decisions[given.spec.id] = _moved(decision, floor, _failed(state))
    names = ", ".join(given.spec.id.name for given, _ in apart)
    for given, decision in pairs:
        if (
            given.spec.id in {one.spec.id for one, _ in apart}
            or decision.target >= decision.current
        ):
            continue
        text = f"held: {names} is being tried, and what it carries is not known"
        tried.decisions[given.spec.id] = _moved(decision, decision.current, text)


def _told(
    pairs: Sequence[Pair], known: Mapping[str, Trial], now_s: float
) -> dict[WorkloadId, Decision]:
    """Those of which a trial failed say so for as long as that counts."""
    found = {}
    for given, decision in pairs:
        state = known.get(str(given.spec.id))
        if state is None or state.ended_s is None or given.replicas.desired:
            continue
        left_s = _until_s(state) - now_s
        if left_s > 0.0:
            text = f"{_failed(state)}; not again for {left_s / 60:.0f} min"
            finding = Finding(reason=Reason.VARIANT_TRIAL, message=text, severity=Severity.NORMAL)
            found[given.spec.id] = replace(decision, findings=(*decision.findings, finding))
    return found


def _failed(state: Trial) -> str:
    return f"tried and let go again: {state.why}"


def _until_s(state: Trial) -> float:
    assert state.ended_s is not None
    return state.ended_s + doubled_s(RETRY_S, max(0, state.failures - 1), LONGEST_RETRY_S)


# ---------------------------------------------------------------- one that may be begun


def _candidates(
    group: str, pairs: Sequence[Pair], known: Mapping[str, Trial], tick: SlicesTick
) -> Iterator[tuple[Pair, str]]:
    """Members that never ran and would be worth a try, the cheapest first, with the words for it."""
    asleep = [pair for pair in pairs if _never_ran(pair[0], known, tick)]
    running = [pair for pair in pairs if pair[0].replicas.desired > 0]
    if not asleep or not _steady(running, tick):
        return
    if unequal_shares(group, pairs, tick.needs, tick.fronts) is not None:
        return
    asked = [given.spec.node_needs for given, _ in pairs]
    found = prices([one for one in asked if one is not None], tick.config)
    price = {given.spec.id: one for (given, _), one in zip(pairs, found, strict=True)}
    cost = sum(price[given.spec.id] * decision.current for given, decision in running)
    for pair in sorted(asleep, key=lambda one: (price[one[0].spec.id], one[0].spec.id)):
        own, needs = price[pair[0].spec.id], pair[0].spec.node_needs
        if cost >= WORTH_TIMES * own and needs is not None:
            yield (
                pair,
                f"group {group}: a replica of {shape_of(needs)} never ran and is tried: a slice is free, and what the "
                f"group runs costs {cost / own:.3g} times as much",
            )


def _never_ran(given: WorkloadInput, known: Mapping[str, Trial], tick: SlicesTick) -> bool:
    spec, need = given.spec, tick.needs.get(given.spec.id)
    state = known.get(str(spec.id))
    return (
        given.replicas.desired == 0
        and tick.floors.get(spec.id, 0) == 0
        and given.pods_known
        and not given.pods
        and spec.pause not in (Pause.UP, Pause.ALL)
        and tick.config.most_replicas(spec.max_replicas) > 0
        and need is not None
        and need.carried is None
        and not need.replica_rps
        and (state is None or _until_s(state) <= tick.now_s)
    )


def _steady(running: Sequence[Pair], tick: SlicesTick) -> bool:
    """Whether nothing moves, is missing or is late, and requests come by which one more can be measured."""
    offered = 0.0
    for given, decision in running:
        need, facts = tick.needs.get(given.spec.id), decision.facts
        if (
            need is None
            or need.wanted is None
            or need.suffering
            or not need.replica_rps
            or not given.pods_known
            or given.samples_error is not None
            or given.replicas.rollout
            or facts.capacity_unproven is not None
            or decision.target != decision.current
            or facts.ready != decision.current
        ):
            return False
        offered += facts.offered_rps or 0.0
    return offered > 0.0


def _moved(decision: Decision, target: int, message: str) -> Decision:
    """Also where the number stays: `explain` is to say why it is what it is."""
    return decision.then(STAGE, target, Reason.VARIANT_TRIAL, message)
