"""What a policy is: it is asked for a number of replicas every period, and sees what Prometheus and Kubernetes show."""

from __future__ import annotations

from typing import Protocol

from autoscaler.core.types import TickInput
from autoscaler.simulation.scraped import Reads, Totals


class Seen(Protocol):
    """The modelled cluster, as far as a policy may look."""

    @property
    def now_s(self) -> float:
        """Virtual time."""
        ...

    @property
    def replicas(self) -> int:
        """`spec.replicas`."""
        ...

    def totals(self) -> Totals | None:
        """Sums over all pods; None: they can't be had now."""
        ...

    def tick_input(self) -> TickInput:
        """Pod by pod, as forescale's collectors deliver it."""
        ...


class Policy(Protocol):
    """Says how many replicas there should be."""

    name: str
    period_s: float
    """How often it is asked; what it decides less often it repeats."""
    reads: Reads | None

    def replicas(self, seen: Seen) -> int:
        """The number to set now."""
        ...
