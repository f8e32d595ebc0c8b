"""Step 5: HPA's `behavior`, with HPA's words and meanings - stabilisation windows, rate policies, select policy.

Pure functions of the past recommendations and scale events, which the caller keeps.
"""

from __future__ import annotations

import math

from autoscaler.core.computed import computed
from autoscaler.core.settings import PolicyType, ScalingRules, SelectPolicy

LONGEST_WINDOW_S = 3600.0
LEAST_DOWN_WINDOW_S, MOST_DOWN_WINDOW_S = 60.0, 120.0


@computed
class Recommended:
    """What sizing asked for at one time."""

    at_s: float
    replicas: int


@computed
class ScaleEvent:
    """A change of spec.replicas that forescale made."""

    at_s: float
    change: int


def remember(
    past: tuple[Recommended, ...], now: Recommended, *, down_s: float, up_s: float
) -> tuple[Recommended, ...]:
    """The past with `now`, less what no window can need.

    Without an up window only entries above all later ones matter, since only the highest of the down window counts.
    """
    window_s = max(down_s, up_s)
    kept = [
        item
        for item in past
        if now.at_s - window_s < item.at_s < now.at_s
        and (up_s > 0.0 or item.replicas > now.replicas)
    ]
    return (*kept, now)


def down_window_s(rules: ScalingRules, *, lead_s: float) -> float:
    """The stabilisation window for scaling down: the SRE's, or a third of the time to ready, one to two minutes.

    It only keeps dips from being followed, and a dip costs more where what went takes longer to come back; what demand
    may do until then is in the price.
    """
    if rules.stabilization_window_s is not None:
        return rules.stabilization_window_s
    return min(max(lead_s / 3.0, LEAST_DOWN_WINDOW_S), MOST_DOWN_WINDOW_S)


def stabilized(
    past: tuple[Recommended, ...],
    *,
    now_s: float,
    current: int,
    wanted: int,
    up_s: float,
    down_s: float,
) -> int:
    """HPA's stabilizeRecommendationWithBehaviors: from `current`, up to the lowest recommendation of the up window and
    down to the highest of the down window, so that neither a peak nor a dip shorter than its window changes anything.
    """
    lowest = min([wanted, *(item.replicas for item in past if item.at_s > now_s - up_s)])
    highest = max([wanted, *(item.replicas for item in past if item.at_s > now_s - down_s)])
    return min(max(current, lowest), highest)


def limit_up(
    rules: ScalingRules, events: tuple[ScaleEvent, ...], *, now_s: float, current: int
) -> int:
    """The most replicas that the rate policies allow now (HPA's calculateScaleUpLimit).

    Percentages are rounded up, so that 10 % of two replicas can still move one.
    """
    if rules.select_policy is SelectPolicy.DISABLED:
        return current
    limits = []
    for policy in rules.policies:
        added = _moved(events, now_s, policy.period_s, sign=1)
        start = current - added
        if policy.type is PolicyType.PODS:
            limits.append(start + int(policy.value))
        else:
            # Rounded at the ninth digit: 50 * 1.1 must be 55, not 56.
            limits.append(math.ceil(round(start * (1.0 + policy.value / 100.0), 9)))
    if not limits:
        return 2**31
    return max(current, max(limits) if rules.select_policy is SelectPolicy.MAX else min(limits))


def limit_down(
    rules: ScalingRules, events: tuple[ScaleEvent, ...], *, now_s: float, current: int
) -> int:
    """The fewest replicas that the rate policies allow now (HPA's calculateScaleDownLimit)."""
    if rules.select_policy is SelectPolicy.DISABLED:
        return current
    limits = []
    for policy in rules.policies:
        start = current + _moved(events, now_s, policy.period_s, sign=-1)
        if policy.type is PolicyType.PODS:
            limits.append(start - int(policy.value))
        else:
            limits.append(math.floor(round(start * (1.0 - policy.value / 100.0), 9)))
    if not limits:
        return 0
    return min(current, min(limits) if rules.select_policy is SelectPolicy.MAX else max(limits))


def _moved(events: tuple[ScaleEvent, ...], now_s: float, period_s: float, *, sign: int) -> int:
    return sum(abs(e.change) for e in events if e.at_s > now_s - period_s and e.change * sign > 0)


def forget(events: tuple[ScaleEvent, ...], now_s: float) -> tuple[ScaleEvent, ...]:
    """Events that no policy can look back to are dropped; so are any from a future that a stepped clock undid."""
    return tuple(e for e in events if now_s - LONGEST_WINDOW_S < e.at_s <= now_s)
