"""What the workloads of one choice of pools need, and which of these pools is asked for it.

The first that can be had is asked for all of it; the next ones for what its limit leaves no room for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autoscaler.core import demand as growth
from autoscaler.core.nodes import backend, demand, supply
from autoscaler.core.nodes.claims import (
    Candidate,
    claim,
    on_free_slices,
    pod_time_s,
    quantile_of,
    short_of_target,
    summed_demand,
)
from autoscaler.core.nodes.observed import PoolInput
from autoscaler.core.nodes.settings import PoolSettings
from autoscaler.core.nodes.state import ChoiceState, PoolState
from autoscaler.core.settings import EngineConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPool:
    """One pool as this tick sees it."""

    name: str
    settings: PoolSettings
    given: PoolInput
    state: PoolState
    lead_s: float

    @property
    def can_be_had(self) -> bool:
        """No stock-out keeps it from being asked."""
        return self.state.stock.until_s is None


@dataclass(slots=True)
class Asked:
    """What the choices ask of one pool."""

    units: int = 0
    """Headroom, before its ceiling."""
    demand: int = 0
    """Units that are expected to be needed while a node comes,"""
    held: int = 0
    """and those that pods hold."""
    level: float = 0.0
    """Units that the present demand needs,"""
    level_known: bool = True
    """of all choices."""
    kept: bool = False
    """Some of it is kept from earlier: less was expected this time."""
    hold: str | None = None
    """Why it must stay as it is."""
    probe: bool = False
    instead_of: list[str] = field(default_factory=list)
    """Pools before it that can't be had,"""
    beside: list[str] = field(default_factory=list)
    """and those that have no room for all of it below their limit."""
    beyond: int = 0
    """Units for which no pool has room below its limit."""


def add_needs(
    before: ChoiceState,
    members: Sequence[Candidate],
    pools: Mapping[str, SeenPool],
    asked: Mapping[str, Asked],
    taken: Counter[str],
    *,
    config: EngineConfig,
    now_s: float,
) -> ChoiceState:
    """Adds what the workloads of one choice need to what is `asked` of the pools that should bring it.

    `before` is what is remembered of the choice, and the answer what is to be; `taken` counts free slices that were
    given to the choices before.
    """
    target = _target(before.choice, pools)
    growing = [one for one in members if not one.rests]
    claims = [claim(one, node_lead_s=target.lead_s, config=config, now_s=now_s) for one in growing]
    known = [one.level for one in claims if one.level is not None]
    level = sum(known) if claims and len(known) == len(claims) else None
    horizon_s = target.lead_s + max(pod_time_s(one.decision, config) for one in members)
    after = demand.add_level(before, level, now_s=now_s, lead_s=horizon_s)
    quantile = max(quantile_of(one.given.spec.slo.objectives[0], config) for one in members)
    now_units = sum(known)
    (then_units,) = growth.highest_rps(
        after.growth, level_rps=now_units, levels=(quantile,), lead_s=horizon_s
    )
    expected = summed_demand(claims, rise_units=then_units - now_units) if claims else 0
    after, resting = demand.with_resting(after, members)
    expected += resting
    leads_s = [pools[name].lead_s for name in before.choice]
    after, highest = demand.keep_highest(
        after,
        expected,
        now_s=now_s,
        patience_s=demand.patience_s(config.nodes.patience_s, leads_s),
    )
    held = sum(one.held for one in claims) + resting
    share = asked[target.name]
    share.held += held
    share.demand += highest
    share.level += now_units
    share.level_known = share.level_known and level is not None
    share.kept = share.kept or highest > expected
    share.hold = share.hold or _unknown(members)
    spare = sum(_spare(pools[name]) for name in before.choice)
    lacking = max(0, highest - held - spare)
    lacking += sum(short_of_target(one) for one in members if one.rests)
    lacking -= on_free_slices(members, lacking, taken)
    _place(lacking, before.choice, target, pools, asked)
    return after


def _spare(pool: SeenPool) -> int:
    """Free units that need not be asked for: those of a pool that nobody grows."""
    if not pool.settings.fixed or pool.given.stale is not None:
        return 0
    return backend.free_units(pool.given.nodes)


def _target(choice: tuple[str, ...], pools: Mapping[str, SeenPool]) -> SeenPool:
    """The first pool that is known to be had, else one that is being tried again, else the first."""
    grown = [name for name in choice if not pools[name].settings.fixed] or list(choice)
    usable = [pools[name] for name in grown if pools[name].can_be_had]
    proven = [pool for pool in usable if not pool.state.stock.probing]
    return (proven or usable or [pools[grown[0]]])[0]


def _place(
    units: int,
    choice: tuple[str, ...],
    target: SeenPool,
    pools: Mapping[str, SeenPool],
    asked: Mapping[str, Asked],
) -> None:
    """The first proven pool is asked for all of it, and the next ones for what its limit leaves no room for.

    One that is tried again is asked for one unit beside, in case it fails.
    """
    for name in choice[: choice.index(target.name)]:
        pool = pools[name]
        if pool.settings.fixed:
            continue
        if pool.can_be_had and pool.state.stock.probing and units > 0:
            asked[name].units += pool.settings.unit
            asked[name].probe = True
        elif not pool.can_be_had:
            asked[target.name].instead_of.append(name)
    full: list[str] = []
    for name in choice[choice.index(target.name) :]:
        pool, share = pools[name], asked[name]
        if pool is not target and (units <= 0 or pool.settings.fixed or not pool.can_be_had):
            continue
        unit = pool.settings.unit
        part = -(-units // unit) * unit
        most = supply.most_headroom(pool.settings, pool.given)
        if most is not None:
            part = min(part, max(0, most - share.units) // unit * unit)
        share.units += part
        if part and full:
            share.beside += full
        if part < units:
            full.append(name)
        units -= part
    asked[target.name].beyond += max(0, units)


def _unknown(members: Sequence[Candidate]) -> str | None:
    blind = [str(one.given.spec.id) for one in members if not one.given.pods_known]
    return f"the pods of {', '.join(blind[:3])} are not known" if blind else None
