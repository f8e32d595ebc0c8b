"""Whether a workload has to look ahead over the wait for a node itself, and how long that wait is.

Lead time is counted once: replicas look ahead by the time that a pod takes once it has a node, headroom by the time
that the node takes. Where nothing brings nodes ahead of pods - headroom is only recommended, no back-end takes it,
every pool is sold out - a new replica takes both, and its workload has to ask so much earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autoscaler.core.nodes import lead
from autoscaler.core.nodes.choice import choice_of
from autoscaler.core.nodes.observed import NodeNeeds, PoolInput
from autoscaler.core.nodes.settings import HeadroomMode, NodeSettings
from autoscaler.core.nodes.state import NodesState, PoolState


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWait:
    """The wait for a node, as one workload sees it."""

    apart: bool
    """It is none of the workload's: headroom brings nodes before pods need them, or nobody brings any."""
    lead_s: float
    """What a node takes that is asked for now, P90."""
    room: bool
    """A replica finds room on a node that is there, as far as is known."""


def node_wait(
    needs: NodeNeeds | None,
    inputs: Sequence[PoolInput],
    state: NodesState,
    settings: NodeSettings,
    *,
    asks: bool,
    now_s: float,
) -> NodeWait | None:
    """None: no configured pool is for it, and nothing is known of its nodes. `asks`: headroom is asked for it too."""
    choice = choice_of(needs, settings.pools, inputs)
    if needs is None or not choice:
        return None
    seen = {item.pool: item for item in inputs}
    known = {item.pool: item for item in state.pools}
    grown = [name for name in choice if not settings.pools[name].fixed]
    brings = [name for name in grown if _brings(known.get(name), settings)]
    target = (brings or grown or list(choice))[0]
    return NodeWait(
        apart=(asks and bool(brings)) or not grown,
        lead_s=lead.lead_time_s(
            known.get(target) or PoolState(pool=target),
            seen[target].nodes if target in seen else (),
            seed_s=settings.pools[target].lead_time_s,
            now_s=now_s,
        ),
        room=any(_has_room(seen.get(name), needs.count) for name in choice),
    )


def _brings(known: PoolState | None, settings: NodeSettings) -> bool:
    """Whether headroom is asked of the pool through an interface that takes it. The first tick is about to ask."""
    if settings.mode is not HeadroomMode.AUTO:
        return False
    return known is None or (known.backend is not None and known.stock.until_s is None)


def _has_room(given: PoolInput | None, count: int) -> bool:
    """What is not known is not taken for full."""
    if given is None or given.stale is not None:
        return True
    return any(
        node.units is not None
        and node.allocatable_s is not None
        and not node.leaving
        and node.units - node.used_units >= count
        for node in given.nodes
    )
