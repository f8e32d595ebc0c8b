"""Demand made of what a person names: a shape or a trace, scaled, and cut into what is run and what lies before it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoscaler.simulation.clients import Users
from autoscaler.simulation.scenario import Demand, past_of
from autoscaler.simulation.shape_text import parse_shape
from autoscaler.simulation.traces import Trace, read_trace

HOUR_S, DAY_S = 3600.0, 86400.0
MOST_HOURS = 24.0 * 31
# Each costs some thirty bytes until all have arrived.
MOST_REQUESTS = 500_000_000
# One minute in a thousand lies above it, so that a single wild minute does not set the scale.
PEAK_QUANTILE = 0.999


def demand_of_shape(
    text: str,
    *,
    hours: float,
    peak_rps: float | None = None,
    dispersion: float = 1.0,
    burst_s: int = 1,
) -> Demand:
    """So many hours of a shape. Raises ValueError for what can't be."""
    rates = _sampled(text, hours)
    return _that_can_be_run(
        Demand(
            name=text,
            rates_rps=rates * _factor(rates, peak_rps),
            dispersion=dispersion,
            burst_s=burst_s,
        )
    )


def users_of_shape(text: str, *, hours: float, think_s: float = 1.0) -> Users:
    """So many hours of a closed loop of as many users as a shape says, to the next whole one.

    Raises ValueError for what can't be.
    """
    counts = np.rint(_sampled(text, hours)).astype(np.int64)
    return Users(name=text, counts=counts, think_s=think_s)


def _sampled(text: str, hours: float) -> NDArray[np.float64]:
    if not 0.0 < hours <= MOST_HOURS:
        raise ValueError(f"hours: {hours}, more than 0, at most {MOST_HOURS:g}")
    return parse_shape(text).sample(hours * HOUR_S)


def demand_of_trace(
    path: Path,
    *,
    column: str | None = None,
    last_days: float | None = None,
    peak_rps: float | None = None,
    dispersion: float = 1.0,
    burst_s: int = 1,
) -> Demand:
    """A trace, or its end; what lies before the end is the past.

    `peak_rps` scales the 99.9 % minute of what is run. Raises ConfigError for a file that can't be read and ValueError
    for what can't be.
    """
    trace = read_trace(path, column)
    return _that_can_be_run(
        cut(
            trace,
            last_days=last_days,
            peak_rps=peak_rps,
            dispersion=dispersion,
            burst_s=burst_s,
        )
    )


def cut(
    trace: Trace,
    *,
    last_days: float | None = None,
    peak_rps: float | None = None,
    dispersion: float = 1.0,
    burst_s: int = 1,
) -> Demand:
    """The end of a trace to be run, the rest as its past; see `demand_of_trace`."""
    if last_days is not None and not 0.0 < last_days < math.inf:
        raise ValueError(f"last_days: {last_days}, more than 0")
    if last_days is not None and last_days * DAY_S < trace.step_s:
        raise ValueError(f"last_days: {last_days}, at least a step of {trace.step_s:g} s")
    run = trace if last_days is None else trace.last(last_days * DAY_S)
    if peak_rps is not None and run.arrivals_s is not None:
        raise ValueError(f"peak_rps: {peak_rps}, single requests can't be scaled")
    factor = _factor(run.rates_rps, peak_rps)
    before = trace.rates_rps[: trace.rates_rps.size - run.rates_rps.size]
    return Demand(
        name=trace.name,
        rates_rps=run.per_second() * factor,
        arrivals_s=run.arrivals_s,
        past_rps=past_of(before * factor, trace.step_s),
        dispersion=dispersion,
        burst_s=burst_s,
    )


def _that_can_be_run(demand: Demand) -> Demand:
    """Raises ValueError for no request, of which none can miss, and for more than a machine holds."""
    requests = float(demand.rates_rps.sum())
    if requests == 0.0:
        raise ValueError(f"{demand.name}: no request at all, at least one is needed to judge by")
    if requests > MOST_REQUESTS:
        raise ValueError(
            f"{demand.name}: {requests:.3g} requests, at most {MOST_REQUESTS:.3g}: run less of it, or scale it down by "
            "peak_rps"
        )
    return demand


def _factor(rates_rps: NDArray[np.float64], peak_rps: float | None) -> float:
    if peak_rps is None:
        return 1.0
    if not 0.0 < peak_rps < math.inf:
        raise ValueError(f"peak_rps: {peak_rps}, more than 0")
    peak = float(np.quantile(rates_rps, PEAK_QUANTILE))
    if peak <= 0.0:
        raise ValueError(f"peak_rps: {peak_rps}, the demand has no peak that could be scaled")
    return peak_rps / peak
