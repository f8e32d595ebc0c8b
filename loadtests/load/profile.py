"""When requests are due: a rate in steps, and Poisson arrivals drawn from it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

# A run is bounded whatever its profile says.
MOST_REQUESTS = 500_000
PART = re.compile(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A constant rate for a while."""

    duration_s: float
    rate_rps: float


def parse(text: str) -> tuple[Step, ...]:
    """`24x60,96x120`: 24 requests a second for 60 s, then 96 for 120 s. Raises ValueError naming a wrong part."""
    steps = []
    for part in text.split(","):
        match = PART.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"load {part.strip()!r}: must be RATExSECONDS, such as 24x60")
        steps.append(Step(rate_rps=float(match[1]), duration_s=float(match[2])))
    return tuple(steps)


def duration_s(steps: tuple[Step, ...]) -> float:
    """Of the whole profile."""
    return sum(step.duration_s for step in steps)


def rate_at(steps: tuple[Step, ...], at_s: float) -> float:
    """Requests a second at a time from the start; 0 after the end."""
    for step in steps:
        if at_s < step.duration_s:
            return step.rate_rps
        at_s -= step.duration_s
    return 0.0


def arrivals(steps: tuple[Step, ...], *, seed: int) -> tuple[float, ...]:
    """Due times in seconds from the start, ascending. Raises ValueError beyond 500,000 requests."""
    expected = sum(step.duration_s * step.rate_rps for step in steps)
    if expected > MOST_REQUESTS:
        raise ValueError(
            f"profile: {expected:.0f} requests, at most {MOST_REQUESTS} are allowed; shorten it"
        )
    rng = np.random.default_rng(seed)
    due: list[float] = []
    start_s = 0.0
    for step in steps:
        count = rng.poisson(step.duration_s * step.rate_rps)
        # Given their number, the arrivals of a Poisson process are uniform.
        due.extend(np.sort(rng.uniform(start_s, start_s + step.duration_s, count)).tolist())
        start_s += step.duration_s
    return tuple(due)
