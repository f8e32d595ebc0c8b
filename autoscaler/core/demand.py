"""Step 2: the demand to provision for - what arrives now, and how far it may rise before a new replica is ready.

Without a fitted forecast the level is the last one observed (the naive forecast), and how far demand rises above it
within a lead time is learned from what it did: a histogram of log((highest of the next minutes + 1) / (now + 1)),
whose weights fade with a half-life of a day. So smooth demand gets a small margin and spiky demand a large one,
without a knob.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BINS = 40
# Bin i holds growth up to exp(0.05 i); the last holds everything above exp(2) = 7.4.
BIN_WIDTH = 0.05
HALF_LIFE_MINUTES = 1440.0
FADE = 0.5 ** (1.0 / HALF_LIFE_MINUTES)
# Before anything is known: as if four hours had been seen, in one tenth of which demand rose by a third within five
# minutes. Four hours, so that a single surge early on is not taken for a habit, and one that comes back every half
# hour soon is. Over other lead times the rise follows their root, as a random walk's does: a tenth in half a minute.
PRIOR_WEIGHT = 240.0
PRIOR_RISE = 0.3
PRIOR_LEAD_S = 300.0
# (share of the prior's weight, part of its rise)
PRIOR = ((0.5, 0.0), (0.27, 0.33), (0.13, 0.67), (0.10, 1.0))
LONGEST_LEAD_MINUTES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How demand rose over the lead time, as fading weights per bin, and the last minutes that are not judged yet."""

    weights: tuple[float, ...] = (0.0,) * BINS
    prior_weight: float = PRIOR_WEIGHT
    """What is left of the assumption that stands in for experience."""
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
    weights, prior, judged = growth.weights, growth.prior_weight, growth.judged_until_s
    if len(minutes) > steps:
        origin_s, level_rps, _ = minutes[-1 - steps]
        if origin_s > judged and minute_s - origin_s == 60.0 * steps:
            highest = max(item[2] for item in minutes[-steps:])
            weights = _count(weights, math.log((highest + 1.0) / (level_rps + 1.0)))
            prior *= FADE
            judged = origin_s
    return Growth(weights=weights, prior_weight=prior, minutes=minutes, judged_until_s=judged)


def _count(weights: tuple[float, ...], rise: float) -> tuple[float, ...]:
    index = _bin(rise)
    return tuple(w * FADE + (1.0 if i == index else 0.0) for i, w in enumerate(weights))


def growth_ratios(growth: Growth, *, levels: tuple[float, ...], lead_s: float) -> tuple[float, ...]:
    """The factors on the present demand that cover its highest over `lead_s` with each chance in `levels`, ascending.

    The tail beyond what was seen is the prior's, until that has faded.
    """
    weights = list(growth.weights)
    for share, part in PRIOR:
        rise = part * PRIOR_RISE * math.sqrt(lead_s / PRIOR_LEAD_S)
        weights[_bin(rise)] += share * growth.prior_weight
    total = sum(weights)
    ratios: list[float] = []
    reached = 0.0
    for index, weight in enumerate(weights):
        while len(ratios) < len(levels) and reached + weight >= levels[len(ratios)] * total - 1e-9:
            # Rises within a bin are taken to be spread evenly; the first holds exactly those that were none.
            part = (levels[len(ratios)] * total - reached) / weight if weight > 0.0 else 1.0
            ratios.append(math.exp((index - 1.0 + part) * BIN_WIDTH) if index else 1.0)
        reached += weight
        if len(ratios) == len(levels):
            break
    return tuple(ratios) + (math.exp((BINS - 1) * BIN_WIDTH),) * (len(levels) - len(ratios))


def _bin(rise: float) -> int:
    # Rounded at the ninth digit: a rise of 0.30000000000000004 is in the bin of 0.3.
    return min(BINS - 1, max(0, math.ceil(round(rise / BIN_WIDTH, 9))))


def level_rps(
    *, stable_rps: float, fast_rps: float, fast_window_s: float, variability: float
) -> float:
    """The present demand: the stable rate, or the fast one where it is higher by more than chance.

    Counts of a Poisson process vary by their root: at 100 rps over 10 s by 3 rps, so that a fast rate of 105 is no news
    and one of 150 is believed at once, less two such deviations.
    """
    spread = (
        math.sqrt(variability * max(fast_rps, 0.0) / fast_window_s) if fast_window_s > 0.0 else 0.0
    )
    return max(stable_rps, fast_rps - 2.0 * spread)


@dataclass(frozen=True, slots=True, kw_only=True)
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
