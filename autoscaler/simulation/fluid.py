"""A fast model of a peer's run, to find its settings: seconds instead of requests, milliseconds instead of seconds.

It drives the same rules as the request-level simulator (`peers`), under the same arrivals and the same start-ups. What
it leaves out: nodes, faults and the routing of single requests. What is claimed comes from the request-level
simulator; this one says where to look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscaler.simulation.bounds import AHEAD_S, TICK_S
from autoscaler.simulation.fluid_kernel import compiled_future, compiled_loop
from autoscaler.simulation.fluid_servers import plant_of
from autoscaler.simulation.peers.rule import Decide, Known, Rule
from autoscaler.simulation.scenario import Scenario
from autoscaler.simulation.score import Minutes, Score, score

SCRAPE_LAG_S = 1.0
STARTS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What one setting of a policy's headroom came to."""

    headroom: float
    attainment_ratio: float
    gpu_hours: float
    good_windows_ratio: float
    worst_window_ratio: float
    longest_bad_s: float
    changes: int


@cache
def _loop_of(decide: Decide) -> Callable[..., Any]:
    return compiled_loop(decide)


@cache
def _future() -> Callable[..., Any]:
    return compiled_future()


class FluidModel:
    """One scenario under one stream of requests."""

    def __init__(self, scenario: Scenario, arrivals_s: NDArray[np.float64], known: Known) -> None:
        seconds = int(np.ceil(scenario.demand.duration_s))
        self._counts = np.bincount(arrivals_s.astype(np.int64), minlength=seconds)[:seconds].astype(
            np.float64
        )
        self._scenario = scenario
        self._known = known
        self._total = np.add.reduceat(self._counts, np.arange(0, seconds, 60))
        startup = scenario.startup
        self._starts_s = np.array([startup.draw_s(number) for number in range(STARTS)])
        self._plant = plant_of(scenario.batching)

    def run(self, rule: Rule, headroom: float | None = None) -> Score:
        """One run of a rule at one setting; by default its documented one."""
        good = np.zeros(self._total.size)
        replicas_at = np.zeros(self._total.size)
        first = int(headroom or rule.default) if rule.name == "static" else self._first
        gpu_s, changes = _loop_of(rule.decide)(
            self._counts,
            self._starts_s,
            first,
            rule.period_s,
            rule.scrape_s,
            SCRAPE_LAG_S,
            rule.slow_s,
            rule.fast_s,
            np.zeros(rule.memory),
            rule.settings(self._known, headroom),
            self._plant,
            good,
            replicas_at,
        )
        return score(
            rule.name,
            Minutes(total=self._total, good=good),
            goal=self._scenario.goal_ratio,
            gpu_hours=float(gpu_s) / 3600.0,
            replicas=_changes(replicas_at),
            changes=int(changes),
        )

    def clairvoyant(self, factor: float) -> tuple[Score, NDArray[np.float64]]:
        """(score, ready replicas by tick) of `factor` times what the next 30 s need, at once; see `bounds`."""
        good = np.zeros(self._total.size)
        ready_at = np.zeros(int(np.ceil(self._counts.size / TICK_S)))
        gpu_s = _future()(
            self._counts,
            factor,
            TICK_S,
            AHEAD_S,
            self._known.min_replicas,
            self._known.max_replicas,
            self._known.threshold_s,
            self._plant,
            good,
            ready_at,
        )
        found = score(
            "clairvoyant",
            Minutes(total=self._total, good=good),
            goal=self._scenario.goal_ratio,
            gpu_hours=float(gpu_s) / 3600.0,
            replicas=(),
            changes=int(np.count_nonzero(np.diff(ready_at))),
        )
        return found, ready_at

    @property
    def _first(self) -> int:
        return max(self._known.min_replicas, self._scenario.first_replicas)


def point(headroom: float, found: Score) -> Point:
    """A setting beside what it came to."""
    return Point(
        headroom=headroom,
        attainment_ratio=found.attainment_ratio,
        gpu_hours=found.gpu_hours,
        good_windows_ratio=found.good_windows_ratio,
        worst_window_ratio=found.worst_window_ratio,
        longest_bad_s=found.longest_bad_s,
        changes=found.changes,
    )


def _changes(replicas_at: NDArray[np.float64]) -> tuple[tuple[float, int], ...]:
    """(time, replicas) at the first minute and wherever a minute differs from the one before."""
    if not replicas_at.size:
        return ()
    places = np.concatenate(([0], np.flatnonzero(np.diff(replicas_at)) + 1))
    return tuple((60.0 * place, int(replicas_at[place])) for place in places.tolist())
