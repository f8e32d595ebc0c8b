"""How far one node has come, from what the API server and Karpenter show of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.collectors.node_views import ClaimView, NodeView
from autoscaler.core.nodes.observed import NodeStatus
from autoscaler.core.nodes.placement import ZONE_LABEL

STARTING_S = 3600.0
"""A node that is there for longer and of no use is not starting; node autoscalers give one up after 15 minutes."""


def status_of(
    node: NodeView,
    claim: ClaimView | None,
    requested_s: float | None,
    resource: str,
    used: Mapping[str, int],
    now_s: float,
) -> NodeStatus:
    """A node that is there, with the request for it where there is one, or else the time of it where that is known."""
    requested_s = claim.requested_s if claim is not None else requested_s
    units, usable_s = node.allocatable.get(resource, 0), node.usable_s.get(resource)
    usable = units > 0 and node.ready_s is not None
    broken = not usable and (usable_s is not None or now_s - node.created_s > STARTING_S)
    # Of a node that was of use when first seen, it is not known since when; one that is or was broken has no lead time.
    late = usable_s is not None and usable_s - node.created_s > STARTING_S
    timed = resource not in node.found and not broken and not late
    return NodeStatus(
        name=claim.name if claim else node.name,
        requested_s=requested_s if timed else None,
        registered_s=node.created_s,
        ready_s=node.first_ready_s,
        allocatable_s=usable_s if usable else None,
        units=units,
        used_units=used.get(node.name, 0),
        leaving=node.leaving or (claim is not None and claim.leaving),
        broken=broken,
        node=node.name if claim else None,
        zone=node.labels.get(ZONE_LABEL),
    )
