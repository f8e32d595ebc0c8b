"""Axes: round numbers for a range of values, and times of day for a range of time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86400.0
# Distances between two labels of a time axis that a reader counts by.
_TIME_STEPS_S = (
    *(MINUTE_S * n for n in (1, 2, 5, 10, 15, 30)),
    *(HOUR_S * n for n in (1, 2, 3, 6, 12)),
    *(DAY_S * n for n in (1, 2, 7, 14)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Values from `low` to `high`; on a logarithmic one `low` is more than 0."""

    low: float
    high: float
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Where a value lies, 0 (low) to 1 (high); what lies outside sticks to the edge."""
        low, high, at = self.low, self.high, value
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(max(value, self.low))
        return min(1.0, max(0.0, (at - low) / (high - low)))

    def marks(self) -> tuple[float, ...]:
        """Round values to be labelled."""
        return _powers(self.low, self.high) if self.logarithmic else _rounds(self.low, self.high)


def axis(low: float, highest: float) -> Axis:
    """From `low` to a little above `highest`, so that the highest value is seen."""
    return Axis(low=low, high=low + 1.08 * max(highest - low, 1e-9))


def log_axis(lowest: float, highest: float) -> Axis:
    """Whole halves of decades around the values."""
    low = math.floor(2.0 * math.log10(lowest)) / 2.0
    high = math.ceil(2.0 * math.log10(max(highest, lowest * 1.01))) / 2.0
    return Axis(low=10.0**low, high=10.0 ** max(high, low + 0.5), logarithmic=True)


def time_marks(
    start_s: float, duration_s: float, *, most: int = 9
) -> tuple[tuple[float, str], ...]:
    """(seconds since the start, label in UTC) at round times of day."""
    step_s = next((s for s in _TIME_STEPS_S if duration_s / s <= most), 28 * DAY_S)
    first = math.ceil(start_s / step_s) * step_s
    count = int((start_s + duration_s - first) / step_s + 1e-9) + 1
    times = [first + step_s * place for place in range(count)]
    return tuple((at_s - start_s, _clock(at_s, by_day=step_s >= DAY_S)) for at_s in times)


def clock(at_s: float) -> str:
    """`14:02`, in UTC."""
    return _clock(at_s, by_day=False)


def moment(at_s: float) -> str:
    """`2026-01-31 14:02`, in UTC."""
    return f"{datetime.fromtimestamp(at_s, tz=UTC):%Y-%m-%d %H:%M}"


def _clock(at_s: float, *, by_day: bool) -> str:
    at = datetime.fromtimestamp(at_s, tz=UTC)
    return f"{at:%b} {at.day}" if by_day else f"{at:%H:%M}"


def _rounds(low: float, high: float, count: int = 5) -> tuple[float, ...]:
    """Multiples of 1, 2 or 5 times a power of ten: at most `count` + 1 of them."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1.0, 2.0, 5.0, 10.0) if power * n >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return tuple(place * step for place in range(first, math.floor(high / step + 1e-9) + 1))


def _powers(low: float, high: float) -> tuple[float, ...]:
    """Powers of ten; less than two decades also get 2 and 5 times those."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    between = (1.0, 2.0, 5.0) if high < 100.0 * low * (1 - 1e-9) else (1.0,)
    marks = (10.0**power * n for power in range(first, last + 1) for n in between)
    return tuple(mark for mark in marks if low * (1 - 1e-9) <= mark <= high * (1 + 1e-9))
