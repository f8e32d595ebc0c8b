"""Synthetic demand: how many requests a second are due at a time, as pure functions that compose.

    day = diurnal(low_rps=20, high_rps=200) * flash_crowd(at_s=50_000, peak_ratio=5) + spikes(...)
    rates_rps = day.sample(86_400)

A shape is deterministic; where it wavers (`noise`) that is a function of its seed and the time. What
makes single requests of a rate is `arrivals`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]

DAY_S = 86_400.0
HOUR_S = 3_600.0

_WEEKEND = (5, 6)


@dataclass(frozen=True, slots=True)
class Shape:
    """A rate, or a factor of one, at each time. `a + b` adds two, `a * b` and `2 * a` multiply."""

    at: Callable[[Times], Times]
    """Values at times in seconds; element by element, at least 0."""

    def __call__(self, t_s: float) -> float:
        """The value at one time."""
        return float(self.at(np.array([t_s], dtype=np.float64))[0])

    def __add__(self, other: Shape) -> Shape:
        return Shape(lambda t_s: self.at(t_s) + other.at(t_s))

    def __mul__(self, other: Shape | float) -> Shape:
        if isinstance(other, Shape):
            return Shape(lambda t_s: self.at(t_s) * other.at(t_s))
        factor = _at_least("factor", other, 0.0)
        return Shape(lambda t_s: self.at(t_s) * factor)

    __rmul__ = __mul__

    def sample(self, duration_s: float, *, start_s: float = 0.0, step_s: float = 1.0) -> Times:
        """The value in the middle of each step from `start_s` on; a part of a step counts as one."""
        _more_than("step_s", step_s, 0.0)
        steps = math.ceil(_at_least("duration_s", duration_s, 0.0) / step_s)
        middles = np.arange(steps, dtype=np.float64) + 0.5
        return self.at(np.asarray(start_s + middles * step_s, dtype=np.float64))


def constant(rate_rps: float) -> Shape:
    """The same rate always."""
    _at_least("rate_rps", rate_rps, 0.0)
    return Shape(lambda t_s: np.full(t_s.shape, float(rate_rps)))


def steps(*levels: tuple[float, float]) -> Shape:
    """Levels as (from when in s, rate in rps), times ascending; before the first it is 0."""
    starts, values = _points("steps", levels)
    padded = np.concatenate(([0.0], values))
    return Shape(lambda t_s: padded[np.searchsorted(starts, t_s, side="right")])


def ramp(*points: tuple[float, float]) -> Shape:
    """Straight lines through points (time in s, rate in rps); level before the first, after the last."""
    times, values = _points("ramp", points)
    return Shape(lambda t_s: np.interp(t_s, times, values))


def diurnal(
    *,
    low_rps: float,
    high_rps: float,
    morning_h: float = 10.5,
    evening_h: float = 20.0,
    evening_ratio: float = 0.8,
    width_h: float = 2.5,
    weekend_ratio: float = 1.0,
) -> Shape:
    """A day with two humps, the same every day; time 0 is a Monday's midnight.

    The morning's hump reaches `high_rps`, the evening's `evening_ratio` of the way there; the night
    rests at `low_rps`. On Saturday and Sunday everything is `weekend_ratio` of that.
    """
    _at_least("low_rps", low_rps, 0.0)
    _at_least("high_rps", high_rps, low_rps)
    _more_than("width_h", width_h, 0.0)
    for name, value in (("evening_ratio", evening_ratio), ("weekend_ratio", weekend_ratio)):
        _at_least(name, value, 0.0)

    def humps(t_s: Times) -> Times:
        hour = (t_s % DAY_S) / HOUR_S
        morning = _hump(hour - morning_h, width_h)
        evening = evening_ratio * _hump(hour - evening_h, width_h)
        return np.maximum(morning, evening)

    def at(t_s: Times) -> Times:
        rate_rps = low_rps + (high_rps - low_rps) * humps(t_s)
        weekend = np.isin((t_s // DAY_S) % 7, _WEEKEND)
        return np.where(weekend, rate_rps * weekend_ratio, rate_rps)

    return Shape(at)


def spikes(*, rate_rps: float, every_s: float, length_s: float, offset_s: float = 0.0) -> Shape:
    """What a cron job sends: `rate_rps` for `length_s`, first at `offset_s`, then every `every_s`."""
    _at_least("rate_rps", rate_rps, 0.0)
    _more_than("length_s", length_s, 0.0)
    _at_least("every_s", every_s, length_s)

    def at(t_s: Times) -> Times:
        since_s = t_s - offset_s
        on = (since_s >= 0.0) & (since_s % every_s < length_s)
        return np.where(on, float(rate_rps), 0.0)

    return Shape(at)


def flash_crowd(
    *,
    at_s: float,
    peak_ratio: float,
    rise_s: float = 60.0,
    hold_s: float = 0.0,
    decay_s: float = 900.0,
) -> Shape:
    """A factor: 1 until `at_s`, up a straight line to `peak_ratio` in `rise_s`, level for `hold_s`.

    From then on what is above 1 decays to 1/e of itself every `decay_s`.
    """
    _at_least("peak_ratio", peak_ratio, 1.0)
    _at_least("rise_s", rise_s, 0.0)
    _at_least("hold_s", hold_s, 0.0)
    _more_than("decay_s", decay_s, 0.0)

    def at(t_s: Times) -> Times:
        since_s = t_s - at_s
        rising = np.interp(since_s, (0.0, rise_s), (0.0, 1.0)) if rise_s > 0.0 else since_s >= 0.0
        left = np.exp(-np.maximum(since_s - rise_s - hold_s, 0.0) / decay_s)
        return np.asarray(1.0 + (peak_ratio - 1.0) * rising * left, dtype=np.float64)

    return Shape(at)


def noise(*, cv: float, seed: int, every_s: float = 60.0) -> Shape:
    """A factor around 1 that wanders: a new lognormal value every `every_s`, straight lines between.

    `cv` is the coefficient of variation of those values; their mean is 1.
    """
    _at_least("cv", cv, 0.0)
    _more_than("every_s", every_s, 0.0)
    _at_least("seed", seed, 0)
    variance = math.log1p(cv * cv)

    def value(step: NDArray[np.int64]) -> Times:
        normal = _normal(seed, step)
        return np.exp(math.sqrt(variance) * normal - variance / 2.0)

    def at(t_s: Times) -> Times:
        position = t_s / every_s
        step = np.floor(position).astype(np.int64)
        share = position - step
        return (1.0 - share) * value(step) + share * value(step + 1)

    return Shape(at)


def _hump(from_centre_h: Times, width_h: float) -> Times:
    """A bell of height 1; hours wrap around midnight, so that the day joins the next."""
    around_h = (from_centre_h + 12.0) % 24.0 - 12.0
    return np.exp(-0.5 * (around_h / width_h) ** 2)


def _normal(seed: int, step: NDArray[np.int64]) -> Times:
    """A standard normal value of each step: a hash (SplitMix64), so that it depends on nothing else."""
    key = step.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + _mixed(
        np.array([seed], np.uint64)
    )
    first, second = _mixed(key), _mixed(key ^ np.uint64(0xD1B54A32D192ED03))
    # 1 - u lies in (0, 1], where the logarithm exists.
    radius = np.sqrt(-2.0 * np.log(1.0 - _unit(first)))
    return radius * np.cos(2.0 * math.pi * _unit(second))


def _mixed(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


def _unit(key: NDArray[np.uint64]) -> Times:
    return (key >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _points(where: str, points: tuple[tuple[float, float], ...]) -> tuple[Times, Times]:
    if not points:
        raise ValueError(f"{where}: no points, at least one")
    times = np.array([time_s for time_s, _ in points], dtype=np.float64)
    values = np.array([value for _, value in points], dtype=np.float64)
    if not (np.diff(times) > 0.0).all():
        raise ValueError(f"{where}: times {times.tolist()}, ascending")
    if not (values >= 0.0).all():
        raise ValueError(f"{where}: rates {values.tolist()}, 0 or more")
    return times, values


def _at_least(where: str, value: float, least: float) -> float:
    if not least <= value < math.inf:
        raise ValueError(f"{where}: {value}, {least} or more")
    return value


def _more_than(where: str, value: float, limit: float) -> float:
    if not limit < value < math.inf:
        raise ValueError(f"{where}: {value}, more than {limit}")
    return value
