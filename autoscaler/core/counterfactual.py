"""What one replica fewer would have meant, in words: the nearest alternative to a decision."""

from __future__ import annotations

from autoscaler.core import size
from autoscaler.core.need import Need
from autoscaler.core.queueing import miss_probability
from autoscaler.core.types import LatencyObjective


def one_fewer(replicas: int, need: Need, objective: LatencyObjective) -> str:
    """Of `replicas` less one: overload or misses now, else the chance to be outgrown. Empty: nothing is known."""
    fewer = replicas - 1
    carried, level = need.carried, need.level_rps
    carrying = fewer - need.sick
    if carrying < 1 or carried is None or level is None:
        return ""
    load = level * carried.work_s_per_inference / carrying
    if load >= 1.0:
        return f"{fewer} would be overloaded: {load:.0%} of what they can do at full batches"
    limit = size.limit_of_fewer(carried, objective, replicas=carrying)
    if load > limit:
        if carried.tokens is not None:
            return (
                f"{fewer} would run at {load:.0%} of the {carried.tokens.most_rps:.0f} tokens a second that "
                f"{carried.tokens.limited_by} allows, without room for arrivals that come together"
            )
        missed = miss_probability(
            carried.dominant,
            load / carried.dominant.work_s,
            objective.threshold_s,
            carried.variability_of(carrying),
            together=carried.together(carrying),
        )
        return f"{fewer} would run at {load:.0%} and miss {objective.threshold_s * 1000:.0f} ms for {missed:.1%}"
    if need.outlook is None or need.replica_rps is None:
        return ""
    fewer_rps = need.replica_rps * limit / carried.utilization_limit_ratio
    chance = need.outlook.exceeded_ratio(carrying * fewer_rps)
    now = need.outlook.exceeded_ratio((carrying + 1) * need.replica_rps)
    return (
        f"{fewer} would carry it now, and be outgrown before another could be there with a chance of {chance:.1%} "
        f"instead of {now:.1%}"
    )
