"""Where a rise that is under way leads until a replica that is asked for now is there.

The naive forecast starts from the present demand, and in a flash crowd is late by a lead time in each tick: from 30 a
second to 75 within five minutes, with replicas that take three, it asks for what 40 need when there will be 65. A
damped trend (Gardner and McKenzie, 1985) goes on from there, at half of the pace that was seen last.

Of noise it would make rises at every turn. So a rise counts from three times what this demand usually changes from one
minute to the next, chance included, and in full from six times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from autoscaler.core.demand import log_units

# What a trend keeps of its pace, on average over the lead time: surges end as suddenly as they begin.
KEPT_PACE = 0.5
# A step that was taken for a surge is over after a minute, and no more than half as many replicas were asked for.
MOST_RATIO = 1.5
# What does more than double within a minute is a step, and no pace: from 25 to 120 a second, with replicas that take
# twenty seconds, it would lead to 178, and leads to 143.
FASTEST_PACE = math.log(2.0) / 60.0
# Of ten minutes that a replica takes, a pace of one minute tells no more than of the first four.
LONGEST_SURGE_S = 240.0
SURE_DEVIATIONS = 3.0
# The median of absolute deviations, over what a normal distribution's standard deviation is of it.
MEDIAN_TO_DEVIATION = 1.48
# Fewer changes do not tell what is usual.
LEAST_CHANGES = 5
# The middles of the present window and of the minute that it is compared with are so far apart: not the same requests,
# and near enough for a pace.
NEAREST_S, FARTHEST_S = 45.0, 150.0


def leads_to_rps(
    level_rps: float,
    minutes: Sequence[tuple[float, float, float]],
    *,
    now_s: float,
    lead_s: float,
    window_s: float,
    variability: float,
) -> float:
    """`level_rps`, the demand of the last `window_s`, or what it comes to within `lead_s` where it surges.

    `minutes` are those of `Growth`: (minute, mean, highest), oldest first. A gap among the last of them tells nothing.
    """
    found = _minute_before(minutes, now_s - 0.5 * window_s)
    if found is None:
        return level_rps
    mean_rps, apart_s = found
    rise = log_units(level_rps) - log_units(mean_rps)
    scatter = max(variability, 1.0)
    # One request more than were counted: of none that came, chance is not nought.
    chance = scatter / (60.0 * mean_rps + 1.0) + scatter / (window_s * level_rps + 1.0)
    if rise <= SURE_DEVIATIONS * math.sqrt(chance):
        return level_rps
    usual = _usual_change(minutes)
    if usual is None:
        return level_rps
    # Half a minute wavers more than a minute: of what changes at random twice the variance, and between it and a minute
    # lies 1.5 times what lies between two minutes.
    window_variance = 0.5 * (60.0 / window_s + 1.0) * usual**2
    sure = 2.0 * (rise - SURE_DEVIATIONS * math.sqrt(chance + window_variance))
    believed = min(rise, sure)
    if believed <= 0.0:
        return level_rps
    pace = min(believed / apart_s, FASTEST_PACE)
    lasts_s = min(lead_s, LONGEST_SURGE_S)
    return level_rps * min(MOST_RATIO, math.exp(KEPT_PACE * pace * lasts_s))


def _minute_before(
    minutes: Sequence[tuple[float, float, float]], middle_s: float
) -> tuple[float, float] | None:
    """(the mean of the last minute that is wholly before the present window, how far apart their middles are)."""
    for minute_s, mean_rps, _ in reversed(minutes):
        apart_s = middle_s - (minute_s + 30.0)
        if apart_s >= NEAREST_S:
            return (mean_rps, apart_s) if apart_s <= FARTHEST_S else None
    return None


def _usual_change(minutes: Sequence[tuple[float, float, float]]) -> float | None:
    """The standard deviation of the change between two minutes, in logarithms; a surge among them moves it little."""
    changes = [
        abs(log_units(after[1]) - log_units(before[1]))
        for before, after in pairwise(minutes)
        if after[0] - before[0] == 60.0
    ]
    return MEDIAN_TO_DEVIATION * median(changes) if len(changes) >= LEAST_CHANGES else None
