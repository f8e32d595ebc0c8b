"""One tick for all pools: who asks for what, which pool can be had, and what each one's object should ask for.

    learn lead times -> judge stock-outs -> demand of each choice -> headroom -> which pool -> back-end -> actions

Headroom of a choice = ceil(upper quantile of the summed demand over the node's lead time) - what its pods hold. The
quantile is kept at its highest for a while, so that headroom falls in the same tick with the pods that arrive and with
patience otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autoscaler.core.nodes import backend, broken, demand, lead, left, stock, supply
from autoscaler.core.nodes.asked import Asked, SeenPool, add_needs
from autoscaler.core.nodes.choice import choice_of
from autoscaler.core.nodes.claims import Candidate
from autoscaler.core.nodes.observed import PoolDecision, PoolFacts, PoolInput, SetHeadroom
from autoscaler.core.nodes.settings import HeadroomMode, NodeSettings
from autoscaler.core.nodes.state import ChoiceState, NodesState, PoolState, StuckSince
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What the step answers, and the memory that it leaves."""

    decisions: tuple[PoolDecision, ...]
    actions: tuple[SetHeadroom, ...]
    state: NodesState


def plan(
    candidates: Sequence[Candidate],
    inputs: Sequence[PoolInput],
    state: NodesState,
    *,
    config: EngineConfig,
    now_s: float,
    frozen: str | None,
) -> Planned:
    """Headroom of every configured pool."""
    settings = config.nodes
    pools = _observe(inputs, state, settings, now_s)
    choices: dict[tuple[str, ...], list[Candidate]] = {}
    for candidate in candidates:
        choice = choice_of(candidate.given.spec.node_needs, settings.pools, inputs)
        if choice:
            choices.setdefault(choice, []).append(candidate)
    asked = {name: Asked() for name in pools}
    known = {item.choice: item for item in state.choices}
    kept: list[ChoiceState] = []
    taken: Counter[str] = Counter()
    for choice in sorted(choices):
        before = known.get(choice) or ChoiceState(choice=choice)
        kept.append(
            add_needs(before, choices[choice], pools, asked, taken, config=config, now_s=now_s)
        )
    answer = _answer(pools, asked, kept, settings, now_s=now_s, frozen=frozen, stuck=state.stuck)
    if frozen is not None or settings.mode is not HeadroomMode.AUTO:
        return answer
    decisions, actions = left.let_go(inputs, settings)
    return replace(
        answer,
        decisions=(*answer.decisions, *decisions),
        actions=(*answer.actions, *actions),
    )


def _observe(
    inputs: Sequence[PoolInput], state: NodesState, settings: NodeSettings, now_s: float
) -> dict[str, SeenPool]:
    given = {item.pool: item for item in inputs}
    known = {item.pool: item for item in state.pools}
    found = {}
    for name, pool in settings.pools.items():
        seen = given.get(name) or PoolInput(pool=name, stale="the pool was not observed")
        before = known.get(name) or PoolState(pool=name)
        if seen.stale is None:
            before = broken.noted(lead.learn(before, seen.nodes), seen.nodes, now_s)
        judged = stock.judge(
            before.stock, seen.stock_out, seen.nodes, now_s=now_s, settings=settings
        )
        found[name] = SeenPool(
            name=name,
            settings=pool,
            given=seen,
            state=replace(before, stock=judged),
            lead_s=lead.lead_time_s(before, seen.nodes, seed_s=pool.lead_time_s, now_s=now_s),
        )
    return found


def _answer(
    pools: Mapping[str, SeenPool],
    asked: Mapping[str, Asked],
    choices: Sequence[ChoiceState],
    settings: NodeSettings,
    *,
    now_s: float,
    frozen: str | None,
    stuck: tuple[StuckSince, ...],
) -> Planned:
    decisions, actions, states = [], [], []
    for name, pool in pools.items():
        decision, state = _decide(pool, asked[name], settings, now_s=now_s)
        if frozen is not None:
            message = f"all scaling is frozen: {frozen}"
            decision = replace(
                decision,
                headroom=pool.state.headroom,
                reason=Reason.FROZEN,
                message=message,
                findings=(),
            )
            state = replace(state, headroom=pool.state.headroom)
        decisions.append(decision)
        states.append(state)
        if frozen is None and settings.mode is HeadroomMode.AUTO and pool.given.stale is None:
            actions += backend.actions(pool.given, decision)
    actions = [replace(one, beside=demand.beside(one.pool, choices)) for one in actions]
    return Planned(
        decisions=tuple(decisions),
        # What is to come is asked for before anything is let go.
        actions=tuple(sorted(actions, key=lambda action: action.units < action.observed)),
        state=NodesState(pools=tuple(states), choices=tuple(choices), stuck=stuck),
    )


def _decide(
    pool: SeenPool, ask: Asked, settings: NodeSettings, *, now_s: float
) -> tuple[PoolDecision, PoolState]:
    hold = pool.given.stale or ask.hold
    if hold is not None:
        decision = PoolDecision(
            pool=pool.name,
            headroom=pool.state.headroom,
            reason=Reason.NODE_STATUS_STALE,
            message=f"held: {hold}",
            available=pool.can_be_had,
            backend=pool.state.backend,
            facts=_facts(pool, ask),
        )
        return decision, pool.state
    if pool.settings.fixed:
        decision = PoolDecision(
            pool=pool.name,
            headroom=0,
            reason=Reason.NODES_UNNEEDED,
            message="no node autoscaler grows it: what its nodes have is divided",
            findings=tuple(broken.told(pool.state, pool.settings.resource, now_s)),
            facts=_facts(pool, ask),
        )
        return decision, replace(pool.state, headroom=0)
    units, reason, message = _wanted(pool, ask)
    state, findings = pool.state, broken.told(pool.state, pool.settings.resource, now_s)
    if not pool.can_be_had:
        findings.append((Reason.NODE_STOCK_OUT, stock.told(pool.state.stock, now_s)))
    state, units, eaten = _without_foreign(pool, units, settings)
    if eaten is not None:
        findings.append((Reason.NODE_HEADROOM_EATEN, eaten))
    chosen = backend.choose(pool.given, state, pool.settings, units, pool.lead_s, now_s=now_s)
    decision = PoolDecision(
        pool=pool.name,
        headroom=units,
        reason=reason,
        message=message,
        available=pool.can_be_had,
        backend=chosen.state.backend,
        findings=(*findings, *chosen.findings),
        facts=_facts(pool, ask),
    )
    return decision, replace(chosen.state, headroom=units)


def _wanted(pool: SeenPool, ask: Asked) -> tuple[int, Reason, str]:
    cap = pool.settings.max_headroom
    what = f"{ask.demand} {pool.settings.resource} expected within {pool.lead_s:.0f} s, {ask.held} held by pods"
    if ask.instead_of:
        what += f"; instead of {', '.join(ask.instead_of)}, which can't be had"
    if ask.beside and not (ask.demand or ask.held):
        what = f"{ask.units} {pool.settings.resource} that are beyond the limit of {', '.join(ask.beside)}"
    elif ask.beside:
        what += f"; with what is beyond the limit of {', '.join(ask.beside)}"
    if ask.units > cap:
        # Whole placeholders: what is not divided by them would be written anew in each tick.
        cap -= cap % pool.settings.unit
        return cap, Reason.NODE_HEADROOM_CAPPED, f"{what}; at most {cap} are asked for beyond that"
    if ask.beyond:
        most = supply.limit(pool.settings, pool.given)
        text = f"{what}; its limit is {most} nodes, and no pool has room for {ask.beyond} of them"
        return ask.units, Reason.NODE_HEADROOM_CAPPED, text
    if ask.probe:
        return ask.units, Reason.NODE_STOCK_PROBE, "tried again after a stock-out"
    if ask.units == 0 and not pool.can_be_had:
        return 0, Reason.NODE_STOCK_OUT, "it can't be had, the next pool is asked"
    if ask.units == 0:
        return 0, Reason.NODES_UNNEEDED, what if ask.demand or ask.held else "no workload needs it"
    if ask.kept:
        return ask.units, Reason.NODE_HEADROOM_KEPT, f"{what}; kept from a higher expectation"
    return ask.units, Reason.NODE_DEMAND_AHEAD, what


def _without_foreign(
    pool: SeenPool, units: int, settings: NodeSettings
) -> tuple[PoolState, int, str | None]:
    """Headroom less what other tenants have taken of it beyond the allowance: it is not bought for them again."""
    foreign, state = pool.given.foreign_units, pool.state
    if foreign is None:
        return state, units, None
    base = state.foreign_base
    if base is None or not state.headroom or foreign < base:
        return replace(state, foreign_base=foreign), units, None
    allowance = settings.foreign_allowance
    if allowance is None:
        allowance = pool.settings.units_per_node
    eaten = foreign - base
    if eaten <= allowance or units == 0:
        return state, units, None
    unit = pool.settings.unit
    rest = min(units, -(-max(0, units - (eaten - allowance)) // unit) * unit)
    return (
        state,
        rest,
        f"other tenants took {eaten} units while headroom was asked for; {allowance} are replaced, so {rest} of "
        f"{units} are asked for",
    )


def _facts(pool: SeenPool, ask: Asked) -> PoolFacts:
    current = pool.given.stale is None
    return PoolFacts(
        lead_time_s=pool.lead_s,
        stages_s=lead.stages_s(pool.state),
        demand=ask.demand,
        level=ask.level if ask.level_known else None,
        held=ask.held,
        free=backend.free_units(pool.given.nodes) if current else None,
        coming=backend.coming(pool.given.nodes) if current else None,
        foreign=pool.given.foreign_units if current else None,
        supply=supply.units(pool.settings, pool.given, pool.state.stock),
        price_per_hour=pool.settings.price_per_hour,
    )
