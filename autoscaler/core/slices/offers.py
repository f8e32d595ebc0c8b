"""What the present demand would cost on the other slices that a template may ask for, and for how long one is cheaper.

Both sides are sized alike, at the same price of a miss. A slice is an offer only where what it carries was learned on
it or told by a profile from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from autoscaler.core.mig.choice import resource_of
from autoscaler.core.need import Need
from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.profile import ModelPrior
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.prices import prices
from autoscaler.core.slices.settings import TemplatesMode
from autoscaler.core.slices.state import ShapeState
from autoscaler.core.slices.template import ShapePhase, TemplateStatus
from autoscaler.core.types import Decision, WorkloadInput

WORTH_RATIO = 0.9
"""The other slice must cost at most this share of what it costs now; wanted it stays while it is no dearer."""
GAP_S = 300.0
"""Not knowing for longer than this begins the patience anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One workload whose template may ask for several slices."""

    given: WorkloadInput
    decision: Decision
    status: TemplateStatus
    needs: NodeNeeds
    need: Need | None
    floor: int
    limit: int

    @property
    def name(self) -> str:
        return str(self.given.spec.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Another slice, with what it would cost."""

    shape: str
    replicas: int
    here: int
    """Replicas on the present one that carry the same."""
    ratio: float
    """Its cost over that of the present one."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOffer:
    """Why there is none. `unknown`: not because another would be no better."""

    message: str
    unknown: bool = False


def elsewhere(
    given: WorkloadInput, told: Mapping[str, tuple[ModelPrior, ...]], config: EngineConfig
) -> dict[str, tuple[ModelPrior, ...]]:
    """The other slices that it may have, with the profiles from there; none while that is off."""
    if config.slices.templates is TemplatesMode.OFF or given.template is None:
        return {}
    others = [one for one in given.spec.slice_shapes if one != given.template.shape]
    return {one: told.get(one, ()) for one in others}


def offered(case: Case, config: EngineConfig) -> Offer | NoOffer:
    """The cheapest other slice that is known to carry the present demand at no higher cost, or why there is none."""
    need, facts = case.need, case.decision.facts
    if need is None or need.wanted is None or not need.replica_rps:
        return NoOffer(message="demand or capacity is not known", unknown=True)
    profiled = any(
        item.workload == case.name and item.shape == case.status.shape for item in config.priors
    )
    if facts.capacity_unproven is not None and not profiled:
        return NoOffer(message=facts.capacity_unproven, unknown=True)
    here = max(case.floor, need.wanted)
    asked = [replace(case.needs, resource=resource_of(one.shape)) for one in need.others]
    own, *costs = prices([case.needs, *asked], config)
    offers, reasons = [], []
    for other, price in zip(need.others, costs, strict=True):
        count = None if other.wanted is None else max(case.floor, other.wanted)
        why = _ruled_out(case, other.shape, count) or other.why
        if why or count is None or not other.replica_rps:
            reasons.append(f"{other.shape}: {why or 'not known'}")
            continue
        ratio = price * count / (own * here) if here else 1.0
        offers.append(
            Offer(
                shape=other.shape,
                replicas=count,
                here=here,
                ratio=ratio,
                message=(
                    f"{count} x {other.shape} ({other.replica_rps:.3g}/s each) carry what "
                    f"{here} x {case.status.shape} ({need.replica_rps:.3g}/s each) do at {ratio:.0%} of the cost"
                ),
            )
        )
    best = min(offers, key=lambda offer: (offer.ratio, offer.shape), default=None)
    if best is not None and best.ratio <= 1.0:
        return best
    if best is not None:
        reasons.append(f"{best.message}")
    return NoOffer(message="; ".join(reasons) or "no other slice is named", unknown=not offers)


def _ruled_out(case: Case, shape: str, count: int | None) -> str:
    mark = case.status.mark
    if mark is not None and mark.after == shape and mark.image == case.status.image:
        if mark.phase is ShapePhase.FAILED:
            return (
                f"failed with this image, and is not tried again before the next one ({mark.why})"
            )
        if mark.phase is ShapePhase.DONE:
            return "somebody has taken it back since, and it is not tried again with this image"
    if count is not None and count > case.limit:
        return f"{count} replicas are needed there, {case.limit} are allowed"
    return ""


def waited(state: ShapeState, offer: Offer | NoOffer, now_s: float) -> ShapeState:
    """Since when that slice has been the cheaper one."""
    nothing = ShapeState(workload=state.workload, changed_s=state.changed_s)
    going_on = bool(state.shape) and 0.0 <= now_s - state.seen_s <= GAP_S
    if isinstance(offer, NoOffer):
        return state if offer.unknown and going_on else nothing
    if going_on and state.shape == offer.shape:
        return replace(state, seen_s=now_s)
    if offer.ratio > WORTH_RATIO:
        return nothing
    return replace(nothing, shape=offer.shape, since_s=now_s, seen_s=now_s)
