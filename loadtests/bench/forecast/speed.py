"""`make bench-forecast-speed`: one model over 5,000 workloads of 7 days at one minute.

Measured in a process of its own. Predicting is counted in CPU seconds, so that work on a second core would show; it
asks for all 15 minutes that the longest of four horizons (3, 5, 10, 15) takes. The refit is the second fit of the same
object, in wall time. Memory is the most that was resident, the 0.4 GB of history included.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np

import forecasting
from forecasting.types import Array
from loadtests.bench.report import Figure, report

WORKLOADS, DAYS = 5000, 7
MINUTES = DAYS * 1440
HORIZON = 15
QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.99)
MODEL = "PooledForecaster"

_MEASURE = "--measure"


def history() -> Array:
    """Poisson counts around a day's wave of each workload's own size and phase, shape (workloads, minutes)."""
    rng = np.random.default_rng(1)
    size = rng.lognormal(3.0, 1.5, WORKLOADS)
    phase = rng.uniform(0.0, 2.0 * np.pi, WORKLOADS)
    minutes = np.arange(MINUTES) * (2.0 * np.pi / 1440.0)
    y = np.empty((WORKLOADS, MINUTES))
    for row in range(WORKLOADS):
        y[row] = rng.poisson(size[row] * (1.2 + np.sin(minutes + phase[row])))
    return y


def measure() -> dict[str, float]:
    """Seconds and MiB of the model that is there."""
    y = history()
    model: Any = getattr(forecasting, MODEL)()
    model.fit(y[:, : -1440 // 2], cutoff=60.0 * (MINUTES - 1440 // 2))
    started_s = time.perf_counter()
    model.fit(y, cutoff=60.0 * MINUTES)
    refit_s = time.perf_counter() - started_s
    model.predict(HORIZON, QUANTILES)
    started_s = time.process_time()
    model.predict(HORIZON, QUANTILES)
    predict_s = time.process_time() - started_s
    return {
        "predict_s": predict_s,
        "refit_s": refit_s,
        "peak_gib": _peak_gib(),
    }


def _peak_gib() -> float:
    """Of this process and the largest that it started."""
    own, children = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return (own + children) / 2**20


def figures() -> list[Figure]:
    """None where the library has no such model yet: what was not measured has no figure."""
    if not hasattr(forecasting, MODEL):
        return []
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.bench.forecast.speed", _MEASURE],
        # Else scikit-learn asks `lscpu` how many cores there are, a process that counts for as much as what starts it.
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    measured = json.loads(done.stdout)
    size = f"{WORKLOADS:,} workloads of {DAYS} days at one minute"
    return [
        Figure(
            name="predict",
            value=measured["predict_s"],
            unit="CPU s",
            target=1.0,
            note=f"{size}, {HORIZON} minutes, {len(QUANTILES)} quantiles",
        ),
        Figure(
            name="full refit",
            value=measured["refit_s"],
            unit="s",
            target=60.0,
            note=size,
        ),
        Figure(
            name="peak memory",
            value=measured["peak_gib"],
            unit="GiB",
            target=2.0,
            note="history included",
        ),
    ]


def main() -> None:
    """Measures and reports."""
    if _MEASURE in sys.argv:
        print(json.dumps(measure()))
        return
    found = figures()
    if not found:
        print(f"bench-forecast-speed: forecasting has no {MODEL}, nothing is measured")
        return
    report("forecast-speed", found)


if __name__ == "__main__":
    main()
