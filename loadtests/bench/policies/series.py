"""The demand that policies are compared under: recorded series where they are at hand, else generated ones."""

from __future__ import annotations

import os
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
GENERATED_DAYS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series: a column of a trace file, or a shape. `counted`: in the figures, else only shown."""

    name: str
    file: str = ""
    column: str | None = None
    shape: Shape | None = None
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


def named(name: str) -> Series:
    """One of them. Raises KeyError."""
    return {series.name: series for series in all_series()}[name]


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
    rates = series.shape.sample(GENERATED_DAYS * DAY_S, step_s=MINUTE_S)
    return Trace(name=series.name, step_s=MINUTE_S, rates_rps=np.asarray(rates))
