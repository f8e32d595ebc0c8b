"""The demand that policies are compared under: recorded series where they are at hand, else generated ones."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from autoscaler.simulation import shapes
from autoscaler.simulation.demand import DAY_S, cut
from autoscaler.simulation.scenario import Demand
from autoscaler.simulation.shapes import Shape
from autoscaler.simulation.traces import MINUTE_S, Trace, read_trace

FOLDER = Path(os.environ.get("FORESCALE_TRACES", "../shared/data/traces"))
GENERATED_DAYS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series: a column of a trace file, or a shape. `counted`: in the figures, else only shown."""

    name: str
    file: str = ""
    column: str | None = None
    shape: Shape | None = None
    days: float = GENERATED_DAYS
    """Of a shape."""
    counted: bool = True


_FUNCTIONS = "azure_functions_2019_10fn_1min.csv.gz"
RECORDED = (
    Series(name="azure_llm", file="azure_llm_2024_code_1min.csv.gz"),
    Series(name="servegen", file="servegen_m-large_synth1min.csv.gz"),
    Series(name="nasa", file="nasa_http_jul95_1min.csv.gz"),
    Series(name="f_2aec", file=_FUNCTIONS, column="f_2aec780b"),
    Series(name="f_9c61", file=_FUNCTIONS, column="f_9c61f960"),
    Series(name="f_bd33", file=_FUNCTIONS, column="f_bd33ce4b"),
    Series(name="f_e369", file=_FUNCTIONS, column="f_e369a477"),
    Series(name="f_3858", file=_FUNCTIONS, column="f_38589360", counted=False),
    Series(name="burstgpt", file="burstgpt_week1_tokens_1min.csv.gz", counted=False),
    Series(name="worldcup98", file="worldcup98_1min.csv.gz", counted=False),
)


def _generated() -> tuple[Series, ...]:
    """Demand of our own making, smooth to spiky: what a comparison is run on where no recorded one is at hand."""
    day = shapes.diurnal(low_rps=20.0, high_rps=100.0)
    office = shapes.diurnal(low_rps=5.0, high_rps=100.0, weekend_ratio=0.4)
    cron = shapes.spikes(rate_rps=150.0, every_s=3600.0, length_s=300.0, offset_s=1200.0)
    crowds = shapes.constant(1.0)
    for number, at_h in enumerate((30.0, 77.0, 130.0, 171.0, 200.0, 221.0)):
        crowd = shapes.flash_crowd(at_s=at_h * 3600.0, peak_ratio=2.0 + number % 3, rise_s=120.0)
        crowds = crowds * crowd
    return (
        Series(name="smooth", shape=day * shapes.noise(cv=0.05, seed=1)),
        Series(name="office", shape=office * shapes.noise(cv=0.10, seed=2)),
        Series(name="noisy", shape=day * shapes.noise(cv=0.40, seed=3, every_s=300.0)),
        Series(name="restless", shape=day * shapes.noise(cv=0.60, seed=4)),
        Series(name="hourly", shape=shapes.constant(30.0) * shapes.noise(cv=0.1, seed=5) + cron),
        Series(name="crowds", shape=day * crowds * shapes.noise(cv=0.1, seed=6)),
        Series(name="flat", shape=shapes.constant(60.0) * shapes.noise(cv=0.1, seed=7)),
    )


def are_recorded() -> bool:
    """Whether the recorded series are at hand."""
    return all((FOLDER / series.file).exists() for series in RECORDED)


@lru_cache(maxsize=1)
def all_series() -> tuple[Series, ...]:
    """Those that are compared under."""
    return RECORDED if are_recorded() else _generated()


@lru_cache(maxsize=1)
def odd_series() -> tuple[Series, ...]:
    """What clocks, queues and chance make of demand, which no recorded series here has. Two days of past each."""
    bursts = shapes.constant(1.0)
    for at_s in np.random.default_rng(26).uniform(0.0, 3.0 * DAY_S, 31).tolist():
        bursts = bursts + shapes.spikes(
            rate_rps=19.0, every_s=3.0 * DAY_S, length_s=480.0, offset_s=at_s
        )
    last_day = shapes.steps((0.0, 1.0), (2.0 * DAY_S + 9.0 * 3600.0, 4.0))
    wavering = shapes.constant(40.0) * shapes.noise(cv=0.5, seed=23, every_s=1800.0)
    made = {
        "in turns": _square(0.0, 20.0, every_min=2),
        "three minutes": _square(8.0, 60.0, every_min=6),
        "twenty minutes": _square(0.0, 60.0, every_min=40),
        "quarter hours": _square(15.0, 60.0, every_min=15, high_min=2),
        "office or nothing": shapes.spikes(
            rate_rps=50.0, every_s=DAY_S, length_s=10.0 * 3600.0, offset_s=8.0 * 3600.0
        )
        * shapes.noise(cv=0.15, seed=21),
        "nightly batch": shapes.constant(3.0)
        + shapes.spikes(rate_rps=80.0, every_s=DAY_S, length_s=5400.0, offset_s=7200.0),
        "sawtooth": Shape(lambda t_s: 5.0 + 75.0 * (t_s % 2700.0) / 2700.0),
        "heavy tail": shapes.constant(5.0) + shapes.constant(12.0) * shapes.noise(cv=1.2, seed=22),
        "wavering": wavering * shapes.noise(cv=0.1, seed=24),
        "bursts at random": shapes.constant(4.0) * bursts,
        "four times as much": last_day * shapes.constant(15.0) * shapes.noise(cv=0.1, seed=25),
    }
    return tuple(Series(name=name, shape=shape, days=3.0) for name, shape in made.items())


def _square(
    low_rps: float, high_rps: float, *, every_min: int, high_min: int | None = None
) -> Shape:
    high_s = 60.0 * (every_min / 2 if high_min is None else high_min)
    more = shapes.spikes(rate_rps=high_rps - low_rps, every_s=60.0 * every_min, length_s=high_s)
    return shapes.constant(low_rps) + more


def named(name: str) -> Series:
    """One of all. Raises KeyError."""
    return {series.name: series for series in (*all_series(), *odd_series())}[name]


def chosen(
    parser: argparse.ArgumentParser, option: str, text: str, known: Sequence[Series]
) -> tuple[str, ...]:
    """The names that an option gives, with commas; the parser ends the program where one is not known."""
    names, there_are = tuple(text.split(",")), [one.name for one in known]
    if unknown := set(names) - set(there_are):
        parser.error(f"{option}: {', '.join(sorted(unknown))}; there are {', '.join(there_are)}")
    return names


@lru_cache(maxsize=4)
def demand(name: str, *, days: float, part: str, peak_rps: float) -> Demand:
    """`test`: the last `days` of a series, their 99.9 % minute scaled to `peak_rps`, with all before as the past.

    `train`: as many days just before those, at the same scale: what a peer is tuned on.
    """
    series = named(name)
    whole = _trace(series)
    tested = cut(whole, last_days=days, peak_rps=peak_rps)
    if part == "test":
        return tested
    factor = float(tested.rates_rps.max() / whole.last(days * DAY_S).rates_rps.max())
    minutes = round(days * DAY_S / whole.step_s)
    before = Trace(
        name=f"{name}, days before",
        step_s=whole.step_s,
        rates_rps=whole.rates_rps[:-minutes] * factor,
    )
    return cut(before, last_days=days)


def _trace(series: Series) -> Trace:
    if series.shape is None:
        return read_trace(FOLDER / series.file, series.column)
    rates = series.shape.sample(series.days * DAY_S, step_s=MINUTE_S)
    return Trace(name=series.name, step_s=MINUTE_S, rates_rps=np.asarray(rates))
