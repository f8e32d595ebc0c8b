"""What is forecast: public traces where they are at hand, series of the project's own making elsewhere.

Counts or tokens a minute, one value a minute, no gaps.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autoscaler.simulation.shapes import (
    DAY_S,
    Shape,
    constant,
    diurnal,
    flash_crowd,
    noise,
    ramp,
    spikes,
)
from forecasting.types import Array

TRACES = Path("../shared/data/traces")

_FUNCTIONS = "azure_functions_2019_10fn_1min"
_TRACE_COLUMNS: dict[str, tuple[str, str]] = {
    "azure_llm_2024_code": ("azure_llm_2024_code_1min", "count"),
    "burstgpt_week1_tokens": ("burstgpt_week1_tokens_1min", "tokens"),
    "nasa_http_jul95": ("nasa_http_jul95_1min", "count"),
    "servegen_m-large_synth1min": ("servegen_m-large_synth1min", "count"),
    "worldcup98": ("worldcup98_1min", "count"),
    "f_2aec": (_FUNCTIONS, "f_2aec"),
    "f_3858": (_FUNCTIONS, "f_3858"),
    "f_704b": (_FUNCTIONS, "f_704b"),
    "f_9c61": (_FUNCTIONS, "f_9c61"),
    "f_bd33": (_FUNCTIONS, "f_bd33"),
    "f_e369": (_FUNCTIONS, "f_e369"),
}
_CRON_COLUMNS: dict[str, tuple[str, str]] = {
    name: (_FUNCTIONS, name) for name in ("f_83c5", "f_a4cd", "f_d213", "f_f444")
}
PROMISED = frozenset(_TRACE_COLUMNS)
"""The series that the targets for the means are of."""
QUICK = ("f_2aec", "nasa_http_jul95", "servegen_m-large_synth1min")
"""Of the four that design choices are made on."""

GENERATED_DAYS = 10


@dataclass(frozen=True, slots=True)
class Series:
    """A name and its values, shape (minutes,)."""

    name: str
    values: Array
    judged: bool = True
    """False: nearly all zeros; reported by itself and in no mean."""

    @property
    def digest(self) -> str:
        """Of the values."""
        return hashlib.sha256(self.values.tobytes()).hexdigest()[:16]


def traces_present() -> bool:
    """Whether the public traces are beside the checkout."""
    return (TRACES / f"{_FUNCTIONS}.csv.gz").is_file()


def load() -> list[Series]:
    """The traces, judged ones first, or else the generated series."""
    if not traces_present():
        return generated()
    judged = [_trace(name, *where, judged=True) for name, where in _TRACE_COLUMNS.items()]
    return judged + [_trace(name, *where, judged=False) for name, where in _CRON_COLUMNS.items()]


def read_column(path: Path, column: str) -> Array:
    """The column of a `.csv.gz` whose name begins with `column`.

    Raises:
        ValueError: no column, or more than one, begins so.
    """
    with gzip.open(path, "rt") as file:
        header = file.readline().strip().split(",")
        found = [index for index, name in enumerate(header) if name.startswith(column)]
        if len(found) != 1:
            raise ValueError(f"{path.name}: {len(found)} of {header} begin with {column}, 1 must")
        return np.loadtxt(file, delimiter=",", usecols=found[0], dtype=np.float64)


def _trace(name: str, stem: str, column: str, *, judged: bool) -> Series:
    return Series(name, read_column(TRACES / f"{stem}.csv.gz", column), judged)


def generated() -> list[Series]:
    """Poisson counts of five kinds of demand, ten days of each; the same at every call."""
    return [
        Series(name, _counts(shape, seed))
        for seed, (name, shape) in enumerate(_generated_shapes(), start=1)
    ]


def _generated_shapes() -> Iterator[tuple[str, Shape]]:
    """Rates in requests a second."""
    day = diurnal(low_rps=0.5, high_rps=4.0)
    yield "diurnal", day
    half_hourly = spikes(rate_rps=5.0, every_s=1800.0, length_s=120.0, offset_s=240.0)
    yield "cron surges", constant(0.5) + half_hourly
    yield "bursty", constant(1.0) * noise(cv=1.0, seed=3, every_s=300.0) * _crowds()
    yield "weekly growth", day * noise(cv=0.1, seed=4, every_s=600.0) * _growth()
    yield "nearly idle", constant(0.003) * noise(cv=1.5, seed=5, every_s=3600.0)


def _crowds() -> Shape:
    """Now and then several times the usual: not at a time that could be learned."""
    rng = np.random.default_rng(6)
    crowds = constant(1.0)
    for at_s in np.sort(rng.uniform(0.0, GENERATED_DAYS * DAY_S, 3 * GENERATED_DAYS)):
        crowds = crowds * flash_crowd(at_s=float(at_s), peak_ratio=float(rng.uniform(2.0, 6.0)))
    return crowds


def _growth() -> Shape:
    """Twice as much after a week."""
    return ramp((0.0, 1.0), (7.0 * DAY_S, 2.0), (14.0 * DAY_S, 4.0))


def _counts(shape: Shape, seed: int) -> Array:
    rates_rps = shape.sample(GENERATED_DAYS * DAY_S, step_s=60.0)
    return np.random.default_rng(seed).poisson(60.0 * rates_rps).astype(np.float64)
