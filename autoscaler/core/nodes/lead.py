"""How long a pool takes from the request for a node until its units can be allocated, and for each stage before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from autoscaler.core import lead_time
from autoscaler.core.lead_time import LeadTimes
from autoscaler.core.nodes.observed import NodeStatus
from autoscaler.core.nodes.state import PoolState

STAGES = ("registered", "ready", "allocatable")


def learn(state: PoolState, nodes: Sequence[NodeStatus]) -> PoolState:
    """Takes in every stage that a node has reached, each node once for each stage."""
    return replace(
        state,
        registered=_learn(state.registered, nodes, "registered"),
        ready=_learn(state.ready, nodes, "ready"),
        allocatable=_learn(state.allocatable, nodes, "allocatable"),
    )


def lead_time_s(
    state: PoolState, nodes: Sequence[NodeStatus], *, seed_s: float, now_s: float
) -> float:
    """P90 from the request to allocatable units; nodes under way count as having taken at least so long."""
    waiting = [
        now_s - node.requested_s
        for node in nodes
        if node.requested_s is not None
        and node.allocatable_s is None
        and not node.leaving
        and not node.broken
    ]
    return lead_time.p90_s(state.allocatable, seed_s=seed_s, waiting_s=waiting)


def longest_s(states: Sequence[PoolState], seeds_s: Mapping[str, float]) -> float:
    """The longest lead time of the pools in `seeds_s`, measured or their seed: how far a schedule is looked ahead."""
    known = {state.pool: state for state in states}
    return max(
        lead_time_s(known.get(name) or PoolState(pool=name), (), seed_s=seed_s, now_s=0.0)
        for name, seed_s in seeds_s.items()
    )


def stages_s(state: PoolState) -> tuple[tuple[str, float], ...]:
    """(stage, P90 from the request) of the stages that were seen at least once."""
    found = []
    for stage in STAGES:
        times: LeadTimes = getattr(state, stage)
        if times.observed_s:
            # The median of what was seen is no seed of the P90: the highest stands in until five are there.
            p90 = lead_time.p90_s(times, seed_s=max(times.observed_s), waiting_s=[])
            found.append((stage, p90))
    return tuple(found)


def _learn(times: LeadTimes, nodes: Sequence[NodeStatus], stage: str) -> LeadTimes:
    reached = []
    for node in nodes:
        at_s: float | None = getattr(node, f"{stage}_s")
        if node.requested_s is not None and at_s is not None:
            reached.append((node.name, at_s - node.requested_s))
    return lead_time.learn(times, reached)
