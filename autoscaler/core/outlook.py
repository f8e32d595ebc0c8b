"""How high demand may rise until a replica that is asked for now is there, as a distribution.

Two sources, mixed to the extent that the better one has shown skill: the naive forecast (the present demand, or where a
surge that is under way leads, and how far it rose above that over a lead time before) and a fitted one. A fitted
forecast tells the maximum over a few horizons, counted from the minute that it was made in. Between two horizons the
mixture of both distributions is taken, in proportion to the time: of a spike that comes in the third minute for
certain, a look 70 s ahead sees (100 - 60) / (180 - 60) = 33 %, not a spike of a third of the height. It is looked half
a minute further than 70 s, for what is forecast are minutes' means: in a minute of 11 before one of 33 hides a climb to
22 at its end.

A forecast that the present demand has outgrown is wrong, whatever its skill was: the naive one, which starts from the
present demand, takes its place.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

from autoscaler.core.computed import computed
from autoscaler.core.demand import Growth, highest_rps
from autoscaler.core.types import DemandForecast

# At the highest price, 64, and three times that for what is kept, a chance of 1 in 192 counts, and has to be told by
# what was seen: of bursts to 300 that begin once in two hours a tail that is drawn on from 99 % makes bursts to 600.
LEVELS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
# Beyond the last level the tail is exponential, as steep as from this level to the last.
TAIL_FROM = 0.9
# A tenth of the loss saved is twice what chance alone gives over a day of minutes: from there on it counts in full.
FULL_TRUST_SKILL = 0.1
# A minute's mean is the demand in its middle.
HALF_MINUTE_S = 30.0
# Of the chance that was given to a demand as high as the present one, what is below this refutes the forecast: at a
# tenth of it, nine tenths of the weight go to the naive one.
REFUTED_RATIO = 0.01
# A forecast that took demand as high as the present one for as likely as not knew that it rises, and how far.
FORESEEN_RATIO = 0.5


@computed
class Row:
    """Quantiles of the highest demand over one horizon: `values_rps[j]` at `levels[j]`, both ascending."""

    levels: tuple[float, ...]
    values_rps: tuple[float, ...]

    def exceeded_ratio(self, rps: float) -> float:
        """Chance that demand exceeds `rps`: log-linear between the levels, exponential above them.

        Below the first level on a line, from as far below as the last level is above: what is certain is certain.
        """
        values, levels = self.values_rps, self.levels
        place = bisect_right(values, rps)
        if place == 0:
            lowest = max(0.0, 2.0 * values[0] - values[-1])
            if rps <= lowest:
                return 1.0
            return 1.0 - levels[0] * (rps - lowest) / (values[0] - lowest)
        last = len(levels) - 1
        if place <= last:
            low, high = values[place - 1], values[place]
            part = (rps - low) / (high - low)
            return float((1.0 - levels[place - 1]) ** (1.0 - part) * (1.0 - levels[place]) ** part)
        decay = self._decay_per_rps()
        beyond = rps - values[last]
        if decay is None:
            return 1.0 - levels[last] if beyond <= 0.0 else 0.0
        return (1.0 - levels[last]) * math.exp(-decay * beyond)

    def highest_rps(self, rarest: float) -> float:
        """The demand that is exceeded with a chance of `rarest`, which is below 1 - the last level."""
        decay = self._decay_per_rps()
        beyond = math.log((1.0 - self.levels[-1]) / rarest) / decay if decay is not None else 0.0
        return self.values_rps[-1] + max(0.0, beyond)

    def _decay_per_rps(self) -> float | None:
        """How fast the chance falls beyond the last level; None: at once, for the last levels are one value."""
        values, levels = self.values_rps, self.levels
        last = len(levels) - 1
        first = bisect_left(levels, TAIL_FROM)
        first = first if first < last else 0
        span_rps = values[last] - values[first]
        if last == first or span_rps <= 1e-9 * max(values[last], 1.0):
            return None
        return math.log((1.0 - levels[first]) / (1.0 - levels[last])) / span_rps


@computed
class Outlook:
    """The highest demand over a lead time: what is certain to come, and rows of quantiles with their weights."""

    level_rps: float
    """The present demand, or what a surge that no forecast knew of makes of it. It is never forecast away."""
    rows: tuple[tuple[float, Row], ...]
    """(weight, row); the weights add up to 1."""
    skill: float | None = None
    """Of the fitted forecast, where one took part."""
    surge_rps: float | None = None
    """Where a surge that is under way leads; None: there is none."""

    def exceeded_ratio(self, rps: float) -> float:
        """Chance that demand exceeds `rps` within the lead time."""
        return sum([weight * row.exceeded_ratio(rps) for weight, row in self.rows])

    def highest_rps(self, rarest: float) -> float:
        """A demand that is exceeded with a chance of at most `rarest`, which is below 1 - the last level."""
        return max([row.highest_rps(rarest) for _, row in self.rows])


def look_ahead(
    *,
    level_rps: float,
    growth: Growth,
    forecast: DemandForecast | None,
    now_s: float,
    lead_s: float,
    surge_rps: float | None = None,
) -> Outlook:
    """The outlook over `lead_s` from `now_s`. Without a forecast that counts, the naive one's.

    Where a surge leads to `surge_rps` (`surge.py`), that is certain, but as far as the forecast knew of it.
    """
    if forecast is not None and (now_s >= forecast.expires_s or not forecast.quantiles):
        forecast = None
    if forecast is None:
        start_rps = level_rps if surge_rps is None else surge_rps
        naive = _naive(growth, start_rps, LEVELS, lead_s)
        return Outlook(level_rps=start_rps, rows=((1.0, naive),), surge_rps=surge_rps)
    told = _horizons(forecast.horizons_s, now_s + lead_s + HALF_MINUTE_S - forecast.cutoff_s)
    start_rps = level_rps
    if surge_rps is not None:
        foreseen = sum([weight * _foresaw(forecast, at, level_rps) for weight, at in told])
        start_rps += (1.0 - foreseen) * (surge_rps - level_rps)
    levels = _with_rarer(forecast.quantiles)
    naive = _naive(growth, start_rps, levels, lead_s)
    refuted = 0.0
    rows: list[tuple[float, Row]] = []
    for weight, at in told:
        row = Row(levels=levels, values_rps=_believed(naive, forecast, at))
        # Not below: of a forecast that is certain of the present demand nothing exceeds it.
        as_high = row.exceeded_ratio(math.nextafter(level_rps, 0.0))
        likely = min(1.0, as_high / REFUTED_RATIO)
        rows.append((weight * likely, row))
        refuted += weight * (1.0 - likely)
    if refuted > 0.0:
        rows.append((refuted, naive))
    skill = (1.0 - refuted) * sum(weight * _skill_at(forecast, at) for weight, at in told)
    return Outlook(
        level_rps=start_rps,
        rows=tuple(rows),
        skill=skill if skill > 0.0 else None,
        surge_rps=start_rps if start_rps > level_rps else None,
    )


def _naive(growth: Growth, start_rps: float, levels: tuple[float, ...], lead_s: float) -> Row:
    """What was seen to come of a demand as high as `start_rps`."""
    highest = highest_rps(growth, level_rps=start_rps, levels=levels, lead_s=lead_s)
    return Row(levels=levels, values_rps=highest)


def _foresaw(forecast: DemandForecast, at: int, level_rps: float) -> float:
    """How far a fitted forecast can be believed to have known of a demand as high as the present one."""
    told = forecast.values_rps[at]
    if not all(math.isfinite(value) for value in told):
        return 0.0
    row = Row(levels=forecast.quantiles, values_rps=told)
    as_likely = min(1.0, row.exceeded_ratio(math.nextafter(level_rps, 0.0)) / FORESEEN_RATIO)
    return as_likely * min(1.0, _skill_at(forecast, at) / FULL_TRUST_SKILL)


def _horizons(horizons_s: tuple[float, ...], span_s: float) -> tuple[tuple[float, int], ...]:
    """(weight, place) of the horizons around `span_s`; beyond the last one it alone."""
    place = bisect_right(horizons_s, span_s)
    if place == 0:
        return ((1.0, 0),)
    if place == len(horizons_s):
        return ((1.0, place - 1),)
    later = (span_s - horizons_s[place - 1]) / (horizons_s[place] - horizons_s[place - 1])
    if later <= 0.0:
        return ((1.0, place - 1),)
    return ((1.0 - later, place - 1), (later, place))


def _with_rarer(quantiles: tuple[float, ...]) -> tuple[float, ...]:
    return (*quantiles, *(level for level in LEVELS if level > quantiles[-1]))


def _believed(naive: Row, forecast: DemandForecast, at: int) -> tuple[float, ...]:
    """The naive forecast's quantiles moved towards the fitted one's, each to the extent of its skill; ascending."""
    skills = forecast.skills[at] if forecast.skills else (0.0,) * len(forecast.quantiles)
    rarer = naive.levels[len(forecast.quantiles) :]
    told = (*forecast.values_rps[at], *_beyond(forecast, at, rarer))
    highest = 0.0
    values = []
    for known, value, skill in zip(
        naive.values_rps, told, (*skills, *skills[-1:] * len(rarer)), strict=True
    ):
        usable = math.isfinite(value) and value >= 0.0 and skill > 0.0
        trust = min(1.0, skill / FULL_TRUST_SKILL) if usable else 0.0
        highest = max(highest, known + trust * (value - known) if usable else known)
        values.append(highest)
    return tuple(values)


def _beyond(forecast: DemandForecast, at: int, levels: tuple[float, ...]) -> tuple[float, ...]:
    """A fitted forecast's quantiles beyond its last, on its own exponential tail."""
    told = forecast.values_rps[at]
    if not all(math.isfinite(value) for value in told):
        return told[-1:] * len(levels)
    row = Row(levels=forecast.quantiles, values_rps=told)
    return tuple(row.highest_rps(1.0 - level) for level in levels)


def _skill_at(forecast: DemandForecast, at: int) -> float:
    """The best at this horizon: where one quantile beats the naive one, the forecast took part."""
    return max((s for s in forecast.skills[at] if s > 0.0), default=0.0) if forecast.skills else 0.0
