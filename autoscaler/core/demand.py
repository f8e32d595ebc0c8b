"""Step 2: the demand to provision for - what arrives now, and how far it may rise before a new replica is ready.

Without a fitted forecast the level is the last one observed (the naive forecast), and how far demand rises above it
within a lead time is learned from what it did: histograms of log((highest of the next minutes + u) / (now + u)), whose
weights fade with a half-life of a day. So smooth demand gets a small margin and spiky demand a large one, without a
knob.

There is one such histogram for each level of demand, and what is near a level counts for it too. At night demand
doubles in ten minutes, at noon it never does; what alternates between 0 and 20 rises by 20 from 0 and by nothing from
20. Of all that in one histogram, both would rise by half of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from autoscaler.core.computed import computed
from autoscaler.core.types import HistoryPoint

# One request a minute, below which nothing is told apart: from 0 to 20 rps is a rise to its 1,201-fold.
UNIT_RPS = 1.0 / 60.0
# Bin i holds growth up to exp(0.05 i).
BIN_WIDTH = 0.05
# Levels are half a unit of the logarithm apart, a factor of 1.65; what was seen at one counts a quarter at the next.
LEVEL_WIDTH = 0.5
NEXT_LEVEL_SHARE = 0.25
# Five levels off, at a twelfth or the twelvefold, it would count a thousandth and is left out.
FARTHEST_LEVELS = 5.0
HALF_LIFE_MINUTES = 1440.0
FADE = 0.5 ** (1.0 / HALF_LIFE_MINUTES)
# What is older counts less than an eighth: of a long past no more than this is told.
MEMORY_MINUTES = 3.0 * HALF_LIFE_MINUTES
# Before anything is known of a level: as if an hour had been seen there, in one tenth of which demand rose by a third
# within five minutes, and a tenth as often by that twice over, and so on. An hour, so that a single surge early on is
# not taken for a habit, and one that comes back every half hour soon is. Over other lead times the rise follows their
# root, as a random walk's does: a tenth in half a minute.
PRIOR_WEIGHT = 60.0
PRIOR_RISE = 0.3
PRIOR_LEAD_S = 300.0
# (share of the prior's weight, part of its rise)
PRIOR = ((0.5, 0.0), (0.27, 0.33), (0.13, 0.67), (0.09, 1.0), (0.009, 2.0), (0.001, 3.0))
# No more of the last minutes than these are averaged with the present demand.
STEADY_MINUTES = 5
# Rises over more are neither learned nor supposed.
LONGEST_LEAD_MINUTES = 30


@computed
class Rises:
    """How demand rose from about one level: weights per bin, as of the minute that last added to them."""

    level: int
    """Which one: log((rps + u) / u), in units of LEVEL_WIDTH, rounded."""
    weights: tuple[tuple[int, float], ...]
    """(bin, weight), ascending; a bin that is left out has none."""
    at: int
    """By `Growth.judged`; since then all of them have faded."""
    seen: int
    """How many minutes ever were."""


@computed
class Growth:
    """How demand rose over the lead time, from each level, and the last minutes that are not judged yet."""

    rises: tuple[Rises, ...] = ()
    """By level, ascending."""
    judged: int = 0
    """How many minutes were."""
    minutes: tuple[tuple[float, float, float], ...] = ()
    """(minute, mean, highest) in inferences a second, oldest first; kept for the longest lead time."""
    judged_until_s: float = 0.0


def add_minute(
    growth: Growth, *, minute_s: float, mean_rps: float, highest_rps: float, lead_s: float
) -> Growth:
    """Takes in one finished minute and judges the origin that lies one lead time before it.

    A gap between the origin and now leaves that origin unjudged: what was not seen proves nothing.
    """
    steps = min(LONGEST_LEAD_MINUTES, max(1, math.ceil(lead_s / 60.0)))
    minutes = (growth.minutes + ((minute_s, mean_rps, highest_rps),))[-(LONGEST_LEAD_MINUTES + 1) :]
    rises, judged, until_s = growth.rises, growth.judged, growth.judged_until_s
    if len(minutes) > steps:
        origin_s, level_rps, _ = minutes[-1 - steps]
        if origin_s > until_s and minute_s - origin_s == 60.0 * steps:
            highest = max(item[2] for item in minutes[-steps:])
            judged += 1
            rises = _count(rises, level_rps, highest, judged)
            until_s = origin_s
    return Growth(rises=rises, judged=judged, minutes=minutes, judged_until_s=until_s)


def set_back(growth: Growth, now_s: float) -> Growth:
    """After a clock that was ahead: without minutes that have not come, and with none after now judged."""
    return replace(
        growth,
        minutes=tuple(minute for minute in growth.minutes if minute[0] <= now_s),
        judged_until_s=min(growth.judged_until_s, now_s),
    )


def taught(growth: Growth, points: Sequence[HistoryPoint], *, lead_s: float) -> Growth:
    """Takes in a past told by the minute, its last three half-lives; what was judged before is not judged again.

    A minute's highest is not known from its mean; the mean stands for both.
    """
    if not growth.rises:
        # Of an older checkpoint not even from when on to judge is kept: nothing was judged as it is now.
        growth = Growth()
    told = sorted(points, key=lambda item: item.minute_s)
    since_s = told[-1].minute_s - 60.0 * MEMORY_MINUTES if told else 0.0
    for before, point in pairwise((None, *told)):
        if point is None or point.offered_rps < 0.0 or point.minute_s < since_s:
            continue
        if before is None or point.minute_s > before.minute_s:
            growth = add_minute(
                growth,
                minute_s=point.minute_s,
                mean_rps=point.offered_rps,
                highest_rps=point.offered_rps,
                lead_s=lead_s,
            )
    return growth


def _count(
    rises: tuple[Rises, ...], level_rps: float, highest_rps: float, judged: int
) -> tuple[Rises, ...]:
    now = log_units(level_rps)
    level = round(now / LEVEL_WIDTH)
    place = _bin(log_units(highest_rps) - now)
    others = tuple(item for item in rises if item.level != level)
    known = next((item for item in rises if item.level == level), None)
    weights = {}
    if known is not None:
        faded = FADE ** (judged - known.at)
        weights = {index: weight * faded for index, weight in known.weights}
    weights[place] = weights.get(place, 0.0) + 1.0
    counted = Rises(
        level=level,
        weights=tuple(sorted(weights.items())),
        at=judged,
        seen=1 if known is None else known.seen + 1,
    )
    return tuple(sorted((*others, counted), key=lambda item: item.level))


def highest_rps(
    growth: Growth, *, level_rps: float, levels: tuple[float, ...], lead_s: float
) -> tuple[float, ...]:
    """What covers the highest demand over `lead_s` from `level_rps` on with each chance in `levels`, ascending.

    The tail beyond what was seen is the prior's, until that has faded at this level; it comes back when the level was
    not seen for long.
    """
    now = log_units(level_rps)
    weights, prior = _seen_from(growth, now / LEVEL_WIDTH)
    prior_rise = PRIOR_RISE * math.sqrt(min(lead_s, 60.0 * LONGEST_LEAD_MINUTES) / PRIOR_LEAD_S)
    for share, part in PRIOR:
        rise = part * prior_rise
        place = _bin(log_units(level_rps * math.exp(rise)) - now)
        weights[place] = weights.get(place, 0.0) + share * prior
    total = sum(weights.values())
    found: list[float] = []
    reached = 0.0
    for index, weight in sorted(weights.items()):
        while len(found) < len(levels) and reached + weight >= (levels[len(found)] - 1e-9) * total:
            # Rises within a bin are taken to be spread evenly; the first holds exactly those that were none.
            part = (levels[len(found)] * total - reached) / weight if weight > 0.0 else 1.0
            rise = BIN_WIDTH * (index - 1.0 + part) if index else 0.0
            found.append(max(level_rps, (level_rps + UNIT_RPS) * math.exp(rise) - UNIT_RPS))
        reached += weight
    return tuple(found)


def _seen_from(growth: Growth, at: float) -> tuple[dict[int, float], float]:
    """By bin, what was seen at the level `at`, of which `Rises.level` is rounded, and near it, each the less the
    farther it is; and what the prior weighs."""
    seen = 0.0
    weights: dict[int, float] = {}
    for item in growth.rises:
        apart = abs(item.level - at)
        if apart > FARTHEST_LEVELS:
            continue
        share = NEXT_LEVEL_SHARE**apart
        seen += share * item.seen
        share *= FADE ** (growth.judged - item.at)
        part = math.exp((item.level - at) * LEVEL_WIDTH) if item.level <= at - 1.0 else None
        for index, weight in item.weights:
            place = index if part is None else _as_much(index, part)
            weights[place] = weights.get(place, 0.0) + share * weight
    # What was seen long ago weighs less than an hour: the prior makes up for it, else one minute would outweigh all.
    return weights, max(PRIOR_WEIGHT * FADE**seen, PRIOR_WEIGHT - sum(weights.values()))


def _as_much(index: int, part: float) -> int:
    """The bin of a rise from a level of which the present one is 1 / `part`, taken as the same number of requests.

    As the same multiple, what rises from nothing to 20 rps would rise from one request a minute to 40.
    """
    return min(index, _bin(math.log1p(part * math.expm1(index * BIN_WIDTH))))


def log_units(rps: float) -> float:
    """On the scale on which rises are counted: from nothing to one request a minute is as much as a doubling."""
    return math.log1p(max(0.0, rps) / UNIT_RPS)


def _bin(rise: float) -> int:
    # Rounded at the ninth digit: a rise of 0.30000000000000004 is in the bin of 0.3.
    return max(0, math.ceil(round(rise / BIN_WIDTH, 9)))


def level_rps(
    *, stable_rps: float, fast_rps: float, fast_window_s: float, variability: float
) -> float:
    """The present demand: the stable rate, or the fast one where it is higher by more than chance.

    Counts of a Poisson process vary by their root: at 100 rps over 10 s by 3 rps, so that a fast rate of 105 is no news
    and one of 150 is believed at once, less two such deviations.
    """
    return max(stable_rps, surely_rps(fast_rps, fast_window_s, variability))


def surely_rps(rps: float, window_s: float, variability: float) -> float:
    """What a rate counted over a window shows of the demand without chance: two deviations less."""
    return rps - _chance_rps(rps, window_s, variability)


def _chance_rps(rps: float, window_s: float, variability: float) -> float:
    """Two deviations of what was counted over a window, Poisson's at least.

    Waits vary by less where a balancer makes one queue of many replicas, and `variability` is then below 1: of what
    arrives that tells nothing.
    """
    if window_s <= 0.0:
        return 0.0
    return 2.0 * math.sqrt(max(variability, 1.0) * max(rps, 0.0) / window_s)


def steadied_rps(
    level_rps: float,
    minutes: Sequence[tuple[float, float, float]],
    *,
    now_s: float,
    window_s: float,
    variability: float,
) -> float:
    """The mean of the last minutes, where the present demand differs from it by no more than chance; else the present.

    `level_rps` is of the last `window_s`, `minutes` as in `Growth`. A request a second is 30 in half a minute, give or
    take 5.5: of 1.3 a second after five minutes of 1 nothing is believed, of 2.2 all, and of 1.7 a part in between, so
    that nothing jumps.
    """
    total, weight, end_s = level_rps * window_s, window_s, now_s
    # A minute is taken in by the tick after its end, once that has sized: until then the window stands for it.
    longest_gap_s = 60.0 + window_s
    for minute_s, minute_rps, _ in reversed(minutes[-STEADY_MINUTES:]):
        if not 0.0 <= end_s - minute_s - 60.0 < longest_gap_s:
            break  # a gap, or a clock that was set back
        total, weight, end_s = total + 60.0 * minute_rps, weight + 60.0, minute_s
        longest_gap_s = 60.0
    mean_rps = total / weight
    # As of one more: where one comes each minute, half a minute without any is no fall to nothing.
    one_rps = max(variability, 1.0) / window_s
    chance = _chance_rps(level_rps + one_rps, window_s, variability)
    news = level_rps - mean_rps
    believed = min(abs(news), max(0.0, 2.0 * (abs(news) - chance)))
    return mean_rps + math.copysign(believed, news)


@computed
class Ahead:
    """What a forecast says of one horizon and quantile, and the skill that it had there."""

    rps: float
    skill: float


def forecast_at(
    horizons_s: tuple[float, ...],
    quantiles: tuple[float, ...],
    values_rps: tuple[tuple[float, ...], ...],
    skills: tuple[tuple[float, ...], ...],
    *,
    lead_s: float,
    quantile: float,
) -> Ahead | None:
    """The forecast's maximum over `lead_s` at `quantile`: the next horizon and quantile that it has at or above.

    None where it says nothing usable, or has not shown any skill there.
    """
    row = next(
        (i for i, horizon in enumerate(horizons_s) if horizon >= lead_s), len(horizons_s) - 1
    )
    column = next((j for j, level in enumerate(quantiles) if level >= quantile), len(quantiles) - 1)
    if row < 0 or column < 0:
        return None
    value = values_rps[row][column]
    skill = skills[row][column] if skills else 0.0
    usable = math.isfinite(value) and value >= 0.0 and skill > 0.0
    return Ahead(rps=value, skill=min(skill, 1.0)) if usable else None
