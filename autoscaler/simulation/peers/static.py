"""The same number of replicas always: what a team has that provisions for the peak."""

from __future__ import annotations

from typing import Any

from autoscaler.simulation.compiled import compilable
from autoscaler.simulation.peers.policy import Seen
from autoscaler.simulation.peers.rule import HEADROOM, Rule
from autoscaler.simulation.scraped import Reads


class Static:
    """Always the same number."""

    period_s = 60.0
    reads: Reads | None = None

    def __init__(self, replicas: int) -> None:
        self.name = f"static peak ({replicas})"
        self._replicas = replicas

    def replicas(self, seen: Seen) -> int:
        """The number."""
        return self._replicas


@compilable
def _static(
    now_s: Any,
    replicas: Any,
    ready: Any,
    starting: Any,
    slow: Any,
    fast: Any,
    memory: Any,
    settings: Any,
) -> Any:
    return int(settings[HEADROOM])


STATIC = Rule(
    name="static",
    decide=_static,
    period_s=60.0,
    scrape_s=60.0,
    slow_s=60.0,
    fast_s=60.0,
    memory=1,
    headroom="replicas",
    default=30.0,
    sweep=tuple(float(n) for n in (60, 50, 45, 40, *range(36, 0, -2))),
    sources="none needed",
    notes="its default is the size at which the comparison scales the peak: 30",
)
