"""Slices, one tick: variant groups share their demand and try what never ran, templates find a cheaper slice, and each
slice pool's node is moved one step on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autoscaler.core.need import Need
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices import trials
from autoscaler.core.slices.cells import stranded
from autoscaler.core.slices.groups import join
from autoscaler.core.slices.mover import move
from autoscaler.core.slices.observed import SlicePlan, SlicesDecision, SlicesInput
from autoscaler.core.slices.shapes import Reviewed, review
from autoscaler.core.slices.state import PoolMoves, SlicesState
from autoscaler.core.slices.tick import SlicesTick
from autoscaler.core.survival import Loss
from autoscaler.core.types import Decision, Finding, TickInput, WorkloadId, WorkloadInput

PLAN_LASTS_S = 900.0
"""A plan that is older says nothing: who makes them has stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """The decisions after it, the answer for slices and the memory that it leaves."""

    decisions: tuple[Decision, ...]
    slices: SlicesDecision
    state: SlicesState


def step(
    tick_input: TickInput,
    decisions: Sequence[Decision],
    needs: Mapping[WorkloadId, Need],
    floors: Mapping[WorkloadId, int],
    state: SlicesState,
    *,
    losses: Mapping[WorkloadId, Loss | Finding],
    config: EngineConfig,
) -> Stepped:
    """Nothing is changed where slices are not observed: the mode is off."""
    given, now_s = tick_input.slices, tick_input.now_s
    if given is None:
        return Stepped(decisions=tuple(decisions), slices=SlicesDecision(), state=state)
    plan, hold = in_force(tick_input.slice_plan or state.plan, now_s), _hold(tick_input, given)
    tick = SlicesTick(
        tick_input=tick_input,
        decisions=tuple(decisions),
        needs=needs,
        floors=floors,
        losses=losses,
        plan=plan,
        config=config,
        hold=hold,
    )
    followed = trials.follow(tick, state.trials)
    joined = join(tick, state.groups, apart=followed.apart)
    shared = tuple(joined.decisions.get(item.workload, item) for item in decisions)
    tried = trials.apply(replace(tick, decisions=shared), followed)
    pools, moves = _pools(given, plan, state, config, now_s, hold)
    after = tuple(
        _with_remarks(
            workload,
            tried.decisions.get(item.workload, item),
            given,
            plan if workload.spec.id in losses else None,
            config,
        )
        for workload, item in zip(tick_input.workloads, shared, strict=True)
    )
    reviewed = review(replace(tick, decisions=after), state.shapes)
    return Stepped(
        decisions=tuple(_with_finding(item, reviewed) for item in after),
        slices=replace(
            pools,
            groups=tuple(joined.groups),
            shapes=reviewed.decisions,
            shape_actions=reviewed.actions,
        ),
        state=replace(
            state,
            plan=plan,
            groups=tuple(joined.states),
            pools=moves,
            shapes=reviewed.states,
            trials=tuple(tried.states),
        ),
    )


def _hold(tick_input: TickInput, given: SlicesInput) -> str | None:
    """Why nothing may be begun or gone on with."""
    if given.stale is not None:
        return given.stale
    return None if tick_input.frozen is None else f"all scaling is frozen: {tick_input.frozen}"


def _with_finding(decision: Decision, reviewed: Reviewed) -> Decision:
    """With what was found of its template."""
    found = reviewed.findings.get(decision.workload)
    return decision if found is None else replace(decision, findings=(*decision.findings, found))


def _with_remarks(
    workload: WorkloadInput,
    decision: Decision,
    given: SlicesInput,
    plan: SlicePlan | None,
    config: EngineConfig,
) -> Decision:
    """Says so where no node of its slice pools is for its pods, and where the plan keeps no room for its loss."""
    needs, found = workload.spec.node_needs, []
    if needs is None or given.stale is not None:
        return decision
    nowhere = stranded(needs, given.nodes, config)
    if nowhere is not None:
        found.append(Finding(reason=Reason.UNSCHEDULABLE, message=nowhere))
    if plan is not None and str(workload.spec.id) in plan.unkept:
        found.append(Finding(reason=Reason.NO_FREE_SLICE, message=plan.left_out))
    return replace(decision, findings=(*decision.findings, *found)) if found else decision


def _pools(
    given: SlicesInput,
    plan: SlicePlan | None,
    state: SlicesState,
    config: EngineConfig,
    now_s: float,
    hold: str | None,
) -> tuple[SlicesDecision, tuple[PoolMoves, ...]]:
    known = {item.pool: item for item in state.pools}
    wanted = dict(plan.nodes) if plan is not None else {}
    moved = [
        move(
            name,
            [node for node in given.nodes if node.pool == name],
            wanted,
            known.get(name) or PoolMoves(pool=name),
            settings=config.slices,
            now_s=now_s,
            hold=hold,
            unplanned=_unplanned(plan),
        )
        for name in sorted(config.slices.pools)
    ]
    return SlicesDecision(
        pools=tuple(item.decision for item in moved),
        actions=tuple(item.action for item in moved if item.action is not None),
    ), tuple(item.state for item in moved)


def in_force(plan: SlicePlan | None, now_s: float) -> SlicePlan | None:
    """A plan that still says something; one from after now is from before the clock was set back."""
    return plan if plan is not None and abs(now_s - plan.made_at_s) < PLAN_LASTS_S else None


def _unplanned(plan: SlicePlan | None) -> str | None:
    if plan is None:
        return f"no packing was made within the last {PLAN_LASTS_S / 60:.0f} minutes"
    return None if plan.infeasible is None else f"the packing finds no plan: {plan.infeasible}"
