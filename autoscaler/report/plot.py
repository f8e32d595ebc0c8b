"""One plot as HTML: an SVG that is stretched to its place, and labels as text, so that both stay sharp."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from html import escape

from autoscaler.report.content import Form, Kind, Plot, Section, Series, Values, Why
from autoscaler.report.paths import HEIGHT, WIDTH, path
from autoscaler.report.scale import Axis, axis, log_axis, time_marks

KINDS = {
    Kind.UP: "up",
    Kind.DOWN: "down",
    Kind.HOLD: "held",
    Kind.RISK: "objective at risk",
    Kind.BLIND: "held, not known",
}


def figure(plot: Plot, section: Section) -> str:
    """The plot with its title, a key whose entries show the values under the pointer, and its axes."""
    scale = _axis(plot)
    duration_s = section.steps * section.step_s
    keys = "".join(
        f'<span class="key"><i class="{s.look}"></i>{escape(s.label)} <output></output></span>'
        for s in plot.series
    )
    ys = "".join(
        f'<span style="bottom:{100 * scale.share(mark):.1f}%">{short(mark)}</span>'
        for mark in scale.marks()
    )
    xs = "".join(
        f'<span style="left:{100 * at_s / duration_s:.2f}%">{label}</span>'
        for at_s, label in time_marks(section.start_s, duration_s)
        if at_s <= 0.97 * duration_s
    )
    return (
        f'<figure class="plot"><figcaption><b>{escape(plot.title)}</b> '
        f'<span class="unit">{escape(plot.unit)}</span> {keys}</figcaption>'
        f'<div class="box"><div class="ys">{ys}</div><div class="area">'
        f"{_drawing(plot, section, scale)}{_labels(plot, section, scale)}"
        f'<i class="cursor"></i></div></div>{_strip(plot.why, section.steps)}'
        f'<div class="xs">{xs}</div>{_values(plot)}</figure>'
    )


def short(value: float) -> str:
    """`0.25`, `40`, `1.2k`: as few characters as an axis has room for."""
    if abs(value) >= 1000:
        return f"{value / 1000:.3g}k"
    return f"{value:.3g}"


def _axis(plot: Plot) -> Axis:
    known = [top for series in plot.series for top in _tops(series)]
    limits = [plot.limit[0]] if plot.limit else []
    highest = plot.high if plot.high is not None else max([*known, *limits], default=1.0)
    if not plot.logarithmic:
        return axis(plot.low, max(highest, plot.low + 1e-9) if known else plot.low + 1.0)
    positive = [value for value in (*known, *limits) if value > 0.0]
    return log_axis(plot.low or min(positive, default=0.01), max([highest, plot.low or 0.01]))


def _tops(series: Series) -> Iterator[float]:
    base: Values = series.base or [0.0] * len(series.values)
    for value, ground in zip(series.values, base, strict=True):
        if value is not None and math.isfinite(value):
            yield value + (ground or 0.0)


def _drawing(plot: Plot, section: Section, scale: Axis) -> str:
    lines = "".join(f'<path class="grid" d="M0,{_y(mark, scale)}H1000"/>' for mark in scale.marks())
    duration_s = section.steps * section.step_s
    spans = "".join(
        f'<rect class="span" x="{WIDTH * s.from_s / duration_s:.1f}" y="0" height="{HEIGHT:g}" '
        f'width="{WIDTH * (s.to_s - s.from_s) / duration_s:.1f}"/>'
        for s in section.spans
    )
    drawn = "".join(
        f'<path class="{_of_form(s)} {s.look}" d="{path(s, section.steps, scale)}"/>'
        for s in reversed(plot.series)
    )
    limit = f'<path class="limit" d="M0,{_y(plot.limit[0], scale)}H1000"/>' if plot.limit else ""
    title = f"{plot.title}: {', '.join(s.label for s in plot.series)}"
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)}">{lines}{spans}{drawn}{limit}</svg>'
    )


def _of_form(series: Series) -> str:
    return "fill" if series.form is Form.AREA else "line"


def _labels(plot: Plot, section: Section, scale: Axis) -> str:
    """Names of the marked times and of the limit, over the drawing."""
    duration_s = section.steps * section.step_s
    names = "".join(
        f'<span class="event" style="left:{100 * s.from_s / duration_s:.2f}%">{escape(s.label)}</span>'
        for s in section.spans
    )
    if plot.limit is None:
        return names
    value, name = plot.limit
    bottom = 100 * scale.share(value)
    side = "below" if bottom > 80 else "above"
    return f'{names}<span class="name {side}" style="bottom:{bottom:.1f}%">{escape(name)}</span>'


def _strip(why: Why | None, steps: int) -> str:
    """A band of colours that tells at a glance why the number is what it is, and the words under the pointer."""
    if why is None:
        return ""
    width = WIDTH / steps
    rects = []
    start = 0
    for at in range(1, steps + 1):
        if at == steps or why.kinds[at] != why.kinds[start]:
            rects.append(
                f'<rect class="{why.kinds[start]}" x="{width * start:.1f}" y="0" height="10" '
                f'width="{width * (at - start):.1f}"/>'
            )
            start = at
    keys = "".join(
        f'<span class="key"><i class="{kind}"></i>{text}</span>' for kind, text in KINDS.items()
    )
    return (
        f'<svg class="strip" viewBox="0 0 {WIDTH:g} 10" preserveAspectRatio="none" role="img" '
        f'aria-label="why">{"".join(rects)}</svg><div class="why"><span class="keys">{keys}</span>'
        f'<output class="reason"></output></div>'
    )


def _values(plot: Plot) -> str:
    """What the pointer shows: values of each series, and the reason wherever it changes."""
    texts: list[tuple[int, str]] = []
    for at, text in enumerate(plot.why.texts if plot.why else ()):
        if not texts or texts[-1][1] != text:
            texts.append((at, text))
    told = {
        "unit": plot.unit,
        "series": [[_rounded(value) for value in s.values] for s in plot.series],
        "why": texts,
    }
    # `</script>` in a message would end the script.
    text = json.dumps(told, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json">{text}</script>'


def _rounded(value: float | None) -> float | int | None:
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.3g}")
    return int(rounded) if rounded == int(rounded) else rounded


def _y(value: float, scale: Axis) -> str:
    return f"{HEIGHT * (1.0 - scale.share(value)):.1f}"
