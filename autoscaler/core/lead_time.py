"""How long this workload takes from the request for a replica until it is ready: the horizon of everything else.

The P90 of what was seen. Pods that are still starting are censored observations: they will take at least as long as
they have waited already, so a start-up that has become slower is noticed while it happens and not afterwards.
"""

from __future__ import annotations

from autoscaler.core.computed import computed

QUANTILE = 0.9
KEPT = 50
NAMES_KEPT = 500
# A seed counts as two observations until five real ones are there: one lucky start does not replace it.
SEED_WEIGHT = 2
ENOUGH = 5


@computed
class LeadTimes:
    """Measured times to ready, newest last, and the pods that they came from."""

    observed_s: tuple[float, ...] = ()
    pods: tuple[str, ...] = ()
    """Names of the pods already counted, so that none counts twice."""


def learn(times: LeadTimes, started: list[tuple[str, float]]) -> LeadTimes:
    """Takes in (pod, seconds to ready) of pods that were not counted yet."""
    counted = set(times.pods)
    new: dict[str, float] = {}
    for pod, seconds in started:
        if seconds >= 0.0 and pod not in counted:
            new.setdefault(pod, seconds)
    if not new:
        return times
    return LeadTimes(
        observed_s=(times.observed_s + tuple(new.values()))[-KEPT:],
        # Many more names than times: a pod that still runs must not be counted anew when it has left the times.
        pods=(times.pods + tuple(new))[-NAMES_KEPT:],
    )


def starts_s(times: LeadTimes, *, seed_s: float) -> tuple[float, ...]:
    """The times to ready to reckon with, ascending: those that were seen, and the seed until enough are."""
    observed = list(times.observed_s)
    if len(observed) < ENOUGH:
        observed += [seed_s] * SEED_WEIGHT
    return tuple(sorted(observed))


def p90_s(times: LeadTimes, *, seed_s: float, waiting_s: list[float]) -> float:
    """P90 of the time to ready by Kaplan and Meier's estimate.

    `waiting_s` holds how long each pod that is not ready has been starting. Where the survivors outlast everything that
    was seen, the longest of all is the answer: a lower bound of the true one.
    """
    events = sorted(
        [(seconds, 0) for seconds in starts_s(times, seed_s=seed_s)]
        + [(seconds, 1) for seconds in waiting_s]
    )
    at_risk = len(events)
    surviving = 1.0
    for seconds, censored in events:
        if not censored:
            surviving *= 1.0 - 1.0 / at_risk
            # 1e-9: nine of ten observations leave 0.1 up to rounding.
            if surviving <= 1.0 - QUANTILE + 1e-9:
                return seconds
        at_risk -= 1
    return events[-1][0]
