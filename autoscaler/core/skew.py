"""Whether load is spread unevenly over pods, which no number of replicas cures but each one dilutes."""

from __future__ import annotations

import math

from autoscaler.core.computed import computed
from autoscaler.core.observe import View

# The busiest pod at a third above the mean, and by more than chance.
NOTABLE_RATIO = 1.33
# Three deviations of one pod. Of many the busiest is looked for, and of few requests a single one is many deviations:
# of 64 pods that get one each ten minutes, nearly always one has 20 times the mean of half a minute.
BY_CHANCE = 0.00135
HIGHEST_RATIO = 2.0
# How fast the allowance goes once load is even again: halves in about five minutes of ticks.
DECAY = 0.977
# A pod that is new has had no time to get its share.
SETTLE_S = 20.0


@computed
class Skew:
    """The busiest pod against the mean of all pods that take traffic."""

    ratio: float
    busiest: str
    idlest: str
    notable: bool


def measure(view: View, *, now_s: float, window_s: float, scatter: float = 1.0) -> Skew | None:
    """The spread of load over the pods that have been ready long enough.

    `scatter`: of what chance sends to a pod, as a multiple of Poisson's: 1 for requests; tokens come by the hundred.
    None with fewer than two, and while a backlog drains: the pods that hold it get less, as they should. So does a sick
    one, which is told of by itself.
    """
    if any(model.draining for load in view.well for model in load.models):
        return None
    settled = {
        pod.name
        for pod in view.ready_pods
        if pod.ready_s is not None and now_s - pod.ready_s >= SETTLE_S
    }
    rates = [
        (sum([m.offered_rps for m in load.models]), load.pod)
        for load in view.well
        if load.pod in settled
    ]
    total = sum(rate for rate, _ in rates)
    if len(rates) < 2 or total <= 0.0:
        return None
    mean = total / len(rates)
    highest, busiest = max(rates)
    lowest, idlest = min(rates)
    by_chance = len(rates) * _as_many(highest * window_s / scatter, mean * window_s / scatter)
    ratio = highest / mean
    return Skew(
        ratio=ratio,
        busiest=busiest,
        idlest=idlest,
        notable=ratio >= NOTABLE_RATIO and by_chance < BY_CHANCE,
    )


def _as_many(counted: float, expected: float) -> float:
    """At most the chance that a Poisson count comes to so many, which are more than expected (Chernoff's bound)."""
    return math.exp(counted - expected - counted * math.log(counted / expected))


def allowance(known: float, skew: Skew | None, *, suffering: bool) -> float:
    """By how much more replicas are asked for: while the objective is missed, as much as load is uneven, up to twice;
    afterwards less and less, so that the cure is not undone at once."""
    faded = 1.0 + (known - 1.0) * DECAY
    if skew is not None and skew.notable and suffering:
        return min(max(faded, skew.ratio), HIGHEST_RATIO)
    return faded if faded > 1.02 else 1.0
