"""Two weeks of past for Prometheus: one server's counter under a demand that follows the time of day, as OpenMetrics.

Every day has the rise and the fall that the run will bring, at the same minutes; the level varies from day to day and
from minute to minute, so that there is something to forecast.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadtests.load.profile import Step, duration_s, rate_at

DAY_S, STEP_S = 86400.0, 60.0
DAYS = 14


def write(
    path: Path,
    *,
    namespace: str,
    pod: str,
    model: str,
    steps: tuple[Step, ...],
    starts_s: float,
    until_s: float,
    seed: int = 1,
) -> int:
    """The number of samples. `steps` begin at `starts_s` today, and began then on each of the days before."""
    at_s = np.arange(until_s - until_s % STEP_S - DAYS * DAY_S, until_s, STEP_S)
    rates = daily_rates(at_s, steps=steps, starts_s=starts_s, seed=seed)
    counts = np.concatenate([[0.0], np.cumsum(rates[:-1] * STEP_S)])
    labels = f'namespace="{namespace}",pod="{pod}",model="{model}",version="1"'
    lines = ["# HELP nv_inference_count Inferences.", "# TYPE nv_inference_count unknown"]
    lines += [
        f"nv_inference_count{{{labels}}} {count:.0f} {second:.0f}"
        for second, count in zip(at_s, counts, strict=True)
    ]
    path.write_text("\n".join([*lines, "# EOF", ""]))
    return len(at_s)


def daily_rates(
    at_s: NDArray[np.float64], *, steps: tuple[Step, ...], starts_s: float, seed: int
) -> NDArray[np.float64]:
    """Inferences a second over the minute that begins at each time."""
    rng = np.random.default_rng(seed)
    whole_s = duration_s(steps)
    low = steps[0].rate_rps
    # Each minute of the day once, not on each day.
    minutes_s, day_minute = np.unique((at_s - starts_s) % DAY_S, return_inverse=True)
    rates = []
    for begin_s in minutes_s:
        seconds = (begin_s + np.arange(0.0, STEP_S, 5.0)) % DAY_S
        rates.append(float(np.mean([rate_at(steps, s) if s < whole_s else low for s in seconds])))
    days = np.asarray((at_s - starts_s) // DAY_S, dtype=int)
    factor = 1.0 + 0.05 * rng.standard_normal(days.max() - days.min() + 1)
    expected = np.asarray(rates)[day_minute] * factor[days - days.min()] * STEP_S
    return np.asarray(rng.poisson(expected), dtype=float) / STEP_S
