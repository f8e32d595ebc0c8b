"""What a tick asks of the packing, and what its answer means for nodes. Solved outside the tick.

A node of a slice pool is one thing to be cut, for the MIG manager takes a config for a node: so what packing calls a
GPU is here a node with all its slices. A pool that an autoscaler grows has one geometry, whole GPUs or slices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.packing.nodes import IdleGpu, recuts
from autoscaler.core.packing.plan import PackingPlan
from autoscaler.core.packing.problem import PackingProblem
from autoscaler.core.packing.turns import first_turn
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.begin import offers
from autoscaler.core.slices.cells import Ground, lay_out
from autoscaler.core.slices.draft import drafted, spares
from autoscaler.core.slices.observed import MigState, SliceNode, SlicePlan
from autoscaler.core.slices.settings import SlicePoolSettings
from autoscaler.core.slices.spread import (
    EVERYTHING,
    Honour,
    Spreading,
    left_out,
    names_of,
    survivors,
)
from autoscaler.core.types import TickRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The problem, and what is needed to read its answer."""

    problem: PackingProblem
    gpu_price: int
    """Of one GPU, in the problem's prices: what a move is weighed against."""
    idle: tuple[SliceNode, ...]
    configs: Mapping[str, Mapping[Geometry, str]]
    """By pool, the config that gives a node these slices."""
    pools: Mapping[str, str]
    """By cell, its pool."""
    of_node: Mapping[str, str]
    """By node of a slice pool, its cell."""
    grouped: frozenset[str]
    """Variants that belong to a group."""
    left_out: str = ""
    """What was left out so that the rest fits, in words."""
    unkept: frozenset[str] = frozenset()
    """Workloads for whose loss of a node or a zone no room is kept, though it is to be."""


def question(
    record: TickRecord,
    config: EngineConfig,
    *,
    keeps: bool = True,
    growth_ratio: float = 1.0,
    honour: Honour = EVERYTHING,
) -> Question | None:
    """None: there is nothing to choose - no node may be cut, and no group shares its demand -, no pool is seen, or it
    is not known what is on one.

    `keeps` asks for the highest demand of the last minutes, and not for what is wanted now only.
    `growth_ratio` is how much of what is asked for beyond what runs is to find room: where all of it does not fit, a
    part of it may. `honour` is how much of spread and of what is to survive is asked for.
    """
    given = record.input.slices
    if given is None or given.stale is not None or not _leaves_a_choice(record, config):
        return None
    stuck = {one.node for one in record.result.slices.pools if one.reason is Reason.MIG_STUCK}
    usable = [node for node in given.nodes if node.name not in stuck and _usable(node, config)]
    ground = _ground(record, usable, config)
    if not ground.cells:
        return None
    kept = {item.name: item.amount for item in record.result.slices.kept} if keeps else {}
    draft = drafted(record, usable, ground, config, kept=kept, growth_ratio=growth_ratio)
    specs = [item.spec for item in record.input.workloads]
    groups = {m.workload: one.group for one in record.result.slices.groups for m in one.members}
    kept_for, unkept = survivors(specs, honour, groups)
    spreading = Spreading(
        ground=ground,
        specs={str(spec.id): spec for spec in specs},
        spread=honour.spread,
        surviving={name: one.survive for one in kept_for for name in one.members},
        spares=spares(record),
    )
    workloads = [spreading.of(one) for one in draft.to_be_placed()]
    return Question(
        problem=PackingProblem(
            cells=tuple(ground.cells.values()),
            workloads=(*workloads, *draft.of_others()),
            held=tuple(draft.held),
        ),
        gpu_price=ground.gpu_price,
        idle=tuple(node for node in usable if node.holders == ()),
        configs={
            name: {pool.slices_of(one): one for one in sorted(pool.configs, reverse=True)}
            for name, pool in config.slices.pools.items()
        },
        pools=ground.pools,
        of_node=ground.of_node,
        grouped=frozenset(groups),
        left_out=left_out(honour, kept_for, unkept),
        unkept=names_of(unkept),
    )


def _leaves_a_choice(record: TickRecord, config: EngineConfig) -> bool:
    """Not where nodes have one geometry each and nobody may choose between two, or where it is not known what runs."""
    may_choose = config.slices.pools or any(one.members for one in record.result.slices.groups)
    return bool(may_choose) and all(item.pods_known for item in record.input.workloads)


def _ground(record: TickRecord, usable: Sequence[SliceNode], config: EngineConfig) -> Ground:
    needs = [item.spec.node_needs for item in record.input.workloads]
    return lay_out(
        usable,
        [one for one in needs if one is not None],
        record.input.pools,
        config,
        sold_out={one.pool for one in record.result.pools if not one.available},
        as_it_is={name for one in record.result.slices.pools for name in one.left_alone},
    )


def answer(asked: Question, plan: PackingPlan, *, now_s: float) -> SlicePlan:
    """Which nodes are to be cut otherwise, and how the groups' members share."""
    changes: list[tuple[str, str]] = []
    for cell in sorted({asked.of_node[node.name] for node in asked.idle}):
        configs = asked.configs[asked.pools[cell]]
        opened: Counter[Geometry] = Counter()
        for opened_in, geometry, count in plan.opened:
            if opened_in == cell:
                opened[geometry] += count
        idle = [
            IdleGpu(name=node.name, node=node.name, geometry=_cut(node, configs))
            for node in asked.idle
            if asked.of_node[node.name] == cell
        ]
        changes += [(cut.node, configs[cut.after]) for cut in recuts(idle, opened)]
    drained = sorted({drain.gpu for drain in plan.drained})
    message = f"{len(plan.kept)} nodes and GPUs stay in use"
    if changes:
        message += f", {len(changes)} are to be cut otherwise"
    if drained:
        message += f", to be emptied: {', '.join(drained[:3])}"
    if asked.left_out:
        message += f"; {asked.left_out}"
    turn, grouped = first_turn(asked.problem, plan), sorted(asked.grouped)
    return SlicePlan(
        made_at_s=now_s,
        replicas=tuple((name, plan.count(name)) for name in grouped),
        first=tuple((name, turn.first.get(name, 0)) for name in grouped),
        spare=tuple((name, turn.spare.get(name, 0)) for name in grouped),
        nodes=tuple(sorted(changes)),
        emptied=tuple(drained),
        message=message,
        left_out=asked.left_out,
        unkept=tuple(sorted(asked.unkept)),
    )


def _usable(node: SliceNode, config: EngineConfig) -> bool:
    pool = config.slices.pools.get(node.pool)
    return (
        pool is not None
        and node.ready
        and not node.leaving
        and node.config in pool.configs
        and node.holders is not None
        # One that is being cut anew counts as what it will be; one that a person cordoned is theirs.
        and (not node.cordoned or node.mark is not None)
        # Where it failed there may be no slice at all; pods that run on one keep it.
        and (node.state is not MigState.FAILED or bool(node.holders))
        # Nor is a slice to be had that an idle one does not offer; while forescale cuts it, it counts as it will be.
        and (bool(node.holders) or node.mark is not None or offers(node, node.config, pool))
        and _is_as_told(node, pool)
    )


def _is_as_told(node: SliceNode, pool: SlicePoolSettings) -> bool:
    """Whether its config has the slices that its pods hold: after a label by hand, or with a whole GPU in use, it is
    cut in a way that nobody told. One such node would make the question of all of them contradict itself."""
    held: Counter[str] = Counter()
    for holder in node.sure_holders:
        held[holder.shape] += holder.count
    if node.holders and not held:
        return False
    slices = pool.slices_of(node.config)
    return all(count <= slices.count(shape) for shape, count in held.items())


def _cut(node: SliceNode, configs: Mapping[Geometry, str]) -> Geometry:
    """The slices that its config gives it; while it is being cut anew, those that it will have."""
    config = node.mark.after if node.mark is not None else node.config
    return next((g for g, name in configs.items() if name == config), node.slices)
