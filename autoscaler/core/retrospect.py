"""What the day before would have taught: a rehearsal that is led through a past which was told by the minute.

A workload that forescale sees for the first time is seldom new: Prometheus knows its demand of the days before. All
prices are tried on that at once, and the first day need not go by a price which is right for nobody in particular.

Steps are as long as the start-up allows: if all of a minute's demand came at its beginning, a fleet that starts within
seconds would be a minute late each time, and 18 % would seem to have missed where 1 % did. So lines lead from minute
to minute, decisions go by the demand of 10 s before, and as many come as chance may have it.

No misses are known of the past, and what a fitted forecast would have said of it is not made again. So it is believed
where it says that less will do than what is supposed without any past, and is not where it asks for more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import NormalDist

from autoscaler.core.computed import computed
from autoscaler.core.price import Choices
from autoscaler.core.rehearsal import DAY_S, GOLDEN, PRIOR_PRICE, Moment, Rehearsal, advance, begin

MINUTE_S = 60.0
# Capacity and start-up times are to be measured before the past is gone through with them.
SETTLED_S = 600.0
# A past that is not much longer than what was seen live tells nothing new.
LONGER_RATIO = 2.0
# Demands that are closer to each other get the same choices: a day has some hundred levels then, and not 1,440.
LEVEL_STEP = 0.02
# In a minute.
MOST_STEPS = 6
# A scrape and a tick: what came then is what is known now.
SEEN_AFTER_S = 10.0


@computed
class Past:
    """Demand by the minute, and what each number of replicas is worth at one."""

    first_s: float
    """When the first minute began."""
    minutes_rps: Sequence[float]
    """Means in inferences a second, one for each minute; NaN: not known."""
    options_at: Callable[[float], Choices]


def due(known: Rehearsal | None) -> bool:
    """Whether the past is to be gone through now."""
    return (
        known is not None
        and not known.looked_back
        and SETTLED_S <= known.seen_s < DAY_S / LONGER_RATIO
    )


def told_anew(known: Rehearsal | None) -> Rehearsal | None:
    """When a past was told: it is to be gone through, where not as much has been seen meanwhile."""
    return None if known is None else replace(known, looked_back=False)


def looked_back(known: Rehearsal, past: Past, moment: Moment, *, allowed_ratio: float) -> Rehearsal:
    """`known` with what the past taught in place of what the short time since did; `moment` is the present one."""
    told_s = MINUTE_S * sum(1 for rps in past.minutes_rps if math.isfinite(rps))
    if told_s <= LONGER_RATIO * known.seen_s:
        return replace(known, looked_back=True)
    levels: dict[int, Choices] = {}
    after: Rehearsal | None = None
    step_s = _step_s(moment)
    for number, now_s in enumerate(_times(past, step_s, moment.now_s)):
        level = math.ceil(math.log1p(_demand(past, now_s - SEEN_AFTER_S)) / LEVEL_STEP - 1e-9)
        if level not in levels:
            levels[level] = past.options_at(math.expm1(level * LEVEL_STEP))
        if after is None:
            after = begin(max(1, levels[level].at_price(PRIOR_PRICE)), now_s - step_s)
        arrived_rps = _by_chance(_demand(past, now_s), step_s, number)
        met = replace(moment, now_s=now_s, arrived_rps=arrived_rps, missed_ratio=None)
        after = advance(after, met, levels[level], allowed_ratio=allowed_ratio)
    if after is None or after.price >= PRIOR_PRICE:
        return replace(known, looked_back=True)
    return replace(after, measured=known.measured, imagined=known.imagined, looked_back=True)


def _step_s(moment: Moment) -> float:
    """A quarter of a usual start-up, in whole parts of a minute of at least 10 s: what is late by more is missed."""
    usual_s = moment.starts_s[len(moment.starts_s) // 2]
    return MINUTE_S / min(MOST_STEPS, max(1, round(MINUTE_S / (0.25 * max(usual_s, 1.0)))))


def _times(past: Past, step_s: float, until_s: float) -> Iterator[float]:
    """The ends of all steps whose demand is known."""
    for place, rps in enumerate(past.minutes_rps):
        for step in range(1, round(MINUTE_S / step_s) + 1):
            at_s = past.first_s + MINUTE_S * place + step_s * step
            if math.isfinite(rps) and at_s <= until_s:
                yield at_s


def _demand(past: Past, at_s: float) -> float:
    """A minute's mean holds in its middle, and lines lead from one to the next; beside what is not known it stays."""
    place = (at_s - past.first_s) / MINUTE_S - 0.5
    before = math.floor(place)
    known = [
        past.minutes_rps[at] if 0 <= at < len(past.minutes_rps) else math.nan
        for at in (before, before + 1)
    ]
    low, high = (a if math.isfinite(a) else b for a, b in (known, known[::-1]))
    return low + (place - before) * (high - low)


def _by_chance(rps: float, step_s: float, number: int) -> float:
    """What comes in the `number`-th step at `rps`: a Poisson count's spread, gone through evenly (golden ratio)."""
    part = min(max(number * GOLDEN % 1.0, 0.001), 0.999)
    return max(0.0, rps + math.sqrt(rps / step_s) * NormalDist().inv_cdf(part))
