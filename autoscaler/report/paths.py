"""Series as SVG paths in a box of 1000 x 100 that is stretched to its place: x is time, y grows downwards."""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler.report.content import Form, Series, Values
from autoscaler.report.scale import Axis

WIDTH, HEIGHT = 1000.0, 100.0


def path(series: Series, steps: int, axis: Axis) -> str:
    """The `d` of its path; steps without a value are gaps."""
    parts = []
    for run in _runs(series.values):
        levels = [series.values[at] or 0.0 for at in run]
        if series.form is Form.AREA:
            base: Values = series.base or [0.0] * steps
            grounds = [base[at] or 0.0 for at in run]
            tops = [level + ground for level, ground in zip(levels, grounds, strict=True)]
            above = _corners(tops, run.start, steps, axis)
            below = _corners(grounds, run.start, steps, axis)
            parts.append(_joined([*above, *reversed(below)]) + "Z")
        elif series.form is Form.STEP:
            parts.append(_joined(_corners(levels, run.start, steps, axis)))
        else:
            parts.append(_joined(_middles(levels, run.start, steps, axis)))
    return "".join(parts)


def _runs(values: Values) -> Iterator[range]:
    """Stretches of steps that have a value."""
    start: int | None = None
    for at, value in enumerate((*values, None)):
        if value is None:
            if start is not None:
                yield range(start, at)
            start = None
        elif start is None:
            start = at


def _middles(levels: list[float], first: int, steps: int, axis: Axis) -> list[tuple[float, float]]:
    """A point in the middle of each step; a single one twice, so that it is drawn."""
    width = WIDTH / steps
    points = [(width * (first + at + 0.5), _y(level, axis)) for at, level in enumerate(levels)]
    return points if len(points) > 1 else 2 * points


def _corners(levels: list[float], first: int, steps: int, axis: Axis) -> list[tuple[float, float]]:
    """A point wherever a level begins or ends."""
    width = WIDTH / steps
    points: list[tuple[float, float]] = []
    for at, level in enumerate(levels, start=first):
        y = _y(level, axis)
        if points and points[-1][1] == y:
            points[-1] = (width * (at + 1), y)
        else:
            points += [(width * at, y), (width * (at + 1), y)]
    return points


def _y(level: float, axis: Axis) -> float:
    return HEIGHT * (1.0 - axis.share(level))


def _joined(points: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
