"""Nodes that are paid for and of no use: not ready any more, or without a unit to allocate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoscaler.core.listed import listed
from autoscaler.core.nodes.observed import NodeStatus
from autoscaler.core.nodes.state import BrokenSince, PoolState
from autoscaler.core.reasons import Reason

TOLD_AFTER_S = 600.0
"""A kubelet or a device plugin that starts anew is back by then; node autoscalers repair later than that."""


def noted(state: PoolState, nodes: Sequence[NodeStatus], now_s: float) -> PoolState:
    """With those that are broken now, and since when; one that leaves is on its way out."""
    # Never after now: the clock may have been set back.
    since = {item.node: min(item.since_s, now_s) for item in state.broken}
    names = sorted(node.node or node.name for node in nodes if node.broken and not node.leaving)
    found = tuple(BrokenSince(node=name, since_s=since.get(name, now_s)) for name in names)
    return replace(state, broken=found)


def told(state: PoolState, resource: str, now_s: float) -> list[tuple[Reason, str]]:
    """What a person should know of it."""
    lasting = [item for item in state.broken if now_s - item.since_s >= TOLD_AFTER_S]
    if not lasting:
        return []
    minutes = max(now_s - item.since_s for item in lasting) / 60.0
    names = listed([item.node for item in lasting])
    text = (
        f"{names}: not ready, or no {resource} to allocate, for {minutes:.0f} minutes; look at the node's "
        "conditions and its device plugin, or delete it"
    )
    return [(Reason.NODE_BROKEN, text)]
