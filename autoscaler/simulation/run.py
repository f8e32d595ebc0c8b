"""Drives one policy through a modelled cluster and scores what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscaler.simulation.cluster import ModelledCluster
from autoscaler.simulation.peers import Policy
from autoscaler.simulation.serving import ServingModel, ServingPool

# Requests that have not finished this long after the end are missed.
DRAIN_S = 300.0
# A minute with fewer requests than this is not called the worst.
MIN_REQUESTS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a policy achieved over a run."""

    policy: str
    attainment_ratio: float
    """Share of all requests within the threshold; failed and unfinished count as missed."""
    gpu_hours: float
    changes: int
    worst_minute_ratio: float
    worst_minute_s: float
    good_windows_ratio: float
    """Share of 5-minute windows in which the objective held."""
    longest_bad_s: float
    """Longest unbroken run of minutes in which it did not."""
    replicas: tuple[tuple[float, int], ...]
    """(time, replicas) at the start and at every change."""


def run(
    policy: Policy,
    cluster: ModelledCluster,
    arrivals_s: NDArray[np.float64],
    *,
    duration_s: float,
    threshold_s: float,
    goal: float,
    progress: Callable[[float], None] = lambda _: None,
) -> Score:
    """Asks the policy each period until `duration_s`. `progress` is called with the virtual time."""
    replicas = [(0.0, cluster.replicas)]
    now_s = 0.0
    while now_s < duration_s:
        now_s = min(now_s + policy.period_s, duration_s)
        cluster.advance(now_s)
        wanted = policy.replicas(cluster.tick_input())
        if wanted != cluster.replicas:
            cluster.set_replicas(wanted)
            replicas.append((now_s, wanted))
        progress(now_s)
    gpu_hours = cluster.gpu_hours
    cluster.advance(duration_s + DRAIN_S, scraped=False)
    good = np.asarray(cluster.latencies_s) <= threshold_s
    return score(
        policy.name,
        good,
        arrivals_s,
        duration_s=duration_s,
        goal=goal,
        gpu_hours=gpu_hours,
        replicas=tuple(replicas),
    )


def score(
    name: str,
    good: NDArray[np.bool_],
    arrivals_s: NDArray[np.float64],
    *,
    duration_s: float,
    goal: float,
    gpu_hours: float,
    replicas: tuple[tuple[float, int], ...],
) -> Score:
    """From one flag per request: was it answered within the threshold."""
    minutes = _ratios(good, arrivals_s, duration_s, 60.0)
    windows = _ratios(good, arrivals_s, duration_s, 300.0)
    known = ~np.isnan(minutes)
    worst = int(np.nanargmin(minutes)) if known.any() else 0
    return Score(
        policy=name,
        attainment_ratio=float(good.mean()) if good.size else 1.0,
        gpu_hours=gpu_hours,
        changes=len(replicas) - 1,
        worst_minute_ratio=float(minutes[worst]) if known.any() else 1.0,
        worst_minute_s=60.0 * worst,
        good_windows_ratio=float((windows[~np.isnan(windows)] >= goal).mean())
        if known.any()
        else 1.0,
        longest_bad_s=60.0 * _longest(minutes < goal),
        replicas=replicas,
    )


def _ratios(
    good: NDArray[np.bool_], arrivals_s: NDArray[np.float64], duration_s: float, width_s: float
) -> NDArray[np.float64]:
    """Share of good requests by window of arrival; NaN where there were too few."""
    count = max(1, int(np.ceil(duration_s / width_s)))
    window = np.minimum((arrivals_s / width_s).astype(np.int64), count - 1)
    total = np.bincount(window, minlength=count)
    hits = np.bincount(window, weights=good, minlength=count)
    return np.where(total >= MIN_REQUESTS, hits / np.maximum(total, 1), np.nan)


def _longest(flags: NDArray[np.bool_]) -> int:
    longest = current = 0
    for flag in flags:
        current = current + 1 if flag else 0
        longest = max(longest, current)
    return longest


def static_peak(
    model: ServingModel,
    arrivals_s: NDArray[np.float64],
    *,
    threshold_s: float,
    goal: float,
    most: int = 256,
) -> int:
    """The fewest replicas that hold the goal in every minute of the whole run, found by bisection.

    Raises ValueError where not even `most` do.
    """
    duration_s = float(arrivals_s[-1]) if arrivals_s.size else 0.0

    def holds(replicas: int) -> bool:
        pool = ServingPool(model, arrivals_s, max_servers=replicas)
        for _ in range(replicas):
            pool.add_server(0.0)
        pool.run_until(duration_s + DRAIN_S)
        minutes = _ratios(np.asarray(pool.latencies_s) <= threshold_s, arrivals_s, duration_s, 60.0)
        return bool((minutes[~np.isnan(minutes)] >= goal).all())

    low, high = 0, 1
    while not holds(high):
        low, high = high, 2 * high
        if low >= most:
            raise ValueError(
                f"static peak: not even {low} replicas hold {goal:.1%} in every minute"
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
