"""Through which interface a pool is told of its headroom: what the cluster serves, then what brings nodes.

An API that is served proves nothing - the cluster-autoscaler serves CapacityBuffers with both of its flags off. So
headroom that is neither there nor on its way for too long moves to the next back-end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoscaler.core.nodes.observed import (
    Backend,
    NodeStatus,
    PoolDecision,
    PoolInput,
    SetHeadroom,
)
from autoscaler.core.nodes.settings import BackendChoice, PoolSettings
from autoscaler.core.nodes.state import PoolState
from autoscaler.core.reasons import Reason

# A CapacityBuffer first: its pods are no pods, so that neither a quota nor the cluster-autoscaler's 30 s wait for GPUs
# applies to them.
PREFERRED = (Backend.CAPACITY_BUFFER, Backend.PLACEHOLDER)
PROOF_LEADS = 2.0
SHORTEST_PROOF_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The memory with the back-end in it, and what a person should know."""

    state: PoolState
    findings: tuple[tuple[Reason, str], ...] = ()


def choose(
    given: PoolInput,
    state: PoolState,
    settings: PoolSettings,
    units: int,
    lead_s: float,
    *,
    now_s: float,
) -> Chosen:
    """The first back-end that is served, allowed and not found to bring nothing."""
    served = {item for item, _ in given.headroom}
    allowed = [b for b in PREFERRED if b in served and settings.backend in (b, BackendChoice.AUTO)]
    if not allowed:
        return Chosen(
            state=replace(state, backend=None, unmet_since_s=None),
            findings=((Reason.NODE_BACKEND_MISSING, _missing(settings)),),
        )
    untried = [b for b in allowed if b not in state.unproven]
    current = (untried or allowed)[0]
    state = replace(state, backend=current)
    met = free_units(given.nodes) >= units or coming(given.nodes) > 0
    if met or units == 0 or state.stock.until_s is not None:
        return Chosen(state=replace(state, unmet_since_s=None))
    since_s = now_s if state.unmet_since_s is None else min(state.unmet_since_s, now_s)
    state = replace(state, unmet_since_s=since_s)
    waited_s = now_s - since_s
    trouble = dict(given.trouble).get(current)
    if waited_s < max(SHORTEST_PROOF_S, PROOF_LEADS * lead_s):
        if trouble is None:
            return Chosen(state=state)
        text = f"the {current.value} does not ask for all of its {units} units: {trouble}"
        return Chosen(state=state, findings=((Reason.NODE_BACKEND_UNPROVEN, text),))
    text = f"{units} units were asked for {waited_s:.0f} s ago through {current.value} and no node is on its way"
    if trouble is not None:
        text += f" ({trouble})"
    if len(untried) > 1:
        state = replace(
            state,
            unproven=(*state.unproven, current),
            backend=untried[1],
            unmet_since_s=None,
        )
        text += f"; {untried[1].value} is tried instead"
    return Chosen(state=state, findings=((Reason.NODE_BACKEND_UNPROVEN, text),))


def actions(given: PoolInput, decision: PoolDecision) -> list[SetHeadroom]:
    """What to write: the chosen back-end's object to the headroom, every other one to nothing."""
    if decision.headroom is None:
        return []
    found = []
    for backend, observed in given.headroom:
        units = decision.headroom if backend is decision.backend else 0
        if units != observed:
            found.append(
                SetHeadroom(
                    pool=given.pool,
                    backend=backend,
                    observed=observed,
                    units=units,
                    reason=decision.reason,
                    message=decision.message,
                )
            )
    return found


def free_units(nodes: Sequence[NodeStatus]) -> int:
    """Allocatable now and held by nobody who stays."""
    return sum(
        max(0, node.units - node.used_units)
        for node in nodes
        if node.units is not None and node.allocatable_s is not None and not node.leaving
    )


def coming(nodes: Sequence[NodeStatus]) -> int:
    """Nodes that were asked for and whose units can't be allocated yet."""
    return sum(
        1 for node in nodes if node.allocatable_s is None and not node.leaving and not node.broken
    )


def _missing(settings: PoolSettings) -> str:
    if settings.backend is BackendChoice.CAPACITY_BUFFER:
        return "this cluster serves no CapacityBuffer (autoscaling.x-k8s.io), set backend: placeholder or auto"
    return "headroom can't be written: the role forescale-nodes is missing, install deploy's component nodes"
