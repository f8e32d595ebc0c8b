"""How many replicas a workload needs so that the loss of a node, or of a zone, leaves as many as the demand asks for.

What goes at once is bounded by what the scheduler enforces: anti-affinity to its own pods, or a topology spread
constraint. How many nodes or zones there are is read off where its pods are: once one of them has more than the skew
lets it be ahead of an empty one, there is no empty one, and those with pods are all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from autoscaler.core.nodes.placement import HOST_LABEL, ZONE_LABEL, Placement
from autoscaler.core.packing.supply import peak
from autoscaler.core.reasons import Reason
from autoscaler.core.types import (
    Decision,
    Finding,
    PodStatus,
    Survive,
    TickInput,
    WorkloadId,
    WorkloadInput,
    WorkloadSpec,
)

STAGE = "survive"
STRICTEST = (Survive.ZONE, Survive.NODE, Survive.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What of a workload may go at once."""

    survive: Survive
    skew: int
    """The most replicas that one of them has while another has none."""
    domains: int | None = None
    """How many nodes or zones there are for its pods; None: so many that one is without, as far as is seen."""

    def most(self, replicas: int) -> int:
        """Of so many replicas, those that one loss takes at most."""
        if self.domains is None:
            return min(replicas, self.skew)
        return peak(replicas, self.domains, self.skew)

    def enough(self, needed: int) -> int:
        """The fewest replicas of which one loss leaves so many.

        In D domains n leave ceil((D - 1) (n - skew) / D). Counted up to, the largest skew that Kubernetes allows would
        be a tick of half an hour.
        """
        if needed <= 0:
            return 0
        if self.domains is None:
            return needed + self.skew
        return self.skew + self.domains * (needed - 1) // (self.domains - 1) + 1


def told(decision: Decision, loss: Loss | Finding | None) -> Decision:
    """With why it can't survive what it is to."""
    if not isinstance(loss, Finding):
        return decision
    return replace(decision, findings=(*decision.findings, loss))


def added(decision: Decision) -> int:
    """How many replicas it asks for on top of the demand's, so that a loss leaves these."""
    return next((s.after - s.before for s in decision.steps if s.stage == STAGE), 0)


def asked(specs: Iterable[WorkloadSpec]) -> Mapping[WorkloadId, Survive]:
    """What each workload is to survive. The members of a variant group serve one model: the strictest counts."""
    known = list(specs)
    groups: dict[tuple[str, str], list[Survive]] = {}
    for spec in known:
        if spec.variant_group is not None:
            groups.setdefault((spec.id.namespace, spec.variant_group), []).append(spec.survive)
    return {
        spec.id: spec.survive
        if spec.variant_group is None
        else min(groups[spec.id.namespace, spec.variant_group], key=STRICTEST.index)
        for spec in known
    }


def losses(tick_input: TickInput) -> Mapping[WorkloadId, Loss | Finding]:
    """By workload that is to survive one, what may go at once, or why that can't be told."""
    surviving = asked(given.spec for given in tick_input.workloads)
    zones = zones_of(tick_input) if Survive.ZONE in surviving.values() else {}
    unseen = None if zones else _unseen(tick_input)
    return {
        given.spec.id: _loss(given, survive, zones, unseen)
        for given in tick_input.workloads
        if (survive := surviving[given.spec.id]) is not Survive.NONE
    }


def unspread(spec: WorkloadSpec, survive: Survive) -> str | None:
    """Why it can't survive that; None: it can, or nothing is to be survived."""
    if survive is Survive.NONE:
        return None
    # In a group the others' replicas may be elsewhere.
    most = spec.max_replicas if spec.variant_group is None else None
    skew = _skew(spec, survive)
    if skew is not None and (most is None or skew < most):
        return None
    if skew is not None:
        return (
            f"survive: {survive.value}, and all of its replicas may be in one: its spread lets {skew} be there while "
            f"another has none, and max-replicas is {most}: a smaller maxSkew or a higher max-replicas is needed"
        )
    if survive is Survive.NODE:
        key, other = HOST_LABEL, " or required anti-affinity to its own pods there"
    else:
        key, other = ZONE_LABEL, ""
    return (
        f"survive: {survive.value}, and nothing spreads its pods: a topology spread constraint over {key} with "
        f"DoNotSchedule{other} is needed, else Kubernetes may put all of them into one"
    )


def _skew(spec: WorkloadSpec, survive: Survive) -> int | None:
    """By how many one node or zone may be ahead of another; None: nothing spreads its pods."""
    placement = spec.node_needs.placement if spec.node_needs is not None else Placement()
    if survive is Survive.ZONE:
        return placement.skew(ZONE_LABEL)
    return 1 if placement.alone else placement.skew(HOST_LABEL)


def zones_of(tick_input: TickInput) -> Mapping[str, str]:
    """By node, its zone: of the nodes of configured pools."""
    found = {
        node.node or node.name: node.zone
        for pool in tick_input.pools
        for node in pool.nodes
        if node.zone is not None
    }
    sliced = tick_input.slices.nodes if tick_input.slices is not None else ()
    return found | {node.name: node.zone for node in sliced if node.zone is not None}


def unread(loss: Loss | Finding | None) -> str | None:
    """Why it is not known now what a loss takes, so that what is there for one stays; None: it is, or never was."""
    return (
        loss.message if isinstance(loss, Finding) and loss.reason is Reason.PARTIAL_DATA else None
    )


def _unseen(tick_input: TickInput) -> str | None:
    """Why no nodes are seen where there may be some, as after a restart."""
    sliced = () if tick_input.slices is None else (tick_input.slices,)
    told = (*tick_input.pools, *sliced)
    return next((one.stale for one in told if one.stale is not None and not one.nodes), None)


def _loss(
    given: WorkloadInput, survive: Survive, zones: Mapping[str, str], unseen: str | None
) -> Loss | Finding:
    flaw = unspread(given.spec, survive)
    if flaw is None and survive is Survive.ZONE and unseen is not None:
        text = f"survive: zone, and the zones of its nodes are not known: {unseen}"
        return Finding(reason=Reason.PARTIAL_DATA, message=text)
    if flaw is None and survive is Survive.ZONE and _zoneless(given.pods, zones):
        flaw = (
            "survive: zone, and the zones of its nodes are not known: only nodes of the pools in engine.nodes.pools "
            "and engine.slices.pools are looked at"
        )
    if flaw is not None:
        return Finding(reason=Reason.UNSUPPORTED, message=flaw)
    skew, where = _skew(given.spec, survive), _nodes(given.pods)
    if survive is Survive.ZONE:
        where = [zones[node] for node in where if node in zones]
    assert skew is not None
    return Loss(survive=survive, skew=skew, domains=_domains(where, skew))


def _domains(where: Sequence[str], skew: int) -> int | None:
    """Of one alone it is not said that there is no other: after a scale-down what is left may be together."""
    counts = Counter(where)
    if len(counts) < 2 or max(counts.values()) <= skew:
        return None
    return len(counts)


def _zoneless(pods: Sequence[PodStatus], zones: Mapping[str, str]) -> bool:
    nodes = _nodes(pods)
    return bool(nodes) and not any(node in zones for node in nodes)


def _nodes(pods: Sequence[PodStatus]) -> list[str]:
    """Of each pod that stays."""
    return [pod.node for pod in pods if pod.deleted_s is None and pod.node is not None]
