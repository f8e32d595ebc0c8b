"""What is left of pools that the policy does not name any more: their objects ask for nodes as long as they stand."""

from __future__ import annotations

from collections.abc import Sequence

from autoscaler.core.nodes import backend
from autoscaler.core.nodes.observed import PoolDecision, PoolInput, SetHeadroom
from autoscaler.core.nodes.settings import NodeSettings
from autoscaler.core.reasons import Reason


def let_go(
    inputs: Sequence[PoolInput], settings: NodeSettings
) -> tuple[list[PoolDecision], list[SetHeadroom]]:
    """Nothing is asked for through them; nobody else would say so while the controller lives."""
    decisions: list[PoolDecision] = []
    actions: list[SetHeadroom] = []
    for given in inputs:
        if given.pool in settings.pools:
            continue
        decision = PoolDecision(
            pool=given.pool,
            headroom=0,
            reason=Reason.NODES_UNNEEDED,
            message="the policy does not name this pool any more",
        )
        decisions.append(decision)
        actions += backend.actions(given, decision)
    return decisions, actions
