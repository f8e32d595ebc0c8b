"""`python -m loadtests.bench.forecast.plot`: docs/img/forecast.png, what was forecast beside what came.

Four generated series, six hours of the test. Each minute's median and band were forecast ten minutes before it, by the
forecaster that the benchmark judges, fitted once on what lies before the test.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forecasting.types import Array
from loadtests.bench.forecast.protocol import STEP_S, TEST
from loadtests.bench.forecast.series import generated
from loadtests.bench.forecast.subject import subject

PATH = Path("docs/img/forecast.png")
SHOWN = ("diurnal", "cron surges", "bursty", "weekly growth")
AHEAD = 10
LENGTH = 6 * 60
# Five in the morning to eleven: demand climbs.
FROM = 5 * 60

ACTUAL, FORECAST = "#444444", "#0072b2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One series' six hours, each shape (minutes,)."""

    title: str
    actual: Array
    median: Array
    upper: Array


def panel(title: str, y: Array) -> Panel:
    """Every minute's forecast of ten minutes before."""
    start = y.size - TEST
    first = start + FROM
    forecaster = subject().fit(y[:start], cutoff=STEP_S * (start - 1))
    forecaster.update(y[start : first - AHEAD])
    issued = []
    for minute in range(first, first + LENGTH):
        # Known then: all up to ten minutes before it, that one included.
        forecaster.update(y[minute - AHEAD : minute - AHEAD + 1])
        issued.append(forecaster.predict(AHEAD, (0.5, 0.95)).values[-1])
    median, upper = np.array(issued).T
    return Panel(title=title, actual=y[first : first + LENGTH], median=median, upper=upper)


def draw(panels: list[Panel]) -> Any:
    """A matplotlib figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 6.2), layout="constrained")
    hours = (FROM + np.arange(LENGTH)) / 60.0
    for axes, one in zip(figure.subplots(2, 2, sharex=True).flat, panels, strict=True):
        axes.fill_between(
            hours,
            one.median,
            one.upper,
            color=FORECAST,
            alpha=0.22,
            linewidth=0.0,
            label="50 to 95 %",
        )
        axes.plot(hours, one.actual, color=ACTUAL, linewidth=0.8, label="actual")
        axes.plot(hours, one.median, color=FORECAST, linewidth=1.5, label="median")
        above = 100.0 * float((one.actual > one.upper).mean())
        axes.set_title(
            f"{one.title}   ({above:.0f} % of minutes above the band)", loc="left", fontsize=10
        )
        axes.set_xlim(hours[0], hours[-1])
        axes.set_ylim(bottom=0.0)
        axes.grid(color="#dddddd", linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    for axes in figure.axes[2:]:
        axes.set_xlabel("hour of the day", fontsize=9)
    for axes in figure.axes[::2]:
        axes.set_ylabel("requests a minute", fontsize=9)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=3, frameon=False, fontsize=9)
    figure.suptitle(
        f"Forecast {AHEAD} minutes ahead, generated demand", x=0.01, ha="left", fontsize=12
    )
    return figure


def main() -> None:
    """Draws into the docs."""
    by_name = {one.name: one.values for one in generated()}
    PATH.parent.mkdir(parents=True, exist_ok=True)
    draw([panel(name, by_name[name]) for name in SHOWN]).savefig(PATH, dpi=110)
    print(f"{PATH}: {PATH.stat().st_size / 1000.0:.0f} kB")


if __name__ == "__main__":
    main()
