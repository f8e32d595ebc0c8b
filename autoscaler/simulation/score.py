"""What a policy achieved over a run, from how many requests each minute had and how many were answered in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MINUTE_S = 60.0
WINDOW_MINUTES = 5
# A minute with fewer requests than this is not called the worst; a window with fewer is not judged.
MIN_REQUESTS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a policy achieved over a run."""

    policy: str
    requests: int
    """Each counted once, however often its client asked."""
    attempts_ratio: float | None
    """How often clients asked for each of them; None: they don't ask again."""
    attainment_ratio: float
    """Share of all requests within the threshold; failed, left and unfinished count as missed."""
    gpu_hours: float
    node_gpu_hours: float | None
    """None: the model has no nodes."""
    changes: int
    worst_minute_ratio: float
    worst_minute_s: float
    good_windows_ratio: float
    """Share of 5-minute windows in which the objective held."""
    longest_bad_s: float
    """Longest unbroken run of minutes in which it did not."""
    worst_window_ratio: float
    """Attainment in the worst five minutes."""
    replicas: tuple[tuple[float, int], ...]
    """(time, replicas) at the start and at every change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Minutes:
    """Requests that arrived in each minute, and those of them that were answered in time."""

    total: NDArray[np.float64]
    good: NDArray[np.float64]


def minutes_of(
    good: NDArray[np.bool_], arrivals_s: NDArray[np.float64], duration_s: float
) -> Minutes:
    """From one flag per request: was it answered within the threshold."""
    count = max(1, int(np.ceil(duration_s / MINUTE_S)))
    minute = np.minimum((arrivals_s / MINUTE_S).astype(np.int64), count - 1)
    return Minutes(
        total=np.bincount(minute, minlength=count).astype(np.float64),
        good=np.bincount(minute[good], minlength=count).astype(np.float64),
    )


def score(
    name: str,
    minutes: Minutes,
    *,
    goal: float,
    gpu_hours: float,
    replicas: tuple[tuple[float, int], ...],
    node_gpu_hours: float | None = None,
    changes: int | None = None,
    attempts_ratio: float | None = None,
) -> Score:
    """`goal` is what a minute or a window has to reach to be good; `changes` None: those of `replicas`."""
    by_minute = _ratios(minutes.total, minutes.good)
    by_window = _ratios(_summed(minutes.total), _summed(minutes.good))
    known = ~np.isnan(by_minute)
    worst = int(np.nanargmin(by_minute)) if known.any() else 0
    judged = by_window[~np.isnan(by_window)]
    requests = int(minutes.total.sum())
    return Score(
        policy=name,
        requests=requests,
        attempts_ratio=attempts_ratio,
        attainment_ratio=float(minutes.good.sum()) / requests if requests else 1.0,
        gpu_hours=gpu_hours,
        node_gpu_hours=node_gpu_hours,
        changes=len(replicas) - 1 if changes is None else changes,
        worst_minute_ratio=float(by_minute[worst]) if known.any() else 1.0,
        worst_minute_s=MINUTE_S * worst,
        good_windows_ratio=float((judged >= goal).mean()) if judged.size else 1.0,
        longest_bad_s=MINUTE_S * _longest(by_minute < goal),
        worst_window_ratio=float(judged.min()) if judged.size else 1.0,
        replicas=replicas,
    )


def _ratios(total: NDArray[np.float64], good: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN where there were too few."""
    return np.where(total >= MIN_REQUESTS, good / np.maximum(total, 1.0), np.nan)


def _summed(minutes: NDArray[np.float64]) -> NDArray[np.float64]:
    starts = np.arange(0, minutes.size, WINDOW_MINUTES)
    return np.asarray(np.add.reduceat(minutes, starts), dtype=np.float64)


def _longest(flags: NDArray[np.bool_]) -> int:
    longest = current = 0
    for flag in flags.tolist():
        current = current + 1 if flag else 0
        longest = max(longest, current)
    return longest
